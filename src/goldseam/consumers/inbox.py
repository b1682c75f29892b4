"""What was applied already: a table of event ids, or the last version of each stream.

Both live in the transaction of the effect. The guide's patterns 3 and, with one row for each
stream instead of one for each event, the watermark.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from goldseam.consumers.errors import ConsumerError, GapDetected
from goldseam.consumers.items import Item
from goldseam.consumers.modes import DedupTable, Watermark
from goldseam.database.connection import Connection
from goldseam.database.statements import statements

PRUNE_BATCH = 1_000
"""Rows removed in one transaction: short enough to stand behind a batch."""


class Raced(Exception):
    """Somebody else applied one of these events meanwhile: roll back and look again."""


class NoVersion(ConsumerError):
    """A watermark cannot count events that say no version of a stream."""

    def __init__(self, consumer: str) -> None:
        super().__init__(
            f"consumer {consumer!r} counts with a watermark, and the event has no streamversion; "
            "use EffectivelyOnce(dedup=DedupTable()) for topics that no event store fills"
        )


class Inbox(Protocol):
    """Recognises what was applied. Colourless: it awaits only the connection it is given."""

    async def fresh(
        self, connection: Connection, items: Sequence[Item], now_us: int, *, redriven: bool
    ) -> list[Item]:
        """Those of ``items`` that were not applied yet; an event that leaves a gap has an error.

        A ``redriven`` one was let through by an operator: no gap holds it back.
        """
        ...

    async def settle(
        self, connection: Connection, applied: Sequence[Item], parked: Sequence[Item]
    ) -> None:
        """Remember what is applied, and only that.

        Raises:
            Raced: another transaction applied one of them first.
        """
        ...

    async def prune(self, connection: Connection, before_us: int) -> int:
        """Forget what is older than ``before_us``, at most a batch of it; how much that was."""
        ...


class TableInbox:
    """One row for each event id: the guide's ``processed_events``."""

    def __init__(self, consumer: str) -> None:
        self._consumer = consumer

    async def fresh(
        self, connection: Connection, items: Sequence[Item], now_us: int, *, redriven: bool
    ) -> list[Item]:
        """Insert the ids; what was there is a duplicate."""
        ids = list({item.event_id for item in items if item.error is None})
        if not ids:
            return list(items)
        named = {**self._ids(connection, ids), "now_us": now_us}
        rows = await connection.fetch(_sql(connection, "remember_events"), named)
        new = {str(row[0]) for row in rows}
        found = []
        for item in items:
            if item.error is not None:
                found.append(item)
            elif item.event_id in new:
                new.discard(item.event_id)
                found.append(item)
        return found

    async def settle(
        self, connection: Connection, applied: Sequence[Item], parked: Sequence[Item]
    ) -> None:
        """What is parked is not applied: a redrive must find it new."""
        ids = [item.event_id for item in parked if item.error is None]
        if ids:
            await connection.fetch(_sql(connection, "forget_events"), self._ids(connection, ids))

    async def prune(self, connection: Connection, before_us: int) -> int:
        """Forget a batch of old ids."""
        named = {"consumer": self._consumer, "before_us": before_us, "limit": PRUNE_BATCH}
        return len(await connection.fetch(_sql(connection, "prune_events"), named))

    async def known(self, connection: Connection, ids: Collection[str]) -> set[str]:
        """Which of ``ids`` are remembered."""
        if not ids:
            return set()
        named = self._ids(connection, ids)
        rows = await connection.fetch(_sql(connection, "known_events"), named)
        return {str(row[0]) for row in rows}

    async def remember(self, connection: Connection, ids: Collection[str], now_us: int) -> None:
        """Remember ``ids``."""
        named = {**self._ids(connection, ids), "now_us": now_us}
        await connection.fetch(_sql(connection, "remember_events"), named)

    def _ids(self, connection: Connection, ids: Collection[str]) -> dict[str, object]:
        return {"consumer": self._consumer, "ids": _many(connection, list(ids))}


class WatermarkInbox:
    """One row for each stream: the version that was applied last."""

    def __init__(self, consumer: str, how: Watermark) -> None:
        self._consumer, self._park_gaps = consumer, how.gaps == "park"

    async def fresh(
        self, connection: Connection, items: Sequence[Item], now_us: int, *, redriven: bool
    ) -> list[Item]:
        """Compare versions; the next one is fresh, one at or below the mark is a duplicate."""
        marks = await self.marks(connection, {item.key for item in items if item.error is None})
        found = []
        for item in items:
            if item.error is not None:
                found.append(item)
                continue
            last = marks.get(item.key, 0)
            if 0 < item.version <= last:
                continue
            if item.version == 0:
                item.error = NoVersion(self._consumer)
            elif item.version > last + 1 and self._park_gaps and not redriven:
                item.error = GapDetected(item.key, last, item.version)
            else:
                marks[item.key] = item.version
            found.append(item)
        return found

    async def marks(self, connection: Connection, streams: Collection[str]) -> dict[str, int]:
        """The last applied version of each of ``streams`` that has one."""
        if not streams:
            return {}
        named = {"consumer": self._consumer, "streams": _many(connection, sorted(streams))}
        rows = await connection.fetch(_sql(connection, "load_watermarks"), named)
        return {str(stream): int(version) for stream, version in rows}

    async def settle(
        self, connection: Connection, applied: Sequence[Item], parked: Sequence[Item]
    ) -> None:
        """Raise the marks to what is applied."""
        marks: dict[str, int] = {}
        for item in applied:
            marks[item.key] = max(item.version, marks.get(item.key, 0))
        if not marks:
            return
        named = {"consumer": self._consumer, **_marks(connection, dict(sorted(marks.items())))}
        raised = await connection.fetch(_sql(connection, "raise_watermarks"), named)
        if len(raised) != len(marks):
            raise Raced

    async def prune(self, connection: Connection, before_us: int) -> int:
        """One row for each stream needs no pruning."""
        return 0


def inbox_for(consumer: str, how: DedupTable | Watermark) -> Inbox:
    """The inbox that a mode asks for."""
    return WatermarkInbox(consumer, how) if isinstance(how, Watermark) else TableInbox(consumer)


def _many(connection: Connection, values: list[str]) -> object:
    """Many values as one parameter: an array, or JSON where there are no arrays."""
    return json.dumps(values) if connection.dialect == "sqlite" else values


def _marks(connection: Connection, marks: Mapping[str, int]) -> dict[str, object]:
    if connection.dialect == "sqlite":
        return {"versions": json.dumps(marks)}
    return {"streams": list(marks), "versions": list(marks.values())}


def _sql(connection: Connection, name: str) -> str:
    return statements("goldseam.consumers", connection.dialect)[name]
