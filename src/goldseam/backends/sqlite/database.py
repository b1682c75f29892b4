"""The Database port on SQLite: one writer thread, a few reader threads, one file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from goldseam.backends.sqlite.append import append_batch
from goldseam.backends.sqlite.workers import Workers
from goldseam.database.connection import Connection, Dialect, Operation, Parameters, Row
from goldseam.errors import IdempotencyMismatch, InvalidName
from goldseam.store.batch import Batch, Verdict

T = TypeVar("T")

READERS = 2
"""Reader threads: enough to read beside a long replay."""

BUSY_TIMEOUT_SECONDS = 5.0
"""How long a write waits for another process that is writing."""

OTHER_PROCESS_POLL_SECONDS = 0.05
"""How often to look whether another process has written: SQLite cannot notify."""

_UNSAFE = "may-lose-acknowledged-events"
_DURABILITY = {"full": "FULL", _UNSAFE: "NORMAL"}


class SqliteDatabase:
    """A SQLite database file, or one that lives in memory only."""

    dialect: Dialect = "sqlite"

    def __init__(self, url: str, path: str, synchronous: str) -> None:
        self.url, self.path = url, path
        self._synchronous = synchronous
        self._writer = Workers(self._connect, 1, "writer")
        alone = path == ":memory:"
        self._readers = self._writer if alone else Workers(self._connect, READERS, "reader")

    def _connect(self) -> sqlite3.Connection:
        raw = sqlite3.connect(
            self.path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
        )
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute(f"PRAGMA synchronous = {self._synchronous}")
        raw.execute("PRAGMA foreign_keys = ON")
        return raw

    async def append(self, batch: Batch) -> list[Verdict]:
        """Store a batch in one transaction: the quick way, or carefully if that breaks."""

        async def quickly(connection: Connection) -> list[Verdict]:
            return await append_batch(connection, batch, carefully=False)

        async def carefully(connection: Connection) -> list[Verdict]:
            return await append_batch(connection, batch)

        try:
            return await self._writer.run("IMMEDIATE", quickly)
        except IdempotencyMismatch:
            return await self._writer.run("IMMEDIATE", carefully)

    async def transact(self, operation: Operation[T]) -> T:
        """Run ``operation`` in one write transaction."""
        return await self._writer.run("IMMEDIATE", operation)

    async def read(self, operation: Operation[T]) -> T:
        """Run ``operation`` on one snapshot."""
        return await self._readers.run("DEFERRED", operation)

    async def read_one(self, operation: Operation[T]) -> T:
        """Run ``operation``; here on one snapshot too."""
        return await self.read(operation)

    async def fetch(self, sql: str, parameters: Parameters = {}) -> list[Row]:
        """Run one reading statement."""

        async def operation(connection: Connection) -> list[Row]:
            return await connection.fetch(sql, parameters)

        return await self.read(operation)

    async def notifications(self) -> AsyncIterator[None]:
        """Yields when another connection has changed the file (looked at every 50 ms)."""
        seen = None
        while True:
            await asyncio.sleep(OTHER_PROCESS_POLL_SECONDS)
            version = (await self.fetch("SELECT coalesce(max(position), 0) FROM goldseam_events"))[
                0
            ]
            if version != seen:
                seen = version
                yield None

    async def close(self) -> None:
        """End the threads; what is queued is finished first."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.close()
        self._readers.close()


def open_database(url: str) -> SqliteDatabase:
    """Open ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or ``sqlite:///:memory:``.

    ``?durability=may-lose-acknowledged-events`` trades safety for speed; the default loses
    nothing that was acknowledged, not even at power loss.

    Raises:
        InvalidName: the URL is not understood.
    """
    parts = urlsplit(url)
    path = unquote(parts.path)[1:]
    options = dict(parse_qsl(parts.query))
    durability = options.pop("durability", "full")
    if parts.netloc or not path or options or durability not in _DURABILITY:
        raise InvalidName(
            "SQLite URL",
            url,
            "write sqlite:///file.db or sqlite:////absolute/file.db, "
            f"optionally with ?durability=full or ?durability={_UNSAFE}",
        )
    if path != ":memory:" and not Path(path).absolute().parent.is_dir():
        raise InvalidName("SQLite URL", url, "its folder does not exist")
    return SqliteDatabase(url, path, _DURABILITY[durability])
