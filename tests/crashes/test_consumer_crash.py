"""Crash at every await of a batch: before and after each statement, the commit and its answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from goldseam.broker.record import Partition
from goldseam.consumers.claims import claim
from goldseam.consumers.modes import EffectivelyOnce, Mode, Watermark
from goldseam.consumers.runner import ConsumerRunner
from goldseam.consumers.transaction import BatchTransaction, Job
from goldseam.database.connection import Database
from goldseam.testing.faults import CrashingDatabase, CrashPoint, crash_points
from tests.crashes.outside import query
from tests.support.consumers import POISON, TOPIC, fact, of_mode, received
from tests.support.river import river, target

PLACE = Partition(TOPIC, 0)
RECORDS = [
    received(one, n)
    for n, one in enumerate(
        [fact("a", 1), fact("b", 1), fact("a", 2), fact("b", 2, POISON), fact("b", 3), fact("a", 3)]
    )
]
TABLES = (
    "balances",
    "movements",
    "goldseam_consumer_partitions",
    "goldseam_processed_events",
    "goldseam_watermarks",
    "goldseam_dead_letters",
    "goldseam_dead_letter_sequences",
)


class _Member:
    """What a process does with a batch: claim, read where it stands, apply the rest."""

    def __init__(self, job: Job, reading: Any) -> None:
        self._job, self._reading = job, reading

    async def work(self, database: Database) -> None:
        held = await database.transact(
            lambda c: claim(c, "balances", [PLACE], source="s", holder="h", now_us=1)
        )
        items = await self._reading.items(RECORDS)
        begin = max(0, held[0].next_offset)
        batch = BatchTransaction(
            self._job, held[0], items[begin:], len(RECORDS), isolate=True, attempts=4
        )
        if begin < len(RECORDS):
            await database.transact(batch)


def _empty(url: str) -> None:
    for table in TABLES:
        query(url, f"DELETE FROM {table}")


def _judge(url: str) -> None:
    """Stream a is applied; b up to its poison, which waits with what came after it."""
    rows = query(url, "SELECT account, deposits FROM balances")
    assert [("a", 3), ("b", 1)] == sorted(rows)
    letters = query(
        url, "SELECT record_offset, reason FROM goldseam_dead_letters ORDER BY record_offset"
    )
    assert [(3, "poison"), (4, "queued")] == letters
    where = query(url, "SELECT next_offset FROM goldseam_consumer_partitions")
    assert [(len(RECORDS),)] == where


@pytest.mark.parametrize("mode", [EffectivelyOnce(), EffectivelyOnce(dedup=Watermark())])
async def test_a_crash_at_any_await_of_a_batch_leaves_all_or_nothing(
    store_url: str, tmp_path: Path, mode: Mode
) -> None:
    """Effects, dedup records, letters and offset: the next member finds all of them, or none."""
    async with river(f"sqlite:///{tmp_path / 'broker.db'}") as broker, target(store_url) as base:
        runner = ConsumerRunner(of_mode(mode), broker, base)
        await runner.prepare()
        workshop: Any = runner._workshop
        member = _Member(workshop._work._job, workshop._reading)

        async def crash(point: CrashPoint) -> None:
            _empty(store_url)
            await member.work(cast(Any, CrashingDatabase(cast(Any, base), point)))

        crashes = 0
        async for _ in crash_points(crash):
            crashes += 1
            await member.work(base)
            _judge(store_url)
        _judge(store_url)
    assert crashes > 30
