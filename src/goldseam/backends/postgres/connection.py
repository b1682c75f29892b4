"""The Connection port on psycopg: an async connection, and a caller's own blocking one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, cast

import psycopg
from typing import LiteralString

from goldseam.backends.postgres.append import parameters, verdicts
from goldseam.backends.postgres.errors import translate
from goldseam.store.batch import Batch, Verdict
from goldseam.store.connection import Dialect, Parameters, Row
from goldseam.store.statements import statements

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")
_APPEND = statements("goldseam.store", "postgresql")["append"]
_STATEMENTS_REMEMBERED = 1024


@lru_cache(_STATEMENTS_REMEMBERED)
def pyformat(sql: str) -> LiteralString:
    """``:name`` parameters in psycopg's own way of writing them."""
    return cast(LiteralString, _PARAMETER.sub(r"%(\1)s", sql.replace("%", "%%")))


class AsyncPostgresConnection:
    """One psycopg AsyncConnection inside somebody's transaction."""

    dialect: Dialect = "postgresql"

    def __init__(self, raw: psycopg.AsyncConnection[Any]) -> None:
        self.raw = raw
        self._cursor = raw.cursor(binary=True)

    async def fetch(self, sql: str, parameters: Parameters = {}) -> list[Row]:
        """Run one statement; its rows."""
        cursor = self._cursor
        try:
            if parameters:
                await cursor.execute(pyformat(sql), parameters)
            else:
                await cursor.execute(cast(LiteralString, sql))
            return await cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise translate(error) from error

    async def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        """Run one statement for each row, pipelined."""
        try:
            await self._cursor.executemany(pyformat(sql), rows)
        except psycopg.Error as error:
            raise translate(error) from error

    async def append(self, batch: Batch) -> list[Verdict]:
        """Judge and store a batch: one call of one function."""
        return verdicts(batch, await self.fetch(_APPEND, parameters(batch)))


class BlockingPostgresConnection:
    """A caller's own blocking psycopg connection, inside the caller's own transaction."""

    dialect: Dialect = "postgresql"

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self.raw = raw

    async def fetch(self, sql: str, parameters: Parameters = {}) -> list[Row]:
        """Run one statement; its rows. Never suspends."""

        def run(cursor: psycopg.Cursor[Row]) -> list[Row]:
            if parameters:
                cursor.execute(pyformat(sql), parameters)
            else:
                cursor.execute(cast(LiteralString, sql))
            return cursor.fetchall() if cursor.description else []

        return self._translated(run)

    async def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        """Run one statement for each row. Never suspends."""
        self._translated(lambda cursor: cursor.executemany(pyformat(sql), rows))

    async def append(self, batch: Batch) -> list[Verdict]:
        """Judge and store a batch: one call of one function."""
        return verdicts(batch, await self.fetch(_APPEND, parameters(batch)))

    def _translated(self, run: Callable[[psycopg.Cursor[Row]], Any]) -> Any:
        try:
            with self.raw.cursor(binary=True, row_factory=psycopg.rows.tuple_row) as cursor:
                return run(cursor)
        except psycopg.Error as error:
            raise translate(error) from error
