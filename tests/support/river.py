"""A broker with facts in it, and consumers that run until they have caught up."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from goldseam.broker.port import Broker, Topic
from goldseam.broker.record import Record
from goldseam.consumers.consumer import Consumer
from goldseam.consumers.runner import ConsumerRunner
from goldseam.database.connection import Database
from goldseam.runtime.brokers import open_broker
from goldseam.runtime.wiring import open_database
from tests.support.consumers import TOPIC

ROOT = Path(__file__).resolve().parents[2]
PARTITIONS = 4
FOR_EVER = {"retention.ms": "-1"}
"""The bank's facts are years old, and a broker goes by a record's own time."""
SETTLE_SECONDS_MAX = 60.0
"""For a broken program, not a measurement."""


@asynccontextmanager
async def river(
    url: str, *, partitions: int = PARTITIONS, config: dict[str, str] | None = None
) -> AsyncIterator[Broker]:
    """The broker at ``url`` with the bank's topic in it."""
    broker = open_broker(url)
    try:
        admin = await broker.admin()
        settings = {**FOR_EVER, **(config or {})}
        topic = Topic(name=TOPIC, partitions=partitions, replication=1, config=settings)
        await admin.create(topic)
        await admin.close()
        yield broker
    finally:
        await broker.close()


@asynccontextmanager
async def target(url: str) -> AsyncIterator[Database]:
    """The database that effects are in."""
    database = open_database(url)
    try:
        yield database
    finally:
        await database.close()


async def send(broker: Broker, records: Sequence[Record]) -> None:
    """Publish ``records``; each of them is a delivery, whether or not it was sent before."""
    publisher = await broker.publisher()
    await publisher.publish(records)
    await publisher.close()


@asynccontextmanager
async def running(runner: ConsumerRunner) -> AsyncIterator[ConsumerRunner]:
    """``runner`` at work; stopped in good order at the end."""
    task = asyncio.create_task(runner.run())
    try:
        yield runner
        runner.stop()
        await asyncio.wait_for(task, SETTLE_SECONDS_MAX)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(
    condition: Callable[[], bool], *tasks: asyncio.Task[Any], seconds: float = SETTLE_SECONDS_MAX
) -> None:
    """Wait until ``condition`` holds; if it never does, say where every task stands."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                for task in tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.01)
    except TimeoutError:
        for task in asyncio.all_tasks():
            task.print_stack()
        raise


def settled(runner: ConsumerRunner, deliveries: int) -> Callable[[], bool]:
    """Whether the runner has an outcome for so many deliveries."""

    def look() -> bool:
        tally = runner.tally
        if runner.failure is not None and runner._broken is not None:
            raise AssertionError(runner.failure)
        return tally.applied + tally.duplicates + tally.dead_lettered + tally.lost >= deliveries

    return look


async def drain(
    consumer: Consumer,
    broker: Broker,
    database: Database | None,
    deliveries: int,
    *,
    seconds: float = SETTLE_SECONDS_MAX,
    **options: Any,
) -> ConsumerRunner:
    """Run ``consumer`` until so many deliveries have an outcome, then stop it in good order."""
    options.setdefault("pause_seconds", 0.001)
    runner = ConsumerRunner(consumer, broker, database, **options)
    async with running(runner):
        await until(settled(runner, deliveries), seconds=seconds)
    return runner


def child(*arguments: str) -> subprocess.Popen[str]:
    """``tests/faults/consumer.py`` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.consumer", *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def was_killed(process: subprocess.Popen[str]) -> bool:
    """Wait for its end; whether it was SIGKILL.

    Raises:
        AssertionError: it ended in another bad way.
    """
    with process:
        process.wait(SETTLE_SECONDS_MAX)
    assert process.returncode in (0, -signal.SIGKILL), process.returncode
    return process.returncode == -signal.SIGKILL
