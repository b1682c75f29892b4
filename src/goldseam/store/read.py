"""Read the log: by stream, by category, all; forwards and backwards; in bounded pages.

Every event is checked before it is served: its checksum, its place in the stream, and in the
log as a whole that no position is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID
from zlib import crc32

from goldseam.database.connection import Connection, Row
from goldseam.database.statements import statements
from goldseam.errors import CorruptEvent, InvalidName
from goldseam.events.checksum import StreamSeeds
from goldseam.events.event import Recorded
from goldseam.events.names import DEFAULT_TENANT, checked_name
from goldseam.events.registry import Registry
from goldseam.telemetry.signals import signals

PAGE_EVENTS = 1_000
"""Events of one page unless the reader asks for fewer."""

PAGE_EVENTS_MAX = 10_000
"""Most events of one page: memory stays bounded whatever a reader asks for."""

POSITION_END = 2**63 - 1
"""Beyond every position and version."""


class Reader:
    """The reads of one tenant. Colourless: it awaits only the connection it is given."""

    def __init__(self, registry: Registry, tenant: str, *, tolerant: bool = False) -> None:
        self._types, self._tenant = registry.by_name, tenant
        self._named = registry.named_or_untyped if tolerant else registry.named
        self._seeds = StreamSeeds(tenant)

    async def stream(
        self,
        connection: Connection,
        stream: str,
        *,
        after: int = 0,
        until: int = POSITION_END,
        limit: int = PAGE_EVENTS,
    ) -> list[Recorded[Any]]:
        """Events of ``stream`` with versions above ``after``, oldest first.

        Raises:
            CorruptEvent: an event is damaged, or one is missing in between.
        """
        rows = await connection.fetch(
            _sql(connection, "read_stream"),
            {
                "tenant": self._tenant,
                "stream": checked_name("stream", stream),
                "after": after,
                "until": until,
                "limit": checked_limit(limit),
            },
        )
        return self._unbroken(self._decode(rows), after, 1)

    async def stream_backwards(
        self, connection: Connection, stream: str, *, before: int = POSITION_END, limit: int
    ) -> list[Recorded[Any]]:
        """Events of ``stream`` with versions below ``before``, newest first."""
        rows = await connection.fetch(
            _sql(connection, "read_stream_backwards"),
            {
                "tenant": self._tenant,
                "stream": checked_name("stream", stream),
                "before": before,
                "limit": checked_limit(limit),
            },
        )
        events = self._decode(rows)
        return self._unbroken(events, events[0].version + 1 if events else 0, -1)

    async def category(
        self,
        connection: Connection,
        category: str,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int = PAGE_EVENTS,
    ) -> list[Recorded[Any]]:
        """Events of all streams of ``category``; newest first when ``before`` is given."""
        statement = "read_category" if before is None else "read_category_backwards"
        rows = await connection.fetch(
            _sql(connection, statement),
            {
                "tenant": self._tenant,
                "category": checked_name("category", category),
                **({"after": after} if before is None else {"before": before}),
                "limit": checked_limit(limit),
            },
        )
        return self._decode(rows)

    async def all(
        self, connection: Connection, *, after: int = 0, limit: int = PAGE_EVENTS
    ) -> list[Recorded[Any]]:
        """Events of the tenant above position ``after``, in the order they were committed.

        Raises:
            CorruptEvent: an event is damaged, or a position is missing from the log.
        """
        window: dict[str, object] = {"after": after, "limit": checked_limit(limit)}
        rows = await self._log(connection, "read_all", "", window)
        events = self._decode(rows)
        if events and events[-1].position - after != len(events):
            await self._refuse_gap(connection, after, events[-1].position)
        return events

    async def all_backwards(
        self, connection: Connection, *, before: int = POSITION_END, limit: int
    ) -> list[Recorded[Any]]:
        """Events of the tenant below position ``before``, newest first."""
        window: dict[str, object] = {"before": before, "limit": checked_limit(limit)}
        return self._decode(await self._log(connection, "read_all", "_backwards", window))

    async def _log(
        self, connection: Connection, name: str, direction: str, window: dict[str, object]
    ) -> list[Row]:
        """The log of the main tenant is walked by position, any other's by its own index."""
        if self._tenant == DEFAULT_TENANT:
            return await connection.fetch(_sql(connection, name + direction), window)
        window["tenant"] = self._tenant
        return await connection.fetch(_sql(connection, f"{name}_of_tenant{direction}"), window)

    async def event(self, connection: Connection, event_id: bytes) -> Recorded[Any] | None:
        """The event of this id, or None."""
        rows = await connection.fetch(
            _sql(connection, "read_event"),
            {"tenant": self._tenant, "id": _id(connection, event_id)},
        )
        found = self._decode(rows)
        return found[0] if found else None

    def _decode(self, rows: Sequence[Row]) -> list[Recorded[Any]]:
        """Rows as typed events. The toolkit's hottest loop: keep it flat."""
        types, seeds, tenant, new = self._types, self._seeds, self._tenant, Recorded
        found: list[Recorded[Any]] = []
        keep, whole = found.append, b"".join
        for row in rows:
            position, stream, version, name, type_version, payload, us, id_, meta, checksum = row
            kind = types.get((name, type_version)) or self._named(name, type_version)
            content = crc32(whole((id_, meta, payload)), seeds[stream] ^ kind.seed)
            # content_checksum and placed_checksum of events/checksum.py, written out
            if content ^ us ^ version ^ position != checksum:
                raise _damaged(position, stream, "its checksum does not hold")
            data = kind.decode(payload)
            keep(new(position, stream, version, name, type_version, data, tenant, us, id_, meta))
        return found

    def _unbroken(self, events: list[Recorded[Any]], before: int, step: int) -> list[Recorded[Any]]:
        """``events``, if their versions follow one another without a hole."""
        for event in events:
            before += step
            if event.version != before:
                reason = f"version {before} of its stream is missing before version {event.version}"
                raise _damaged(event.position, event.stream, reason)
        return events

    async def _refuse_gap(self, connection: Connection, after: int, until: int) -> None:
        """Positions between this tenant's events must belong to other tenants."""
        window: dict[str, object] = {"after": after, "until": until}
        count = (await connection.fetch(_sql(connection, "count_between"), window))[0][0]
        if count != until - after:
            missing = until - after - count
            reason = f"{missing} position(s) are missing between {after} and {until}"
            raise _damaged(until, "", reason)


def checked_limit(limit: int) -> int:
    """``limit`` if it is a size that a page may have.

    Raises:
        InvalidName: it is below 1 or above the largest page.
    """
    if not 1 <= limit <= PAGE_EVENTS_MAX:
        raise InvalidName("limit", limit, f"it must be 1 to {PAGE_EVENTS_MAX}")
    return limit


def _damaged(position: int, stream: str, reason: str) -> CorruptEvent:
    signals.count("goldseam_corrupt_events_total")
    return CorruptEvent(position, stream, reason)


def _id(connection: Connection, event_id: bytes) -> object:
    return event_id if connection.dialect == "sqlite" else UUID(bytes=event_id)


def _sql(connection: Connection, name: str) -> str:
    return statements("goldseam.store", connection.dialect)[name]
