"""producer/message-lost-before-send: a crash between commit and publish loses nothing.

Relays are processes of their own, killed at every step or stopped past their lease and woken in
the middle of a batch. What is stored and what is on the topic is read from outside. The controls
publish after their commit, and write a checkpoint without a fence.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from functools import partial

import pytest

from goldseam.outbox.errors import RelayFenced
from goldseam.telemetry.signals import signals
from tests.crashes.outside import query
from tests.faults.server import own_server
from tests.support.eventually import eventually
from tests.support.relays import (
    ROOT,
    STREAMS,
    checkpoint,
    delivered,
    firsts,
    log,
    logged,
    relay_of,
    sender,
)

EVENTS = 12
LEASE_SECONDS = 0.3
ENDED_SECONDS_MAX = 60.0
STEPS = 24
"""More awaits than a relay has for a few events: some turns end in good order."""

SOAK_KILLS = 200


def child(*arguments: str) -> subprocess.Popen[str]:
    """``tests/faults/relay.py`` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.relay", *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code, negative for a signal, and what it said."""
    with process:
        said, _ = process.communicate(timeout=ENDED_SECONDS_MAX)
    return process.returncode, said.strip()


def stopped(process: subprocess.Popen[str]) -> None:
    """Wait until it has stopped itself."""
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), status


async def _kill(url: str, broker_url: str, kills: int) -> tuple[int, int]:
    """Kill one relay after the other, each a step further; how many died, and the doubles."""
    async with log(url) as store, sender(broker_url) as publisher:
        await relay_of(store, publisher).prepare()
    died = number = 0
    for turn in range(kills):
        number, side = number % STEPS + 1, ("before", "after")[turn // STEPS % 2]
        async with log(url, STREAMS):
            pass
        code, said = ended(child("relay", broker_url, url, str(number), side))
        assert (code, said) in ((-signal.SIGKILL, ""), (0, "done"))
        died += code != 0
        known = {one.event_id for one in delivered(broker_url)}
        assert {one.event_id for one in logged(url)[: checkpoint(url)]} <= known
    assert (0, "done") == ended(child("relay", broker_url, url))
    found = delivered(broker_url)
    assert firsts(logged(url)) == firsts(found)
    assert len(logged(url)) == checkpoint(url)
    return died, len(found) - len(logged(url))


async def test_a_relay_killed_at_every_step_loses_nothing(store_url: str, broker_url: str) -> None:
    """Stored = relayed, in the order of each stream; what was sent twice has the same id."""
    died, doubles = await _kill(store_url, broker_url, STEPS)
    assert died >= STEPS // 2
    assert doubles >= 1


@pytest.mark.soak
@pytest.mark.timeout(1_800)
async def test_a_relay_killed_two_hundred_times_loses_nothing(
    store_url: str, broker_url: str
) -> None:
    """The same, many times over."""
    died, _ = await _kill(store_url, broker_url, SOAK_KILLS)
    assert died >= SOAK_KILLS // 4


@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_relay_stopped_past_its_lease_and_woken_moves_no_checkpoint(
    store_url: str, broker_url: str, side: str
) -> None:
    """The other one has finished; the woken one sends at most what it held, and is fenced."""
    async with log(store_url, EVENTS) as store, sender(broker_url) as publisher:
        await relay_of(store, publisher).prepare()
        first = child(
            "relay", broker_url, store_url, "2", side, "SIGSTOP",
            "relay-z", str(LEASE_SECONDS), "publishes",
        )  # fmt: skip
        try:
            stopped(first)
            stood = checkpoint(store_url)
            assert 0 < stood < EVENTS
            await asyncio.sleep(2 * LEASE_SECONDS)
            second = relay_of(store, publisher, holder="relay-b")
            assert EVENTS == await second.flush()
        finally:
            os.kill(first.pid, signal.SIGCONT)
        code, said = ended(first)
        assert (0, True) == (code, said in ("RelayFenced", "LeaseLost"))
        assert EVENTS == checkpoint(store_url)
        assert firsts(logged(store_url)) == firsts(delivered(broker_url))
        assert len(delivered(broker_url)) > EVENTS


@pytest.mark.postgres
async def test_its_store_restarts_under_it(broker_url: str) -> None:
    """A fast stop, an immediate one, a killed postmaster: the relay goes on by itself."""
    with own_server() as server:
        url = f"{server.url()}?schema=public"
        async with log(url) as store, sender(broker_url) as publisher:
            one = relay_of(store, publisher, batch_events=4)
            await one.prepare()
            task = asyncio.create_task(one.run())
            for turn, how in enumerate(("fast", "immediate", "kill"), start=1):
                await asyncio.to_thread(server.kill if how == "kill" else partial(server.stop, how))
                await asyncio.to_thread(server.start)
                async with log(url, EVENTS):
                    pass
                await eventually(lambda turn=turn: checkpoint(url) == turn * EVENTS)
            one.stop()
            await task
        assert firsts(logged(url)) == firsts(delivered(broker_url))


async def test_the_fence_is_counted_and_named(store_url: str, broker_url: str) -> None:
    """A relay that was overtaken in the middle learns it at its checkpoint."""
    async with log(store_url, EVENTS) as store, sender(broker_url) as publisher:
        before = signals.value("goldseam_relay_fenced_total")

        class Slow:
            """While it sends, somebody else takes over."""

            async def publish(self, records: object) -> object:
                async with asyncio.timeout(ENDED_SECONDS_MAX):
                    while relay_of(store, publisher).lease_name not in taken:
                        await other.prepare()
                        query(store_url, "UPDATE goldseam_leases SET until_us = 0")
                        await other.flush()
                        taken.add(other.lease_name)
                return await publisher.publish(records)  # type: ignore[arg-type]

            async def close(self) -> None:
                """Nothing is held."""

        taken: set[str] = set()
        other = relay_of(store, publisher, holder="relay-b")
        one = relay_of(store, Slow(), holder="relay-z")  # type: ignore[arg-type]
        with pytest.raises(RelayFenced, match="taken over"):
            await one.flush()
        assert before + 1 == signals.value("goldseam_relay_fenced_total")
        assert EVENTS == checkpoint(store_url)


async def test_control_publishing_after_the_commit_loses_a_message(
    store_url: str, broker_url: str
) -> None:
    """The fact is stored and nobody will ever hear of it."""
    async with log(store_url), sender(broker_url) as publisher:
        await publisher.publish([])
    assert (-signal.SIGKILL, "") == ended(child("naive", broker_url, store_url, "2", "before"))
    assert (0, "done") == ended(child("naive", broker_url, store_url))  # it starts again
    lost = {f.event_id for f in logged(store_url)} - {f.event_id for f in delivered(broker_url)}
    assert 1 == len(lost)


async def test_control_without_a_fence_the_checkpoint_goes_back(
    store_url: str, broker_url: str
) -> None:
    """The woken process believes in its lease, and what was relayed is to be relayed again."""
    async with log(store_url, EVENTS) as store, sender(broker_url) as publisher:
        await relay_of(store, publisher).prepare()
        first = child("unfenced", broker_url, store_url, "1", "after", "SIGSTOP")
        try:
            stopped(first)
            assert EVENTS == await relay_of(store, publisher).flush()
        finally:
            os.kill(first.pid, signal.SIGCONT)
        assert (0, "done") == ended(first)
    assert checkpoint(store_url) < EVENTS
