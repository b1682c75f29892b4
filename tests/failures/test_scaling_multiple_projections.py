"""scaling/multiple-projections: several read models of one log, in different databases."""

from __future__ import annotations

from pathlib import Path

from goldseam import ANY, Goldseam
from tests.crashes.outside import query
from tests.projections.bank import Balances, DepositApplied, Movements


async def test_each_projection_has_its_database_and_its_pace(
    store_url: str, postgres_schema_url: str, tmp_path: Path
) -> None:
    """One in SQLite, one in PostgreSQL; the one that stands still stops no other."""
    sqlite_url = f"sqlite:///{tmp_path / 'movements.db'}"
    places = {"balances": postgres_schema_url, "movements": sqlite_url}
    async with Goldseam(store_url, [Balances(), Movements()], read_models=places) as app:
        await app.projections["movements"].pause()
        done = None
        for n in range(10):
            done = await app.store.append("account-1", [DepositApplied(n)], expected=ANY)
        assert done is not None
        total = await app.fetch(
            "balances", "SELECT balance, deposits FROM balances", after=done.token, wait=20
        )
        assert [(0,)] == query(sqlite_url, "SELECT count(*) FROM movements")
        await app.projections["movements"].resume()
        await app.fetch("movements", "SELECT 1", after=done.token, wait=20)

    assert [(45, 10)] == total
    assert [(10,)] == query(sqlite_url, "SELECT count(*) FROM movements")
    assert [(45, 10)] == query(postgres_schema_url, "SELECT balance, deposits FROM balances")


async def test_control_one_read_model_for_every_question_is_slow_for_one_of_them(
    store_url: str,
) -> None:
    """Without a second projection the sums must be computed from all movements, row by row."""
    async with Goldseam(store_url, [Movements()]) as app:
        done = None
        for n in range(10):
            done = await app.store.append("account-1", [DepositApplied(n)], expected=ANY)
        assert done is not None
        rows = await app.fetch(
            "movements", "SELECT amount FROM movements", after=done.token, wait=20
        )

    assert 10 == len(rows), "one account's balance needs every movement"
