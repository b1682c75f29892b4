"""read/cqrs-without-event-sourcing: a read model from plain rows, gap-safe, never stale."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from examples.cqrs_without_events.__main__ import main
from examples.cqrs_without_events.orders import Orders
from examples.cqrs_without_events.spending import SPENT, Spending
from goldseam.errors import InvalidName, InvalidPosition
from goldseam.projections.change_feed import change_feed
from goldseam.projections.hosted import HostedProjection
from goldseam.projections.row_source import RowSource
from goldseam.reads.read_model import ReadModel
from goldseam.runtime.wiring import open_database
from tests.projections.bank import Outside

ROOT = Path(__file__).resolve().parents[2]
WRITERS = 8
ORDERS = 25


async def test_the_example_shows_each_write_in_another_database(
    store_url: str, tmp_path: Path
) -> None:
    """Orders in one database, spending in another; no event store anywhere."""
    reads = f"sqlite:///{tmp_path / 'reads.db'}"
    assert {"ada": 1_200, "bob": 500} == await main(store_url, reads)
    assert [("o-1", "ada", 1_200), ("o-3", "bob", 500)] == Outside(reads).query(
        "SELECT order_id, customer, cents FROM paid_orders ORDER BY order_id"
    )
    assert [("o-1",), ("o-3",)] == Outside(store_url).query(
        "SELECT order_id FROM orders ORDER BY order_id"
    )


def test_the_example_runs_as_a_program() -> None:
    """``python -m examples.cqrs_without_events`` needs nothing but itself."""
    done = subprocess.run(
        [sys.executable, "-m", "examples.cqrs_without_events"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (0, "") == (done.returncode, done.stderr)
    assert "('bob', 500)" in done.stdout


async def test_many_writers_and_a_follower_agree_in_the_end(store_url: str) -> None:
    """Changes of concurrent transactions all arrive, once: spending is what the orders say."""
    database = open_database(store_url)
    orders, source = Orders(database), RowSource(database, "orders", poll_seconds=0.005)
    await orders.prepare()
    hosted = HostedProjection(Spending(), source, database)
    await hosted.prepare()
    running = asyncio.ensure_future(hosted.runner.run())

    async def write(writer: int) -> None:
        for n in range(ORDERS):
            name = f"o-{writer}-{n}"
            await orders.place(name, f"customer-{writer}", 10)
            await orders.pay(name)

    await asyncio.gather(*(write(writer) for writer in range(WRITERS)))
    model = ReadModel(source, hosted.projection, database, advances=hosted.advances)
    head = await source.head()
    rows = await model.fetch(SPENT, after=head, wait=20)
    assert [10 * ORDERS] * WRITERS == [int(cents) for _, cents in rows]
    assert WRITERS * ORDERS * 2 == head
    with pytest.raises(InvalidPosition):
        await model.fetch(SPENT, after=head + 1)
    hosted.runner.stop()
    await running
    await database.close()


async def _overtaken(url: str) -> list[Any]:
    """One transaction changes first and commits last; what a follower of the feed has seen."""
    plain, _, schema = url.partition("?schema=")
    database = open_database(url)
    await Orders(database).prepare()
    source, seen, after = RowSource(database, "orders"), [], 0
    options = f'-c search_path="{schema}"'
    insert = "INSERT INTO orders VALUES (%s, 'ada', 1, 'paid')"
    slow = await psycopg.AsyncConnection.connect(plain, options=options)
    await slow.execute(insert, ["slow"])

    async def quick() -> None:
        async with await psycopg.AsyncConnection.connect(plain, options=options) as raw:
            await raw.execute(insert, ["quick"])

    quickly = asyncio.ensure_future(quick())
    await asyncio.wait([quickly], timeout=0.5)
    for finish in (None, slow.commit):
        if finish is not None:
            await finish()
            await quickly
        page = await source.page(after, 100)
        after = page.position
        seen += [change.data.key for change in page.events]
    await slow.close()
    await database.close()
    return seen


async def test_a_change_that_commits_late_is_not_passed_over(postgres_schema_url: str) -> None:
    """Positions are in the order of commits: the lock makes the quick writer wait."""
    assert ["slow", "quick"] == await _overtaken(postgres_schema_url)


async def test_control_without_the_lock_the_late_change_is_lost(
    postgres_schema_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same two writers with positions from a sequence: the follower misses one for ever."""

    def with_sequence(table: str, key: str, columns: Any, dialect: Any) -> list[str]:
        made = change_feed(table, key, columns, dialect)
        lock = "PERFORM pg_advisory_xact_lock(1735355495, TG_RELID::integer);"
        assert any(lock in statement for statement in made)
        made = [statement.replace(lock, "") for statement in made]
        made = [
            statement.replace("coalesce(max(position), 0) + 1", "nextval('late')").replace(
                "FROM orders_changes;", ";"
            )
            for statement in made
        ]
        return ["CREATE SEQUENCE late", *made]

    monkeypatch.setattr("goldseam.projections.change_feed.change_feed", with_sequence)
    assert ["quick"] == await _overtaken(postgres_schema_url)


def test_names_that_could_be_sql_are_refused() -> None:
    """Identifiers cannot be parameters, so they are checked."""
    with pytest.raises(InvalidName):
        change_feed("orders; DROP TABLE orders", "order_id", [], "sqlite")
    with pytest.raises(InvalidName):
        change_feed("orders", "order_id", ["x'), ('y"], "postgresql")
