"""idempotency/deduplication-table: the id is inserted in the transaction of the effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from goldseam.broker.record import Partition
from goldseam.consumers.claims import claim
from goldseam.consumers.inbox import TableInbox
from goldseam.consumers.modes import EffectivelyOnce
from goldseam.consumers.runner import ConsumerRunner
from goldseam.consumers.transaction import BatchTransaction
from goldseam.resilience.clock import MICROSECONDS_PER_SECOND, SystemClock
from tests.projections.bank import Outside
from tests.support.consumers import TOPIC, facts, of_mode, received
from tests.support.river import drain, river, send, target

FACTS = 10


class _Crash(BaseException):
    """The process ends here."""


async def _crash_after_the_effect(url: str, folder: Path, *, together: bool) -> int:
    """Effect, crash, delivered again; deposits in the end."""
    place = Partition(TOPIC, 0)
    records = [received(one, n) for n, one in enumerate(facts(1, FACTS))]
    async with river(f"sqlite:///{folder / 'broker.db'}") as broker, target(url) as database:
        runner = ConsumerRunner(of_mode(EffectivelyOnce()), broker, database)
        await runner.prepare()
        workshop: Any = runner._workshop
        job = workshop._work._job
        (held,) = await database.transact(
            lambda c: claim(c, "balances", [place], source="s", holder="h", now_us=1)
        )

        async def crashing(connection: Any) -> None:
            await BatchTransaction(job, held, items, FACTS)(connection)
            raise _Crash

        async def effect_only(connection: Any) -> None:
            batch = BatchTransaction(job, held, items, FACTS)
            from goldseam.consumers.connection import InTransaction

            await batch._handle(items, InTransaction(connection, job.tables))

        items = await workshop._reading.items(records)
        if together:
            with pytest.raises(_Crash):
                await database.transact(crashing)
        else:
            await database.transact(effect_only)  # and the process ends before the id is written
        await database.transact(BatchTransaction(job, held, items, FACTS))
    return int(Outside(url).query("SELECT sum(deposits) FROM balances")[0][0])


async def test_effect_and_id_go_together(store_url: str, tmp_path: Path) -> None:
    """The crash takes both; the next delivery finds neither and applies once."""
    assert FACTS == await _crash_after_the_effect(store_url, tmp_path, together=True)


async def test_control_an_id_in_a_transaction_of_its_own_doubles(
    store_url: str, tmp_path: Path
) -> None:
    """The same crash between the two: the effect comes twice."""
    assert 2 * FACTS == await _crash_after_the_effect(store_url, tmp_path, together=False)


async def test_every_processed_event_has_one_row(store_url: str, tmp_path: Path) -> None:
    """Seen from outside: as many ids as facts, and none twice, after two deliveries of each."""
    async with river(f"sqlite:///{tmp_path / 'broker.db'}") as broker, target(store_url) as base:
        await send(broker, facts(2, FACTS) * 2)
        await drain(of_mode(EffectivelyOnce()), broker, base, 4 * FACTS)
    count = "SELECT count(*), count(DISTINCT event_id) FROM goldseam_processed_events"
    assert [(2 * FACTS, 2 * FACTS)] == Outside(store_url).query(count)


async def test_old_ids_are_pruned_in_bounded_batches(store_url: str, tmp_path: Path) -> None:
    """What can no longer be delivered is forgotten, what can is kept."""
    now_us, where = SystemClock().now_us(), f"sqlite:///{tmp_path / 'broker.db'}"
    week = {"retention.ms": str(7 * 86_400_000)}
    async with river(where, config=week) as broker, target(store_url) as base:
        runner = ConsumerRunner(of_mode(EffectivelyOnce()), broker, base)
        await runner.prepare()
        inbox = TableInbox("balances")
        old = [f"00000000-0000-7000-8000-{n:012d}" for n in range(2_500)]
        new = ["00000000-0000-7000-8000-ffffffffffff"]
        forty_days_us = 40 * 86_400 * MICROSECONDS_PER_SECOND
        await base.transact(lambda c: inbox.remember(c, old, now_us - forty_days_us))
        await base.transact(lambda c: inbox.remember(c, new, now_us))
        assert 1_000 == await base.transact(lambda c: inbox.prune(c, now_us - 1))
        assert 1_500 == await runner._workshop.prune(base)
    rows = Outside(store_url).query("SELECT CAST(event_id AS text) FROM goldseam_processed_events")
    assert [(new[0],)] == rows
