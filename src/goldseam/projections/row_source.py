"""Follow the changes of plain rows as if they were a log: CQRS without event sourcing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Any, Literal

import msgspec

from goldseam.database.connection import Database, Row
from goldseam.database.statements import statements
from goldseam.errors import InvalidPosition
from goldseam.events.event import Recorded
from goldseam.events.names import DEFAULT_TENANT
from goldseam.projections.change_feed import feed_of
from goldseam.projections.source import Alarm, Page

POLL_SECONDS = 0.1
"""How often the feed is looked at: plain tables do not notify."""

Operation = Literal["inserted", "updated", "deleted"]


class RowChanged(msgspec.Struct, frozen=True):
    """One change of one row. ``row`` is how it is now, or was before it was deleted."""

    table: str
    key: str
    operation: Operation
    row: dict[str, Any]


class RowSource:
    """The change feed of one table (see :func:`make_change_feed`) as the log of a projection.

    Handlers get :class:`RowChanged`; all changes of one row are one sequence.
    """

    def __init__(
        self, database: Database, table: str, *, poll_seconds: float = POLL_SECONDS
    ) -> None:
        self._database, self._table, self._feed = database, table, feed_of(table)
        self._poll_seconds = poll_seconds
        self.identity = f"rows of {table}"

    async def head(self) -> int:
        """The newest position of the feed."""
        rows = await self._database.fetch(self._sql("changes_head"))
        return int(rows[0][0])

    async def page(self, after: int, limit: int) -> Page:
        """The next changes above ``after``."""
        rows = await self._read(after, limit)
        changes = [self._recorded(row) for row in rows]
        return Page(changes, changes[-1].position if changes else after)

    async def recorded_us_after(self, position: int) -> int | None:
        """When the oldest change above ``position`` was made."""
        rows = await self._read(position, 1)
        return int(rows[0][4]) if rows else None

    async def position_of(self, token: str | int) -> int:
        """The position that ``token`` names: here a plain number.

        Raises:
            InvalidPosition: it is no number, negative, or beyond the end of the feed.
        """
        text = str(token)
        if not (text.isascii() and text.isdigit()):
            raise InvalidPosition(token, "it is not a position")
        if int(text) > await self.head():
            raise InvalidPosition(token, "it is in the future of this table")
        return int(text)

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[Alarm]:
        """An alarm that rings with every look at the feed."""
        yield _Poll(self._poll_seconds)

    async def _read(self, after: int, limit: int) -> list[Row]:
        window = {"after": after, "limit": limit}
        return await self._database.fetch(self._sql("read_changes"), window)

    def _sql(self, name: str) -> str:
        found = statements("goldseam.projections", self._database.dialect)[name]
        return found.replace("@feed@", self._feed)

    def _recorded(self, row: Row) -> Recorded[RowChanged]:
        position, key, operation, row_json, changed_us = row
        change = RowChanged(self._table, key, operation, msgspec.json.decode(row_json))
        named = f"{self.identity} {position}".encode()
        return Recorded(
            position, f"{self._table}-{key}", position, "RowChanged", 1, change, DEFAULT_TENANT,
            changed_us, blake2b(named, digest_size=16).digest(), b"{}",
        )  # fmt: skip


class _Poll:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def wait(self, seconds: float) -> None:
        """Until the next look."""
        await asyncio.sleep(min(seconds, self._seconds))
