"""healing/compensating-event: one correction, appended behind the fact, whoever else is there.

Two people correct the same event in two processes' worth of stores at the same moment. The
control leaves out the expected version, which is what judges between them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from goldseam import ANY, EventStore, open_store
from goldseam.healing.errors import AlreadyCorrected
from goldseam.healing.plan import plan
from goldseam.healing.request import Request
from goldseam.store.verify import verify
from tests.crashes.outside import query
from tests.unit.healing.bank import deposited, healed, registry

ROUNDS = 20
CORRECTIONS = (
    "SELECT stream, count(*) FROM goldseam_events WHERE type = 'DepositCorrected' GROUP BY stream"
)


@pytest.fixture
async def stores(store_url: str) -> AsyncIterator[list[EventStore]]:
    """Two stores as two processes have them: nothing in common but the database."""
    opened = [await open_store(store_url, registry=registry) for _ in range(2)]
    yield opened
    for one in opened:
        await one.close()


async def test_two_people_correct_one_event_and_one_of_them_wins(
    stores: list[EventStore], store_url: str
) -> None:
    """In every round; the other one learns whose correction counts."""
    for n in range(ROUNDS):
        wrong = await deposited(stores[0], stream=f"account-{n}")
        results = await asyncio.gather(
            healed(stores[0], wrong, {"amount": 100}, by="ada"),
            healed(stores[1], wrong, {"amount": 200}, by="grace"),
            return_exceptions=True,
        )
        (lost,) = [one for one in results if isinstance(one, AlreadyCorrected)]
        (won,) = [one for one in results if not isinstance(one, BaseException)]
        assert won.correction_id == lost.correction_id
    assert {1} == {count for _, count in query(store_url, CORRECTIONS)}
    assert ROUNDS == len(query(store_url, CORRECTIONS))


async def test_control_without_the_expected_version_both_corrections_land(
    stores: list[EventStore], store_url: str
) -> None:
    """Each looked, found nothing, and appended: the second overrules the first unseen."""
    wrong = await deposited(stores[0])
    plans = [
        await plan(store, Request(wrong, {"amount": amount}, "typo", "J-1", who))
        for store, amount, who in zip(stores, (100, 200), ("ada", "grace"), strict=True)
    ]
    for store, found in zip(stores, plans, strict=True):
        await store.append("account-1", [found.event], expected=ANY)
    assert [("account-1", 2)] == query(store_url, CORRECTIONS)


async def test_the_wrong_fact_and_its_correction_both_stay_in_sight(
    stores: list[EventStore], store_url: str
) -> None:
    """The original's row is byte for byte what it was, and the chain of hashes still holds."""
    wrong = await deposited(stores[0])
    sql = "SELECT payload, checksum, chain FROM goldseam_events WHERE position = 1"
    before = query(store_url, sql)
    done = await healed(stores[0], wrong)
    assert before == query(store_url, sql)
    correction = await stores[1].read_event(UUID(done.correction_id))
    assert correction is not None
    assert str(wrong) == correction.data.original_event_id
    assert [] == [d async for seen in verify(stores[0].database) for d in seen.damages]
