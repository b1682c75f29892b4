"""Projections after a correction: equal to a recomputation from outside, whichever they handle."""

from __future__ import annotations

import msgspec
import pytest

from goldseam import EventStore, Projection, Registry, open_store
from goldseam.errors import UnknownEventType
from goldseam.events.registry import Untyped
from goldseam.healing.corrections import declared_in
from goldseam.healing.projecting import (
    EffectiveSource,
    Reprojection,
    effective_source,
    needs_reprojection,
    request_reprojections,
)
from goldseam.projections.hosted import HostedProjection
from goldseam.projections.source import StoreSource
from tests.crashes.outside import query
from tests.unit.healing.bank import (
    Balances,
    DepositApplied,
    Totals,
    deposited,
    healed,
    hosted,
    registry,
)


def recomputed(url: str) -> list[tuple[str, int]]:
    """What the balances should be: from the log's rows, with plain SQL and a few lines."""
    rows = query(url, "SELECT id, stream, type, payload FROM goldseam_events ORDER BY position")
    amounts: dict[str, tuple[str, int]] = {}
    for raw_id, stream, kind, payload in rows:
        fields = msgspec.json.decode(bytes(payload))
        if kind == "DepositApplied":
            event_id = raw_id.hex() if isinstance(raw_id, bytes) else raw_id.hex
            amounts[event_id] = stream, fields["amount"]
        elif kind == "DepositCorrected":
            event_id = fields["originalEventId"].replace("-", "")
            amounts[event_id] = stream, fields["correctedAmount"]
    balances: dict[str, int] = {}
    for stream, amount in amounts.values():
        balances[stream] = balances.get(stream, 0) + amount
    return sorted(balances.items())


def rows(url: str, table: str) -> list[tuple[str, int]]:
    return sorted(query(url, f"SELECT account, balance FROM {table}"))


async def running(store: EventStore, projection: Projection) -> HostedProjection:
    one = hosted(store, projection)
    await one.prepare()
    await one.runner.catch_up()
    return one


async def carried_out(one: HostedProjection) -> None:
    """What the application does with a rebuild that was asked for."""
    assert await one.building() is not None
    await one.rebuild()


async def test_both_kinds_of_projection_end_up_recomputed(
    store: EventStore, store_url: str
) -> None:
    """One takes each correction in, the other is projected again; a correction of one too."""
    first = await deposited(store)
    await deposited(store, 7, "account-2")
    balances, totals = await running(store, Balances()), await running(store, Totals())
    one = await healed(store, first)
    await healed(store, one.correction_id, {"amount": 80})

    assert ["balances"] == await request_reprojections(store, [balances, totals])
    await carried_out(balances)
    for each in (balances, totals):
        await each.runner.catch_up()
    assert [("account-1", 80), ("account-2", 7)] == recomputed(store_url)
    assert recomputed(store_url) == rows(store_url, "balances")
    assert recomputed(store_url) == rows(store_url, "totals")


async def test_control_without_the_reprojection_the_rows_stay_wrong(
    store: EventStore, store_url: str
) -> None:
    """The runner alone never finds out: this is the damage."""
    wrong = await deposited(store)
    balances = await running(store, Balances())
    await healed(store, wrong)
    await balances.runner.catch_up()
    assert [("account-1", 50)] == rows(store_url, "balances")
    assert recomputed(store_url) != rows(store_url, "balances")


async def test_control_a_rebuild_from_the_raw_log_stays_wrong(
    store: EventStore, store_url: str
) -> None:
    """Without the effective source a rebuild reads the wrong value again."""
    wrong = await deposited(store)
    balances = HostedProjection(Balances(), StoreSource(store), store.database, registry=registry)
    await balances.prepare()
    await balances.runner.catch_up()
    await healed(store, wrong)
    await balances.rebuild()
    assert [("account-1", 50)] == rows(store_url, "balances")


async def test_a_healing_that_died_before_it_asked_is_found(
    store: EventStore, store_url: str
) -> None:
    """The rows are compared with the log, so nobody has to remember anything."""
    wrong = await deposited(store)
    balances = await running(store, Balances())
    watch = Reprojection(store, balances)
    assert not await watch.request()
    await healed(store, wrong)
    assert await watch.request()
    assert not await watch.request(), "asked once is enough"
    await carried_out(balances)
    assert not await watch.request(), "the new rows have it"
    assert not await Reprojection(store, balances).request(), "a new process knows it too"
    assert recomputed(store_url) == rows(store_url, "balances")


async def test_a_correction_during_a_rebuild_begins_it_anew(
    store: EventStore, store_url: str
) -> None:
    """What was read before the correction came is thrown away."""
    first, second = await deposited(store), await deposited(store, 7, "account-2")
    balances = await running(store, Balances())
    await healed(store, first)
    watch = Reprojection(store, balances)
    assert await watch.request()
    begun = await balances.building()
    assert begun is not None
    page = await balances.source.page(0, 2)
    await balances.applier.apply(begun, page)
    await healed(store, second)
    assert await watch.request()
    await carried_out(balances)
    assert [("account-1", 100), ("account-2", 100)] == rows(store_url, "balances")
    assert recomputed(store_url) == rows(store_url, "balances")


async def test_a_new_projection_on_a_healed_log_is_right_from_its_first_row(
    store: EventStore, store_url: str
) -> None:
    """It reads each event with the corrections known by then."""
    await healed(store, await deposited(store))
    await running(store, Balances())
    assert [("account-1", 100)] == rows(store_url, "balances")


async def test_who_must_be_projected_again(store: EventStore) -> None:
    """Those that handle the original alone; not those that ask for what was recorded."""

    class Raw(Balances):
        raw = True

    class Everything(Projection):
        name = "everything"
        tables = ""

        async def apply_batch(self, events: object, db: object) -> None:
            """Takes whatever comes."""

    correction = declared_in(registry).of(DepositApplied)
    found = [needs_reprojection(one(), correction) for one in (Balances, Totals, Raw, Everything)]
    assert [True, False, False, False] == found
    source = StoreSource(store)
    assert source is effective_source(source, store, Totals())
    assert isinstance(effective_source(source, store, Balances()), EffectiveSource)


@pytest.mark.parametrize("limit", [1, 2, 1000])
async def test_pages_of_any_size_are_corrected(store: EventStore, limit: int) -> None:
    """The correction may stand many pages behind its original."""
    wrong = await deposited(store)
    for n in range(5):
        await deposited(store, n, "account-2")
    await healed(store, wrong)
    source = effective_source(StoreSource(store), store, Balances())
    amounts, after = [], 0
    while (page := await source.page(after, limit)).position > after:
        amounts += [e.data.amount for e in page.events if isinstance(e.data, DepositApplied)]
        after = page.position
    assert [100, 0, 1, 2, 3, 4] == amounts


async def test_a_correction_that_cannot_be_read_is_not_passed_over(
    store: EventStore, store_url: str
) -> None:
    """A newer program's correction stops the projection instead of bringing the error back."""
    await deposited(store)
    newer = Registry(open_to_unknown=True)
    async with await open_store(store_url, registry=newer) as other:
        unknown = Untyped("DepositCorrected", 2, {"originalEventId": "x"})
        await other.append("account-1", [unknown], expected=1)
    source = effective_source(StoreSource(store), store, Balances())
    with pytest.raises(UnknownEventType, match="DepositCorrected"):
        await source.page(0, 10)
