"""consumer/crash-mid-processing: killed between effect and offset, each effect is there once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import pytest

from goldseam.broker.port import Membership
from goldseam.consumers.claims import claim
from goldseam.consumers.modes import EffectivelyOnce
from goldseam.consumers.runner import ConsumerRunner
from tests.faults.server import own_server
from tests.projections.bank import Outside
from tests.support.consumers import facts, of_mode
from tests.support.river import (
    child,
    drain,
    river,
    running,
    send,
    settled,
    target,
    until,
    was_killed,
)

STREAMS, EACH = 15, 20
FACTS = STREAMS * EACH
AWAITS_QUICK = (4, 6, 7, 8, 9, 10, 12, 16, 22, 28, 29, 30, 31, 32, 40)
AWAITS_SOAK, TURNS_SOAK, KILLS_SOAK = 35, 240, 200
"""A member does as much for two new facts of each stream; the last awaits are not always met."""
EACH_TURN = 2
STOP_AWAIT = 20
STOP_SECONDS = 4.0
"""Longer than the session, and than PostgreSQL lets an idle transaction stand in the way."""


def _kill(broker_url: str, url: str, mode: str, awaits: object, sides: tuple[str, ...]) -> int:
    """Kill one member after the other, each at another moment; how many were killed."""
    kills = 0
    for number in awaits:  # type: ignore[attr-defined]
        for side in sides:
            kills += was_killed(child(broker_url, url, mode, str(number), side))
    return kills


async def _prepare(broker_url: str) -> None:
    async with river(broker_url) as broker:
        await send(broker, facts(STREAMS, EACH))


def _judge(url: str, each: int = EACH) -> None:
    rows = Outside(url).query("SELECT account, balance, deposits FROM balances")
    assert sorted((f"account-{n}", each, each) for n in range(STREAMS)) == sorted(rows)
    assert [(STREAMS * each,)] == Outside(url).query("SELECT count(*) FROM movements")


@pytest.mark.parametrize("mode", ["effectively-once", "watermark"])
async def test_killed_at_many_moments_nothing_is_lost_or_doubled(
    store_url: str, broker_url: str, mode: str
) -> None:
    """SIGKILL before and after statements, the commit and the broker's commit; own SQL judges."""
    await _prepare(broker_url)
    kills = await asyncio.to_thread(
        _kill, broker_url, store_url, mode, AWAITS_QUICK[:: 2 if mode == "watermark" else 1],
        ("after",),
    )  # fmt: skip
    assert kills > 5
    assert not await asyncio.to_thread(was_killed, child(broker_url, store_url, mode))
    _judge(store_url)


async def _killed_200_times(url: str, broker_url: str, mode: str) -> None:
    """New facts before each turn; a member is killed at one await after the other."""
    kills = 0
    async with river(broker_url) as broker:
        for turn in range(TURNS_SOAK):
            known = facts(STREAMS, EACH_TURN * (turn + 1))
            await send(broker, known[STREAMS * EACH_TURN * turn :])
            number, side = turn % AWAITS_SOAK + 1, ("before", "after")[turn // AWAITS_SOAK % 2]
            process = child(broker_url, url, mode, str(number), side)
            kills += await asyncio.to_thread(was_killed, process)
    assert not await asyncio.to_thread(was_killed, child(broker_url, url, mode))
    print(f"{kills} kills in {TURNS_SOAK} turns")
    assert kills >= KILLS_SOAK
    _judge(url, EACH_TURN * TURNS_SOAK)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("mode", ["effectively-once", "watermark"])
async def test_killed_200_times_nothing_is_lost_or_doubled(
    store_url: str, tmp_path: Path, mode: str
) -> None:
    """On the embedded broker."""
    await _killed_200_times(store_url, f"sqlite:///{tmp_path / 'broker.db'}", mode)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("mode", ["effectively-once", "watermark"])
async def test_killed_200_times_on_kafka_nothing_is_lost_or_doubled(
    postgres_schema_url: str, kafka_url: str, mode: str
) -> None:
    """From Kafka into PostgreSQL."""
    await _killed_200_times(postgres_schema_url, kafka_url, mode)


async def test_control_at_least_once_doubles_what_was_cut_off(
    store_url: str, broker_url: str
) -> None:
    """The same kills without dedup: effects that were not committed at the broker come twice."""
    await _prepare(broker_url)
    await asyncio.to_thread(
        _kill, broker_url, store_url, "at-least-once", AWAITS_QUICK[-1:], ("after",)
    )
    await asyncio.to_thread(was_killed, child(broker_url, store_url, "at-least-once"))
    assert Outside(store_url).query("SELECT sum(deposits) FROM balances")[0][0] > FACTS


async def test_control_commit_before_loses_what_was_cut_off(
    store_url: str, broker_url: str
) -> None:
    """At-most-once under the same kills: what was committed and not handled never comes back."""
    await _prepare(broker_url)
    await asyncio.to_thread(
        _kill, broker_url, store_url, "at-most-once", AWAITS_QUICK[-1:], ("after",)
    )
    await asyncio.to_thread(was_killed, child(broker_url, store_url, "at-most-once"))
    assert Outside(store_url).query("SELECT sum(deposits) FROM balances")[0][0] < FACTS


@pytest.mark.postgres
async def test_its_database_restarts_under_it(broker_url: str) -> None:
    """A restart of PostgreSQL in mid-stream is waited out; nothing is parked, lost or doubled."""
    with own_server() as server:
        url = f"{server.url()}?schema=public"
        async with river(broker_url) as broker, target(url) as database:
            runner = ConsumerRunner(
                of_mode(EffectivelyOnce()), broker, database, batch_records=10, pause_seconds=0.01
            )
            await send(broker, facts(STREAMS, EACH // 2))
            async with running(runner):
                await until(lambda: runner.tally.applied > 0)
                await asyncio.to_thread(server.stop, "immediate")
                await send(broker, facts(STREAMS, EACH)[FACTS // 2 :])
                await asyncio.to_thread(server.start)
                await until(settled(runner, FACTS))
            assert 0 == runner.tally.dead_lettered
        _judge(url)


async def _zombie(url: str, broker_url: str, *, fenced: bool) -> int:
    """A member that has read a batch and wakes after its partition moved; deposits in the end."""
    async with river(broker_url, partitions=1) as broker:
        await send(broker, facts(1, EACH))
        async with target(url) as database:
            sleeping, asleep = asyncio.Event(), asyncio.Event()
            zombie = ConsumerRunner(of_mode(EffectivelyOnce()), broker, database)
            transact = database.transact

            class Sleepy:
                """The database of a process that is stopped right before its transaction."""

                dialect, url = database.dialect, database.url

                def __getattr__(self, name: str) -> object:
                    return getattr(database, name)

                async def transact(self, operation: object) -> object:
                    if type(operation).__name__ == "BatchTransaction":
                        asleep.set()
                        await sleeping.wait()
                        if not fenced:
                            _without_fence(operation)
                    return await transact(operation)  # type: ignore[arg-type]

            zombie._workshop._work._database = Sleepy()  # type: ignore[assignment]
            task = asyncio.create_task(zombie.run())
            await asyncio.wait_for(asleep.wait(), 30)
            # The group has gone on without it: somebody else claims the partition and applies.
            await _apply_elsewhere(zombie, database)
            sleeping.set()
            if fenced:
                await until(lambda: zombie.tally.fenced > 0, task)
            else:
                await until(lambda: zombie.tally.applied >= EACH, task)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    return int(Outside(url).query("SELECT sum(deposits) FROM balances")[0][0])


async def _apply_elsewhere(zombie: ConsumerRunner, database: object) -> None:
    from goldseam.consumers.transaction import BatchTransaction

    workshop = zombie._workshop
    (lane,) = zombie._lanes.values()
    held = await database.transact(  # type: ignore[attr-defined]
        lambda c: claim(
            c, "balances", [lane.place], source=workshop._source, holder="other", now_us=1
        )
    )
    admin = await zombie._broker.admin()
    records = await admin.read(lane.place, 0, EACH)
    await admin.close()
    items = await workshop._reading.items(records)
    batch = BatchTransaction(workshop._work._job, held[0], items, EACH)
    await database.transact(batch)  # type: ignore[attr-defined]


def _without_fence(operation: object) -> None:
    """What the batch would be without fence and dedup: the damage they prevent."""

    async def no_fence(*_: object) -> object:
        return operation._claim  # type: ignore[attr-defined]

    async def all_fresh(_: object, items: object, *__: object, **___: object) -> object:
        return items

    operation._fence = no_fence  # type: ignore[attr-defined]
    inbox = operation._job.inbox  # type: ignore[attr-defined]
    inbox.fresh = all_fresh


async def test_a_zombie_batch_is_refused_by_the_fence(store_url: str, broker_url: str) -> None:
    """Woken after its partition moved, a member's batch has no effect, and it is told so."""
    assert EACH == await _zombie(store_url, broker_url, fenced=True)


async def test_control_without_the_fence_a_zombie_doubles(store_url: str, broker_url: str) -> None:
    """The same moment without fence and dedup: every effect is there twice."""
    assert 2 * EACH == await _zombie(store_url, broker_url, fenced=False)


def _stop_and_wake(broker_url: str, url: str) -> dict[str, int]:
    """Stop a member in mid-transaction past its session; another one works; wake the first."""
    zombie = child(
        broker_url, url, "effectively-once", str(STOP_AWAIT), "after", "SIGSTOP", "zombie"
    )
    _, status = os.waitpid(zombie.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    other = child(broker_url, url, "effectively-once", "0", "after", "SIGKILL", "other")
    time.sleep(STOP_SECONDS)
    zombie.send_signal(signal.SIGCONT)
    tallies = []
    for process in (zombie, other):
        out, _ = process.communicate(timeout=60)
        tallies.append(json.loads(out))
    assert FACTS <= sum(one["applied"] for one in tallies) + sum(
        one["duplicates"] for one in tallies
    )
    found: dict[str, int] = tallies[0]
    return found


async def test_a_member_stopped_in_mid_transaction_and_woken_later_does_no_harm(
    store_url: str, broker_url: str
) -> None:
    """SIGSTOP past its session, SIGCONT after its partitions moved: nothing lost or doubled.

    PostgreSQL ends the transaction that stood in the way, so the woken batch fails as a whole. A
    SQLite file stays locked until the process wakes: then the batch was in time after all.
    """
    await _prepare(broker_url)
    tally = await asyncio.to_thread(_stop_and_wake, broker_url, store_url)
    assert store_url.startswith("sqlite") or tally["fenced"] + tally["retries"] > 0
    _judge(store_url)


async def test_a_restarted_member_goes_on_where_its_effects_end(
    store_url: str, broker_url: str
) -> None:
    """The database's offset is the truth, even when the broker forgot all its commits."""
    async with river(broker_url) as broker, target(store_url) as base:
        await send(broker, facts(STREAMS, EACH // 2))
        await drain(of_mode(EffectivelyOnce()), broker, base, FACTS // 2)
        admin = await broker.admin()
        offsets = await admin.offsets("balances")
        await admin.set_offsets("balances", dict.fromkeys(offsets, 0))
        await admin.close()
        await send(broker, facts(STREAMS, EACH)[FACTS // 2 :])
        second = await drain(
            of_mode(EffectivelyOnce()), broker, base, FACTS // 2,
            membership=Membership(group="balances"),
        )  # fmt: skip
    assert FACTS // 2 == second.tally.applied
    _judge(store_url)
