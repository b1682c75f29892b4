"""projection/poison-event: the one sequence stops, in order and with its reason; all else flows."""

from __future__ import annotations

from typing import Any

import pytest

from goldseam import ANY, Goldseam, ReadModelBehind
from goldseam.errors import ProjectionError, StoreUnavailable
from goldseam.telemetry.signals import signals
from tests.projections.bank import POISON, Balances, DepositApplied, Movements, Outside, until

ROUNDS = 20


async def poisoned(app: Goldseam) -> int:
    """One event of account-1 is poison; three accounts go on; the last position."""
    done = None
    for n in range(ROUNDS):
        for account in (1, 2, 3):
            amount = POISON if (account, n) == (1, 5) else n + 1
            facts = [DepositApplied(amount)]
            done = await app.store.append(f"account-{account}", facts, expected=ANY)
    assert done is not None
    return done.position


@pytest.mark.parametrize("kind", [Balances, Movements])
async def test_the_other_sequences_flow_and_the_order_is_kept_after_a_retry(
    store_url: str, kind: type[Balances | Movements]
) -> None:
    """One by one or in batches: what failed waits, what follows it queues, nothing is skipped."""
    projection = kind()
    projection.broken = True
    name = projection.name
    async with Goldseam(store_url, [projection, *_witness(kind)]) as app:
        last = await poisoned(app)
        hosted = app.projections[name]
        await app.fetch(name, "SELECT 1", after=last, wait=20, sequence="account-2")
        rows = await app.fetch(name, f"SELECT DISTINCT account FROM {name} ORDER BY 1")
        assert [("account-1",), ("account-2",), ("account-3",)] == [tuple(row) for row in rows]
        found = await hosted.parked()
        assert ["account-1"] * (ROUNDS - 5) == [one.sequence for one in found]
        assert [False] + [True] * (ROUNDS - 6) == [one.queued for one in found]
        assert str(POISON) not in found[0].error
        lag = await hosted.lag()
        assert (0, ROUNDS - 5, 1) == (lag.events, lag.parked_events, lag.parked_sequences)
        assert ROUNDS - 5 == signals.value("goldseam_projection_parked", projection=name)
        with pytest.raises(ReadModelBehind, match="parked"):
            await app.fetch(name, "SELECT 1", after=last)

        still = await hosted.retry("account-1")
        assert [(0, ROUNDS - 5)] == [(one.applied, one.left) for one in still]
        projection.broken = False
        mended = await hosted.retry("account-1")
        assert [(ROUNDS - 5, 0, "")] == [(one.applied, one.left, one.error) for one in mended]
        await app.fetch(name, "SELECT 1", after=last)
        last = (await app.store.append("account-1", [DepositApplied(1)], expected=ANY)).position
        await app.fetch(name, "SELECT 1", after=last, wait=20)
    _prove_all_applied(Outside(store_url), kind)


def _witness(kind: type[Any]) -> list[Any]:
    """Another projection of the same log, which takes every event."""
    return [Movements()] if kind is Balances else [Balances()]


def _prove_all_applied(outside: Outside, kind: type[Any]) -> None:
    expected = sum(n + 1 for n in range(ROUNDS)) - 6 + POISON + 1
    if kind is Balances:
        where = "SELECT balance FROM balances WHERE account = 'account-1'"
        assert [(expected,)] == outside.query(where)
        return
    rows = outside.query("SELECT position FROM movements WHERE account = 'account-1' ORDER BY n")
    assert sorted(rows) == rows
    assert ROUNDS + 1 == len(rows)


async def test_control_without_parking_nothing_flows(store_url: str) -> None:
    """The same poison when failing events are never isolated: everybody stands still."""
    projection = Balances()
    projection.broken = True
    async with Goldseam(store_url, [projection]) as app:
        hosted = app.projections["balances"]
        hosted.applier._attempts_max = 10**9
        before = signals.value("goldseam_projection_retries_total", projection="balances")
        last = await poisoned(app)

        async def tried_often() -> bool:
            now = signals.value("goldseam_projection_retries_total", projection="balances")
            return now >= before + 4

        await until(tried_often)
        with pytest.raises(ReadModelBehind):
            await app.fetch("balances", "SELECT 1", after=last, sequence="account-2")
        assert [] == await hosted.parked()
        app._close_seconds = 0.1


async def test_control_skipping_what_fails_shows_a_wrong_balance(store_url: str) -> None:
    """The other wrong way: a handler that swallows the error loses the deposit in silence."""

    class Skips(Balances):
        async def apply_batch(self, events: Any, db: Any) -> None:
            await super().apply_batch([e for e in events if e.data.amount != POISON], db)

    async with Goldseam(store_url, [Skips()]) as app:
        last = await poisoned(app)
        rows = await app.fetch(
            "balances", "SELECT balance FROM balances WHERE account = 'account-1'",
            after=last, wait=20,
        )  # fmt: skip
        truth = sum(e.data.amount for e in await app.store.read_stream("account-1"))
    assert truth - POISON == rows[0][0]


async def test_given_up_events_are_kept_with_the_reason(store_url: str) -> None:
    """Discarding is a decision with a reason; the sequence then flows without those events."""
    projection = Balances()
    projection.broken = True
    async with Goldseam(store_url, [projection]) as app:
        last = await poisoned(app)
        hosted = app.projections["balances"]
        await app.fetch("balances", "SELECT 1", after=last, wait=20, sequence="account-2")
        with pytest.raises(ProjectionError, match="reason"):
            await hosted.discard("account-1", " ")
        assert ROUNDS - 5 == await hosted.discard("account-1", "agreed with the branch")
        await app.fetch("balances", "SELECT 1", after=last)
        with pytest.raises(ProjectionError, match="nothing parked"):
            await hosted.retry("account-1")
    kept = Outside(store_url).query("SELECT DISTINCT resolution, reason FROM goldseam_parked")
    assert [("discarded", "agreed with the branch")] == kept


async def test_a_database_that_is_away_is_no_poison(store_url: str) -> None:
    """Nothing is parked for an unreachable database; the projection goes on when it is back."""
    projection = Balances()
    async with Goldseam(store_url, [projection]) as app:
        hosted = app.projections["balances"]
        away = 4
        real = hosted.database.transact

        async def flaky(operation: Any) -> Any:
            nonlocal away
            if away:
                away -= 1
                raise StoreUnavailable("cut off by the test")
            return await real(operation)

        hosted.applier.database = _Flaky(hosted.database, flaky)
        last = await poisoned(app)
        await app.fetch("balances", "SELECT 1", after=last, wait=20)
        assert 0 == away
        assert [] == await hosted.parked()


class _Flaky:
    def __init__(self, database: Any, transact: Any) -> None:
        self._database, self.transact = database, transact

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


async def test_a_handler_that_is_wrong_for_everything_stops_as_a_whole(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond a bound, stopping sequence after sequence is no cure any more."""
    monkeypatch.setattr("goldseam.projections.transaction.PARKED_SEQUENCES_MAX", 3)
    projection = Balances()
    projection.broken = True
    async with Goldseam(store_url, [projection], run=False) as app:
        for n in range(5):
            await app.store.append(f"account-{n}", [DepositApplied(POISON)], expected=ANY)
        hosted = app.projections["balances"]
        hosted.applier._pause_seconds = 0.0
        with pytest.raises(ProjectionError, match="more than 3 sequences"):
            await hosted.runner.catch_up()
        assert 0 == (await app.read_model("balances").standing()).position
