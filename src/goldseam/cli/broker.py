"""``goldseam broker``: is it fit, how long will its disk last, make topics that are safe."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import click
import msgspec

from goldseam.broker.port import Admin, Broker
from goldseam.cli.applications import application
from goldseam.cli.console import PROBLEMS, json_option, run, show_json, show_table
from goldseam.governance.broker_capacity import Capacity, capacity, look
from goldseam.governance.broker_check import Needs, check_broker
from goldseam.governance.broker_rules import Finding
from goldseam.outbox.topics import TOPIC_PARTITIONS, make_topics
from goldseam.runtime.broker_needs import needs_of
from goldseam.runtime.brokers import open_broker
from goldseam.runtime.settings import BROKER_VARIABLE, broker_url

SECONDS_PER_DAY = 86_400.0

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


@click.group()
def group() -> None:
    """Look after the broker: --broker URL, or GOLDSEAM_BROKER."""


def broker_options(function: F) -> F:
    """``--broker`` and ``--json``."""
    option = click.option("--broker", metavar="URL", help=f"The broker; else {BROKER_VARIABLE}.")
    return option(json_option(function))


@group.command()
@broker_options
@click.option(
    "--app",
    "app_path",
    metavar="MODULE:APP",
    help="Hold retention against the lag and the memory of this application's consumers.",
)
@click.option("--topic", "topics", multiple=True, help="These topics only; all unless said.")
@click.option("--dedup-days", type=float, help="How long consumers remember event ids.")
@click.option("--lag-seconds", type=float, default=0.0, help="How far the slowest one is behind.")
@click.option("--free-bytes", type=click.IntRange(0), help="Free space of the fullest disk.")
@click.option("--disk-bytes", type=click.IntRange(1), help="The size of that disk.")
@click.option("--development", is_flag=True, help="A broker without copies is fine.")
def check(
    broker: str | None, as_json: bool, app_path: str | None, topics: tuple[str, ...],
    dedup_days: float | None, lag_seconds: float, free_bytes: int | None, disk_bytes: int | None,
    development: bool,
) -> None:  # fmt: skip
    """Judge replication, acknowledgement, elections and retention. Exit code 1: errors."""
    if (free_bytes is None) != (disk_bytes is None):
        raise click.UsageError("--free-bytes and --disk-bytes belong together: see `df -B1`")
    app = None if app_path is None else application(app_path)
    needs = Needs(
        topics=topics,
        dedup_seconds=None if dedup_days is None else dedup_days * SECONDS_PER_DAY,
        lag_seconds=lag_seconds,
        production=not development,
        free_bytes=free_bytes,
        disk_bytes=disk_bytes,
    )

    async def work(opened: Broker, admin: Admin) -> list[Finding]:
        wanted = needs if app is None else await needs_of(app, admin, needs)
        return await check_broker(admin, opened.capabilities, wanted)

    found = _with(broker or (None if app is None else app.broker_url), work)
    if as_json:
        show_json(msgspec.to_builtins(found))
    else:
        for one in found:
            click.echo(f"{one.severity:<8} {one.rule:<20} {one.subject}: {one.fact}\n"
                       f"{'':<9}do: {one.cure}")  # fmt: skip
        if not found:
            click.echo("nothing found: no acknowledged event is lost with one broker")
    sys.exit(PROBLEMS if any(one.severity == "error" for one in found) else 0)


@group.command()
@click.argument("names", nargs=-1, required=True, metavar="TOPIC...")
@broker_options
@click.option(
    "--partitions",
    type=click.IntRange(1, 1_000),
    default=TOPIC_PARTITIONS,
    show_default=True,
    help="How many members of a group can share the work; never fewer later.",
)
def create(names: Sequence[str], broker: str | None, as_json: bool, partitions: int) -> None:
    """Make topics that `goldseam broker check` passes; those there are left alone."""

    async def work(opened: Broker, admin: Admin) -> list[str]:
        before = await admin.topics()
        await make_topics(admin, opened, names, partitions=partitions)
        return [name for name in names if name not in before]

    made = _with(broker, work)
    if as_json:
        show_json({"created": made, "there": sorted(set(names) - set(made))})
    else:
        for name in names:
            click.echo(f"{name}: {'created' if name in made else 'was there'}")


@group.command("capacity")
@broker_options
@click.option("--topic", "chosen", multiple=True, help="These topics only; all unless said.")
@click.option("--over", type=click.FloatRange(min=0.1), default=10.0, show_default=True,
              help="Seconds between the two looks.")  # fmt: skip
@click.option("--free-bytes", type=click.IntRange(0), help="Free space of the fullest disk.")
def capacity_(
    broker: str | None, as_json: bool, chosen: tuple[str, ...], over: float, free_bytes: int | None
) -> None:
    """Days until the disk is full, from measured rates. Exit code 1: too few days are left."""

    async def work(opened: Broker, admin: Admin) -> Capacity:
        topics = await admin.topics()
        names = [name for name in topics if not chosen or name in chosen]
        click.echo(f"measuring for {over:g} s ...", err=True)
        first = await look(admin, names, time.monotonic())
        await asyncio.sleep(over)
        last = await look(admin, names, time.monotonic())
        # What is replicated has such a desk; the copies are spread over all of its brokers.
        brokers = await admin.online() if opened.capabilities.replicated else 1  # type: ignore[attr-defined]
        some = [topics[name] for name in names]
        return await capacity(admin, some, first, last, free_bytes, brokers=brokers)

    found = _with(broker, work)
    if as_json:
        show_json(msgspec.to_builtins(found))
    else:
        show_table(
            ("topic", "records/s", "bytes/record", "MB/day", "MB now"),
            (
                (one.topic, f"{one.records_per_second:.1f}", f"{one.record_bytes:.0f}",
                 f"{one.bytes_per_day / 1e6:.1f}", f"{one.bytes_now / 1e6:.1f}")
                for one in found.topics
            ),
        )  # fmt: skip
        click.echo(found.verdict)
    sys.exit(PROBLEMS if found.verdict.startswith("act") else 0)


def _with(url: str | None, work: Callable[[Broker, Admin], Coroutine[Any, Any, T]]) -> T:
    chosen = broker_url(url)
    if chosen is None:
        raise click.UsageError(f"no broker: give --broker URL or set {BROKER_VARIABLE}")
    return run(_opened(chosen, work))


async def _opened(url: str, work: Callable[[Broker, Admin], Coroutine[Any, Any, T]]) -> T:
    broker = open_broker(url)
    try:
        admin = await broker.admin()
        try:
            return await work(broker, admin)
        finally:
            await admin.close()
    finally:
        await broker.close()
