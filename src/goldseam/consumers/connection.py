"""What a consumer's handler writes with: the batch's transaction, or one statement at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from goldseam.consumers.errors import ConsumerError
from goldseam.consumers.tables import ConsumerTables
from goldseam.database.connection import Connection, Database, Dialect, Parameters, Row

SideEffect = Callable[[], Awaitable[object] | object]


class ConsumerConnection(Protocol):
    """The consumer's database. ``{name}`` stands for its table, ``:name`` for a parameter."""

    dialect: Dialect

    async def fetch(self, sql: str, parameters: Parameters = {}) -> list[Row]:
        """Run one statement; its rows."""
        ...

    async def execute(self, sql: str, parameters: Parameters = {}) -> None:
        """Run one statement."""
        ...

    async def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        """Run one statement for each of ``rows``, in as few round trips as the driver can."""
        ...

    def side_effect(self, effect: SideEffect) -> None:
        """Do ``effect`` after the commit; a crash right after the commit loses it."""
        ...


class InTransaction:
    """Inside the transaction that also holds the dedup records and the offset."""

    def __init__(self, connection: Connection, tables: ConsumerTables) -> None:
        self.connection, self._tables = connection, tables
        self.dialect: Dialect = connection.dialect
        self.effects: list[SideEffect] = []

    async def fetch(self, sql: str, parameters: Parameters = {}) -> list[Row]:
        """Run one statement; its rows."""
        return await self.connection.fetch(self._tables.named(sql), parameters)

    async def execute(self, sql: str, parameters: Parameters = {}) -> None:
        """Run one statement."""
        await self.connection.fetch(self._tables.named(sql), parameters)

    async def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        """Run one statement for each of ``rows``."""
        if rows:
            await self.connection.execute_many(self._tables.named(sql), rows)

    def side_effect(self, effect: SideEffect) -> None:
        """Do ``effect`` after the commit."""
        self.effects.append(effect)


class EachByItself:
    """Outside of any transaction: every statement commits by itself."""

    def __init__(self, consumer: str, database: Database | None, tables: ConsumerTables) -> None:
        self._consumer, self._database, self._tables = consumer, database, tables
        self.dialect: Dialect = "sqlite" if database is None else database.dialect
        self.effects: list[SideEffect] = []

    def _given(self) -> Database:
        if self._database is None:
            raise ConsumerError(f"consumer {self._consumer!r} was started without a database")
        return self._database

    async def fetch(self, sql: str, parameters: Parameters = {}) -> list[Row]:
        """Run one statement; its rows."""
        named = self._tables.named(sql)
        return await self._given().transact(lambda c: c.fetch(named, parameters))

    async def execute(self, sql: str, parameters: Parameters = {}) -> None:
        """Run one statement."""
        await self.fetch(sql, parameters)

    async def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        """Run one statement for each of ``rows``, all or none."""
        named = self._tables.named(sql)
        if rows:
            await self._given().transact(lambda c: c.execute_many(named, rows))

    def side_effect(self, effect: SideEffect) -> None:
        """Do ``effect`` when the record is done."""
        self.effects.append(effect)
