"""The preview: before and after of states and rows, and nothing of it is kept."""

from __future__ import annotations

from typing import Any

from goldseam import EventStore, Projection, Recorded, handles
from goldseam.commands.decider import Decider
from goldseam.healing import rows as rows_module
from goldseam.healing.plan import Change, plan
from goldseam.healing.preview import NONE_REGISTERED, Preview, lines, preview
from goldseam.healing.request import Request
from goldseam.healing.rows import RowChange
from goldseam.projections.connection import ProjectionConnection
from goldseam.projections.hosted import HostedProjection
from tests.crashes.outside import query
from tests.unit.healing.bank import (
    Account,
    Balances,
    DepositApplied,
    DepositCorrected,
    Totals,
    deposited,
    hosted,
)


async def running(store: EventStore, *projections: Projection) -> list[HostedProjection]:
    found = [hosted(store, one) for one in projections]
    for one in found:
        await one.prepare()
        await one.runner.catch_up()
    return found


async def shown(store: EventStore, **options: Any) -> Preview:
    wrong = await deposited(store)
    await deposited(store, 7)
    await deposited(store, 9, "account-2")
    projections = await running(store, *options.pop("projections", ()))
    request = Request(wrong, {"amount": 100}, "Data entry error", "JIRA-567", "ada")
    planned = await plan(store, request)
    return await preview(store, planned, projections=projections, **options)


async def test_it_shows_the_state_and_the_rows_before_and_after(store: EventStore) -> None:
    """Of the projection that handles the correction, and of the one that is projected again."""
    found = await shown(store, aggregates=[Account], projections=[Totals(), Balances()])

    assert (Change("balance", 57, 107),) == found.states[0].changes
    totals, balances = found.projections
    columns = ("account", "balance")
    assert ("applied", "re-projected") == (totals.how, balances.how)
    expected = (("account-1", 57), ("account-1", 107))
    assert (RowChange("totals", columns, *expected),) == totals.rows
    assert (RowChange("balances", columns, *expected),) == balances.rows
    assert (NONE_REGISTERED,) == found.sagas_and_topics
    assert 50 == found.payload["originalAmount"]
    text = "\n".join(lines(found))
    for line in ("amount: 50 -> 100", "balance: 57 -> 107", "none registered", "re-projected"):
        assert line in text


async def test_nothing_of_a_preview_is_kept(store: EventStore, store_url: str) -> None:
    """The log, the live rows, the tables of the database: all as before."""
    tables = (
        "SELECT name FROM sqlite_master ORDER BY name"
        if store_url.startswith("sqlite")
        else "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1"
    )
    await running(store, Totals(), Balances())
    before = query(store_url, tables)
    await shown(store, projections=[Totals(), Balances()])

    assert before == query(store_url, tables)
    assert 3 == await store.head()
    assert [("account-1", 57), ("account-2", 9)] == sorted(
        query(store_url, "SELECT account, balance FROM totals")
    )


async def test_large_tables_are_shown_for_the_stream_alone(
    store: EventStore, monkeypatch: Any
) -> None:
    """The preview stays short, and says that it shows less."""
    monkeypatch.setattr(rows_module, "ROWS_MAX", 1)
    found = await shown(store, projections=[Totals()])

    assert rows_module.STREAM_ALONE == found.projections[0].how
    assert ("account-1", 107) == found.projections[0].rows[0].after


async def test_a_handler_or_an_aggregate_that_fails_is_said_without_values(
    store: EventStore,
) -> None:
    """The operator learns it before the correction is in the log, and the rest is shown."""

    class Broken(Totals):
        name = "broken"
        tables = "CREATE TABLE {broken} (account TEXT, balance BIGINT)"

        @handles(DepositApplied)
        async def deposited(self, fact: Recorded[Any], db: ProjectionConnection) -> None:
            """Takes it."""

        @handles(DepositCorrected)
        async def corrected(self, fact: Recorded[Any], db: ProjectionConnection) -> None:
            raise ValueError(f"no bank takes {fact.data.corrected_amount}")

    def evolve(_: int, fact: object) -> int:
        raise ValueError(f"unexpected {fact}")

    decider: Decider[Any, int, Any] = Decider(0, lambda _c, _s: [], evolve, name="fragile")
    found = await shown(store, projections=[Broken(), Totals()], aggregates={"account": decider})
    assert ["ValueError", ""] == [one.error for one in found.projections]
    assert "ValueError" == found.states[0].error
    assert "cannot be shown: ValueError" in "\n".join(lines(found))


async def test_what_else_is_reached_tells_itself(store: EventStore) -> None:
    """Sagas and topics say it through a small port."""

    class Refunds:
        name = "refund saga"

        def describe(self, original: Recorded[Any], correction: object) -> list[str]:
            assert isinstance(correction, DepositCorrected)
            return [f"refunds {original.data.amount - correction.corrected_amount}"]

    found = await shown(store, affects=[Refunds()])
    assert ("refund saga: refunds -50",) == found.sagas_and_topics
