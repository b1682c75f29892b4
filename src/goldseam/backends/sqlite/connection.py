"""The Connection port on a blocking sqlite3 connection: coroutines that never suspend."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from goldseam.backends.sqlite.append import append_batch
from goldseam.backends.sqlite.errors import translate
from goldseam.database.connection import Dialect, Parameters, Row
from goldseam.store.batch import Batch, Verdict


class SqliteConnection:
    """One sqlite3 connection inside somebody's transaction."""

    dialect: Dialect = "sqlite"

    def __init__(self, raw: sqlite3.Connection) -> None:
        self.raw = raw

    async def fetch(self, sql: str, parameters: Parameters = {}) -> list[Row]:
        """Run one statement; its rows."""
        try:
            return self.raw.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise translate(error) from error

    async def execute_many(
        self, sql: str, rows: Sequence[Parameters] | Sequence[Sequence[Any]]
    ) -> None:
        """Run one statement for each row."""
        try:
            self.raw.executemany(sql, rows)
        except sqlite3.Error as error:
            raise translate(error) from error

    async def append(self, batch: Batch) -> list[Verdict]:
        """Judge and store a batch under SQLite's write lock."""
        return await append_batch(self, batch)


def begin(raw: sqlite3.Connection, mode: str) -> None:
    """Begin a transaction, with SQLite's errors translated."""
    try:
        raw.execute(f"BEGIN {mode}")
    except sqlite3.Error as error:
        raise translate(error) from error


def rollback(raw: sqlite3.Connection) -> None:
    """End a transaction without a trace; SQLite may have done so already."""
    if raw.in_transaction:
        raw.execute("ROLLBACK")
