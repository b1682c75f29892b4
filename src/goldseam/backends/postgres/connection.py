"""The Connection port on psycopg: an async connection, and a caller's own blocking one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, cast

import psycopg
from psycopg import errors, generators, pq, rows

from goldseam.backends.postgres.append import APPEND_CAREFULLY, parameters
from goldseam.backends.postgres.errors import translate
from goldseam.backends.postgres.results import batch_verdicts
from goldseam.database.connection import Dialect, Parameters, Row
from goldseam.store.batch import Batch, Verdict

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")
_STATEMENTS_REMEMBERED = 1024


@lru_cache(_STATEMENTS_REMEMBERED)
def pyformat(sql: str) -> str:
    """``:name`` parameters in psycopg's own way of writing them."""
    return _PARAMETER.sub(r"%(\1)s", sql.replace("%", "%%"))


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
                await cursor.execute(pyformat(sql).encode(), parameters)
            else:
                await cursor.execute(sql.encode())
            return await cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise translate(error) from error

    async def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        """Run one statement for each row, pipelined."""
        try:
            await self._cursor.executemany(pyformat(sql).encode(), rows)
        except psycopg.Error as error:
            raise translate(error) from error

    async def append(self, batch: Batch) -> list[Verdict]:
        """Judge and store a batch: one call of one function."""
        try:
            async with self.raw.lock:
                _send_append(self.raw.pgconn, batch)
                found = await self.raw.wait(generators.execute(self.raw.pgconn))
            return _verdicts(batch, found)
        except psycopg.Error as error:
            raise translate(error) from error


class BlockingPostgresConnection:
    """A caller's own blocking psycopg connection, inside the caller's own transaction."""

    dialect: Dialect = "postgresql"

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self.raw = raw

    async def fetch(self, sql: str, parameters: Parameters = {}) -> list[Row]:
        """Run one statement; its rows. Never suspends."""

        def run(cursor: psycopg.Cursor[Row]) -> list[Row]:
            if parameters:
                cursor.execute(pyformat(sql).encode(), parameters)
            else:
                cursor.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

        return cast(list[Row], self._translated(run))

    async def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        """Run one statement for each row. Never suspends."""
        self._translated(lambda cursor: cursor.executemany(pyformat(sql).encode(), rows))

    async def append(self, batch: Batch) -> list[Verdict]:
        """Judge and store a batch: one call of one function. Never suspends."""

        def run(cursor: psycopg.Cursor[Row]) -> list[Verdict]:
            cursor.execute("SELECT 1")  # begins the caller's transaction if it has not begun
            with self.raw.lock:
                _send_append(self.raw.pgconn, batch)
                found = self.raw.wait(generators.execute(self.raw.pgconn))
            return _verdicts(batch, found)

        return cast(list[Verdict], self._translated(run))

    def _translated(self, run: Callable[[psycopg.Cursor[Row]], object]) -> object:
        try:
            with self.raw.cursor(binary=True, row_factory=rows.tuple_row) as cursor:
                return run(cursor)
        except psycopg.Error as error:
            raise translate(error) from error


def _send_append(libpq: pq.abc.PGconn, batch: Batch) -> None:
    """Always the careful way: an error inside a caller's transaction would end it."""
    values = parameters(batch)
    formats = [pq.Format.BINARY] * len(values)
    libpq.send_query_params(
        APPEND_CAREFULLY.encode(), values, param_formats=formats, result_format=pq.Format.BINARY
    )


def _verdicts(batch: Batch, found: Sequence[pq.abc.PGresult]) -> list[Verdict]:
    if found[-1].status != pq.ExecStatus.TUPLES_OK:
        raise errors.error_from_result(found[-1])
    return batch_verdicts(batch, found[-1])
