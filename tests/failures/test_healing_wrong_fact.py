"""healing/wrong-fact: a wrong amount was published; everything built from it is right again.

The result is recomputed from outside with plain SQL. The controls leave the cure out, or do what
somebody in a hurry would do: change the event itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import psycopg
import pytest

from goldseam import EventStore, Personal, Registry, handle, open_store, open_vault
from goldseam.commands.snapshots import SnapshotPolicy
from goldseam.healing.corrections import corrects
from goldseam.healing.errors import OriginalMissing, OriginalShredded
from goldseam.healing.heal import heal
from goldseam.healing.log import history
from goldseam.healing.projecting import request_reprojections
from goldseam.telemetry.signals import signals
from tests.crashes.outside import query
from tests.unit.healing.bank import (
    Account,
    Balances,
    Totals,
    deposited,
    healed,
    hosted,
    registry,
)
from tests.unit.healing.test_projecting import recomputed, rows

people = Registry()


@people.event
class CardAdded(msgspec.Struct, frozen=True):
    customer: str
    limit: Annotated[int, Personal("customer")]


@corrects(CardAdded, registry=people)
@people.event
class CardCorrected:
    customer: str
    original_event_id: str
    original_limit: Annotated[int, Personal("customer")]
    corrected_limit: Annotated[int, Personal("customer")]
    reason: str
    corrected_by: str
    jira_ticket: str


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[EventStore]:
    async with await open_store(store_url, registry=registry) as store:
        yield store


async def test_states_and_read_models_are_right_after_the_healing(
    store: EventStore, store_url: str
) -> None:
    """The aggregate, its snapshot, a projection of each kind: as recomputed from the log."""
    policy = SnapshotPolicy(every=1)
    wrong = [await deposited(store, 50, f"account-{n}") for n in range(4)]
    both = [hosted(store, Balances()), hosted(store, Totals())]
    for one in both:
        await one.prepare()
        await one.runner.catch_up()
    for n in range(4):
        await handle(store, Account, f"account-{n}", lambda a: a.deposit(1), snapshots=policy)
    counted = signals.value("goldseam_healings_total")
    for event_id in wrong[:3]:
        await healed(store, event_id)
    assert counted + 3 == signals.value("goldseam_healings_total")
    await request_reprojections(store, both)
    await both[0].rebuild()
    for one in both:
        await one.runner.catch_up()

    expected = [("account-0", 101), ("account-1", 101), ("account-2", 101), ("account-3", 51)]
    assert expected == recomputed(store_url) == rows(store_url, "balances")
    assert expected == rows(store_url, "totals")
    for stream, balance in expected:
        done = await handle(store, Account, stream, lambda _: None, snapshots=policy)
        assert balance == done.state.balance


async def test_control_without_a_healing_everything_built_from_it_is_wrong(
    store: EventStore, store_url: str
) -> None:
    """The damage: nothing else ever changes these values."""
    await deposited(store)
    one = hosted(store, Balances())
    await one.prepare()
    await one.runner.catch_up()
    await one.rebuild()
    assert [("account-1", 50)] == rows(store_url, "balances")
    assert 50 == (await handle(store, Account, "account-1", lambda _: None)).state.balance


async def test_control_the_event_itself_cannot_be_changed(
    store: EventStore, store_url: str
) -> None:
    """Editing is no way out: the database refuses it and says what to do."""
    await deposited(store)
    with pytest.raises((sqlite3.IntegrityError, psycopg.Error), match="append a correction"):
        query(store_url, "UPDATE goldseam_events SET payload = ?", b'{"amount":100}')
    assert [50] == [event.data.amount for event in await history(store, "account-1")]


async def test_an_event_that_is_not_there_is_refused(store: EventStore) -> None:
    """Nothing is appended, and the refusal is counted."""
    counted = signals.value("goldseam_heal_refusals_total")
    with pytest.raises(OriginalMissing):
        await healed(store, "0190b5e2-0000-7000-8000-000000000001")
    assert counted + 1 == signals.value("goldseam_heal_refusals_total")
    assert 0 == await store.head()


@asynccontextmanager
async def customers(url: str, folder: Path) -> AsyncIterator[tuple[EventStore, object]]:
    keys = folder / "epochs"
    keys.mkdir(mode=0o700, exist_ok=True)
    vault = await open_vault(f"sqlite:///{folder / 'keys.db'}", f"file://{keys}")
    try:
        async with await open_store(url, registry=people, vault=vault) as store:
            await store.append("card-1", [CardAdded(customer="c-7", limit=50)], expected=0)
            yield store, vault
    finally:
        await vault.close()


async def raised(store: EventStore, limit: int) -> None:
    wrong = (await store.read_stream("card-1"))[0]
    await heal(store, wrong.id, {"limit": limit}, reason="typo", ticket="J-1", corrected_by="ada")


async def test_a_forgotten_customers_event_is_not_corrected(store_url: str, tmp_path: Path) -> None:
    """What was wrong is gone; a correction would make a value up. The error names no value."""
    async with customers(store_url, tmp_path) as (store, vault):
        await vault.forget("main", "c-7", "asked to")  # type: ignore[attr-defined]
        with pytest.raises(OriginalShredded) as refused:
            await raised(store, 987_654)
        assert "987654" not in str(refused.value)
        assert 1 == await store.head()


async def test_a_correction_of_personal_data_is_forgotten_with_the_rest(
    store_url: str, tmp_path: Path
) -> None:
    """It is sealed like the original: both values are in no row, and read as stand-ins later."""
    async with customers(store_url, tmp_path) as (store, vault):
        await raised(store, 987_654)
        assert [987_654] == [e.data.limit for e in await history(store, "card-1")]
        payloads = query(store_url, "SELECT payload FROM goldseam_events")
        assert all(b"987654" not in bytes(payload) for (payload,) in payloads)
        await raised(store, 987_654)
        assert 2 == await store.head()
        await vault.forget("main", "c-7", "asked to")  # type: ignore[attr-defined]
        found = await history(store, "card-1")
        assert [0] == [event.data.limit for event in found]
        assert ("limit",) == found[0].shredded
