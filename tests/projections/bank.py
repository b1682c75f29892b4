"""A small bank for the projection tests, and ways to look at its rows from outside."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import psycopg

from goldseam import Projection, Recorded, event, handles
from goldseam.projections.connection import ProjectionConnection

POISON = 666
"""An amount that no handler of these tests can take, until its bug is mended."""

SETTLE_SECONDS_MAX = 30.0


@event(name="tests.DepositApplied")
class DepositApplied:
    amount: int


@event(name="tests.AccountRenamed")
class AccountRenamed:
    name: str


class Balances(Projection):
    """Balance and number of deposits of each account, one event at a time."""

    name = "balances"
    tables = (
        "CREATE TABLE {balances} (account TEXT PRIMARY KEY, balance BIGINT NOT NULL, "
        "deposits BIGINT NOT NULL);\nCREATE INDEX {balances}_by_balance ON {balances} (balance)"
    )

    def __init__(self) -> None:
        super().__init__()
        self.broken = False
        self.told: list[int] = []

    @handles(DepositApplied)
    async def deposited(self, fact: Recorded[DepositApplied], db: ProjectionConnection) -> None:
        await db.execute(
            "INSERT INTO {balances} VALUES (:account, :amount, 1) ON CONFLICT (account) DO UPDATE"
            " SET balance = {balances}.balance + excluded.balance,"
            " deposits = {balances}.deposits + 1",
            {"account": fact.stream, "amount": fact.data.amount},
        )
        if self.broken and fact.data.amount == POISON:
            raise ValueError(f"no bank takes {fact.data.amount}")
        db.side_effect(lambda: self.told.append(fact.position))


class Movements(Projection):
    """Every deposit as a row of its own, in batches: what was applied, and in which order."""

    name = "movements"
    types = (DepositApplied,)
    tables = (
        "CREATE TABLE {movements} (n INTEGER PRIMARY KEY, position BIGINT NOT NULL, "
        "account TEXT NOT NULL, amount BIGINT NOT NULL)"
    )

    def __init__(self) -> None:
        super().__init__()
        self.broken = False

    async def apply_batch(self, events: Sequence[Recorded[Any]], db: ProjectionConnection) -> None:
        last = int((await db.fetch("SELECT coalesce(max(n), 0) FROM {movements}"))[0][0])
        rows = [
            {"n": last + n, "position": e.position, "account": e.stream, "amount": e.data.amount}
            for n, e in enumerate(events, 1)
        ]
        await db.execute_many(
            "INSERT INTO {movements} VALUES (:n, :position, :account, :amount)", rows
        )
        if self.broken and any(e.data.amount == POISON for e in events):
            raise ValueError("a batch with poison in it")


class Outside:
    """Looks at a database with a driver of its own, not with the toolkit."""

    def __init__(self, url: str) -> None:
        self._url = url

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of one statement; it commits."""
        if self._url.startswith("sqlite"):
            raw = sqlite3.connect(urlsplit(self._url).path[1:], timeout=10)
            try:
                rows = raw.execute(sql).fetchall()
                raw.commit()
                return rows
            finally:
                raw.close()
        parts = urlsplit(self._url)
        schema = dict(parse_qsl(parts.query))["schema"]
        with psycopg.connect(
            urlunsplit(("postgresql", *parts[1:3], "", "")),
            options=f'-c search_path="{schema}"',
            autocommit=True,
        ) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until ``condition`` holds; the limit is for a broken program, not a measurement."""
    async with asyncio.timeout(SETTLE_SECONDS_MAX):
        while not await condition():  # noqa: ASYNC110 (what is waited for is outside)
            await asyncio.sleep(0.01)
