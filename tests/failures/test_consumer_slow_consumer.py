"""consumer/slow-consumer: memory stays bounded, nobody is thrown out, the lag says what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from goldseam.broker.port import Membership
from goldseam.consumers.errors import RecordsExpired
from goldseam.consumers.lag import measure, trend
from goldseam.consumers.modes import AtLeastOnce, EffectivelyOnce
from goldseam.consumers.runner import ConsumerRunner
from goldseam.resilience.clock import SystemClock
from goldseam.telemetry.signals import signals
from tests.projections.bank import Outside
from tests.support.consumers import TOPIC, Elsewhere, facts, of_mode
from tests.support.river import drain, river, running, send, target, until

STREAMS, EACH = 20, 50
FACTS = STREAMS * EACH
QUEUE_MAX = 20
PER_SECOND = 200
PARTITIONS = 4


class _Stuck(Elsewhere):
    """Waits at its first record until it is let go: a database that does not answer."""

    mode = AtLeastOnce()

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def apply_batch(self, events: Sequence[Any], db: Any) -> None:
        await self.gate.wait()
        await super().apply_batch(events, db)


async def _queued_while_stuck(broker_url: str, queue_max: int) -> tuple[int, int, int]:
    """Records in memory while the handler stands, partitions paused then, rebalances in all."""
    stuck = _Stuck()
    async with river(broker_url, partitions=PARTITIONS) as broker:
        await send(broker, facts(STREAMS, EACH))
        membership = Membership(group="elsewhere", session_seconds=1.0, max_poll_seconds=1.0)
        runner = ConsumerRunner(
            stuck, broker, None, queue_records_max=queue_max, batch_records=1, membership=membership
        )
        async with running(runner):
            # Longer than the session and than the longest time between two polls.
            await until(lambda: runner.status().queued > 0)
            await asyncio.sleep(2.5)
            status = runner.status()
            shown = signals.value("goldseam_consumer_paused_partitions", consumer="elsewhere")
            assert len(status.paused) == shown
            stuck.gate.set()
            await until(lambda: runner.tally.applied >= FACTS)
    assert FACTS == len(stuck.sent) == len(set(stuck.sent))
    return status.queued, len(status.paused), runner.tally.rebalances


async def test_partitions_are_paused_and_nobody_is_thrown_out(broker_url: str) -> None:
    """Standing for longer than its session, it keeps its partitions and a bounded queue."""
    queued, paused, rebalances = await _queued_while_stuck(broker_url, QUEUE_MAX)
    assert PARTITIONS == paused
    assert queued <= PARTITIONS * 2 * QUEUE_MAX
    assert 1 == rebalances


async def test_control_without_the_bound_everything_is_in_memory(broker_url: str) -> None:
    """The same, with a queue as long as it likes: all that the topic holds."""
    queued, paused, _ = await _queued_while_stuck(broker_url, 1_000_000)
    assert 0 == paused
    assert queued >= FACTS - PARTITIONS


async def test_the_lag_grows_is_seen_and_shrinks_again(store_url: str, broker_url: str) -> None:
    """In records and seconds, from outside the member; nobody there, then caught up."""
    consumer = of_mode(EffectivelyOnce())
    async with river(broker_url) as broker, target(store_url) as base:
        await send(broker, facts(STREAMS, EACH))
        await ConsumerRunner(consumer, broker, base).prepare()
        admin, clock = await broker.admin(), SystemClock()
        before = await measure(consumer, admin, base, clock)
        assert FACTS == before.records
        assert before.seconds > 0
        assert 0 == before.members
        await send(broker, facts(STREAMS, 1))
        behind = await measure(consumer, admin, base, clock)
        assert "no member" in trend(before, behind).advice
        await drain(consumer, broker, base, FACTS + STREAMS)
        after = await measure(consumer, admin, base, clock)
        assert (0, 0.0) == (after.records, after.seconds)
        assert 0.0 == trend(behind, after).catch_up_seconds
        await admin.close()
    assert 0 == signals.value("goldseam_consumer_lag_events", consumer="balances")


class _TenTimesSlower(Elsewhere):
    """For each record it needs ten times as long as there is between two of them."""

    mode = AtLeastOnce(concurrency=1)

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 10 / PER_SECOND

    async def apply_batch(self, events: Sequence[Any], db: Any) -> None:
        await asyncio.sleep(self.seconds * len(events))
        await super().apply_batch(events, db)


async def test_ten_times_slower_than_its_topic(broker_url: str) -> None:
    """The lag grows, memory does not, nobody is thrown out; mended, it catches up: all once."""
    slow = _TenTimesSlower()
    async with river(broker_url, partitions=1) as broker:
        membership = Membership(group="elsewhere", session_seconds=1.0, max_poll_seconds=2.0)
        runner = ConsumerRunner(
            slow, broker, None, queue_records_max=QUEUE_MAX, batch_records=1, membership=membership
        )
        publisher = await broker.publisher()
        async with running(runner):
            await until(lambda: bool(runner.status().partitions))
            for n in range(0, FACTS, PER_SECOND // 10):
                await publisher.publish(facts(STREAMS, EACH)[n : n + PER_SECOND // 10])
                await asyncio.sleep(0.1)
                assert runner.status().queued <= 2 * QUEUE_MAX
            behind = FACTS - runner.tally.applied
            slow.seconds = 0.0
            await until(lambda: runner.tally.applied >= FACTS)
        assert 1 == runner.tally.rebalances
    assert behind > FACTS / 4
    assert FACTS == len(slow.sent) == len(set(slow.sent))
    for stream in {stream for stream, _ in slow.sent}:
        assert list(range(1, EACH + 1)) == [n for one, n in slow.sent if one == stream]


async def test_more_members_share_the_work(store_url: str, broker_url: str) -> None:
    """Scale-out: two members of one group apply everything once, each a part of it."""
    async with river(broker_url) as broker, target(store_url) as base:
        one = ConsumerRunner(of_mode(EffectivelyOnce()), broker, base, batch_records=5)
        two = ConsumerRunner(of_mode(EffectivelyOnce()), broker, base, batch_records=5)
        async with running(one), running(two):
            await until(lambda: len(one.status().partitions) == len(two.status().partitions) == 2)
            await send(broker, facts(STREAMS, EACH))
            await until(lambda: one.tally.applied + two.tally.applied >= FACTS)
    assert one.tally.applied > 0
    assert two.tally.applied > 0
    assert [(FACTS,)] == Outside(store_url).query("SELECT count(*) FROM movements")


async def test_a_lag_beyond_the_retention_is_never_silent(store_url: str, tmp_path: Path) -> None:
    """What expired unread is said with both offsets; nothing is skipped."""
    where = f"sqlite:///{tmp_path / 'broker.db'}"
    async with river(where, partitions=1) as broker, target(store_url) as base:
        await send(broker, facts(1, 10))
        await drain(of_mode(EffectivelyOnce()), broker, base, 10)
        await send(broker, facts(1, 20)[10:])
        broker_file = Outside(where)
        broker_file.query(_raise_low(broker_file, 15))
        runner = ConsumerRunner(of_mode(EffectivelyOnce()), broker, base)
        with pytest.raises(RecordsExpired) as said:
            await runner.run()
    assert (10, 15) == (said.value.offset, said.value.low)


def _raise_low(broker: Outside, low: int) -> str:
    """The statement that makes the topic begin at ``low``, as its retention would."""
    tables = [row[0] for row in broker.query("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in tables:
        columns = [row[1] for row in broker.query(f"PRAGMA table_info({table})")]
        if "low" in columns and "high" in columns:
            return f"UPDATE {table} SET low = {low} WHERE topic = '{TOPIC}'"
    raise AssertionError(f"no table of partitions among {tables}")
