"""Read the log: by stream, by category, all; forwards and backwards; in bounded pages.

Every event is checked before it is served: its checksum, its place in the stream, and in the
log as a whole that no position is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from goldseam.database.connection import Connection, Row
from goldseam.database.statements import statements
from goldseam.errors import InvalidName
from goldseam.events.checksum import content_checksum, placed_checksum, stream_seed
from goldseam.events.event import RawEvent
from goldseam.events.names import DEFAULT_TENANT, checked_name
from goldseam.events.registry import Registry, type_seed
from goldseam.store.decode import POSITION, STREAM, VERSION, Decoder, Page, damaged

PAGE_EVENTS = 1_000
"""Events of one page unless the reader asks for fewer."""

PAGE_EVENTS_MAX = 10_000
"""Most events of one page: memory stays bounded whatever a reader asks for."""

POSITION_END = 2**63 - 1
"""Beyond every position and version."""


class Reader:
    """The reads of one tenant. Colourless: it awaits only the connection it is given."""

    def __init__(self, registry: Registry, tenant: str, *, tolerant: bool = False) -> None:
        self._tenant = tenant
        self.decoder = Decoder(registry, tenant, tolerant=tolerant)

    async def stream(
        self,
        connection: Connection,
        stream: str,
        *,
        after: int = 0,
        until: int = POSITION_END,
        limit: int = PAGE_EVENTS,
    ) -> Page:
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
        _refuse_hole(rows, after, 1)
        return self.decoder.page(rows, VERSION, limit)

    async def stream_backwards(
        self, connection: Connection, stream: str, *, before: int = POSITION_END, limit: int
    ) -> Page:
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
        _refuse_hole(rows, rows[0][VERSION] + 1 if rows else 0, -1)
        return self.decoder.page(rows, VERSION, limit)

    async def category(
        self,
        connection: Connection,
        category: str,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int = PAGE_EVENTS,
    ) -> Page:
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
        return self.decoder.page(rows, POSITION, limit)

    async def all(
        self, connection: Connection, *, after: int = 0, limit: int = PAGE_EVENTS
    ) -> Page:
        """Events of the tenant above position ``after``, in the order they were committed.

        Raises:
            CorruptEvent: an event is damaged, or a position is missing from the log.
        """
        window: dict[str, object] = {"after": after, "limit": checked_limit(limit)}
        rows = await self._log(connection, "read_all", "", window)
        if rows and rows[-1][POSITION] - after != len(rows):
            await self._refuse_gap(connection, after, rows[-1][POSITION])
        return self.decoder.page(rows, POSITION, limit)

    async def all_backwards(
        self, connection: Connection, *, before: int = POSITION_END, limit: int
    ) -> Page:
        """Events of the tenant below position ``before``, newest first."""
        window: dict[str, object] = {"before": before, "limit": checked_limit(limit)}
        rows = await self._log(connection, "read_all", "_backwards", window)
        return self.decoder.page(rows, POSITION, limit)

    async def _log(
        self, connection: Connection, name: str, direction: str, window: dict[str, object]
    ) -> list[Row]:
        """The log of the main tenant is walked by position, any other's by its own index."""
        if self._tenant == DEFAULT_TENANT:
            return await connection.fetch(_sql(connection, name + direction), window)
        window["tenant"] = self._tenant
        return await connection.fetch(_sql(connection, f"{name}_of_tenant{direction}"), window)

    async def event(self, connection: Connection, event_id: bytes) -> Page:
        """The event of this id as a page of one, or an empty page."""
        rows = await connection.fetch(
            _sql(connection, "read_event"),
            {"tenant": self._tenant, "id": _id(connection, event_id)},
        )
        return self.decoder.page(rows, POSITION, 1)

    def typed(self, stored: Sequence[RawEvent]) -> Page:
        """Stored events that were not read here; their transport has checked their bytes."""
        rows: list[Row] = []
        for one in stored:
            seed, kind = stream_seed(one.tenant, one.stream), type_seed(one.type, one.type_version)
            content = content_checksum(
                seed, kind, one.id_bytes, one.recorded_us, one.metadata_bytes, one.payload
            )
            checksum = placed_checksum(content, one.version, one.position)
            rows.append(
                (
                    one.position,
                    one.stream,
                    one.version,
                    one.type,
                    one.type_version,
                    one.payload,
                    one.recorded_us,
                    one.id_bytes,
                    one.metadata_bytes,
                    checksum,
                )
            )
        return self.decoder.page(rows, POSITION, max(len(rows), 1))

    async def _refuse_gap(self, connection: Connection, after: int, until: int) -> None:
        """Positions between this tenant's events must belong to other tenants."""
        window: dict[str, object] = {"after": after, "until": until}
        count = (await connection.fetch(_sql(connection, "count_between"), window))[0][0]
        if count != until - after:
            missing = until - after - count
            reason = f"{missing} position(s) are missing between {after} and {until}"
            raise damaged(until, "", reason)


def _refuse_hole(rows: Sequence[Row], before: int, step: int) -> None:
    """Versions of a stream follow one another without a hole."""
    for row in rows:
        before += step
        if row[VERSION] != before:
            reason = f"version {before} of its stream is missing before version {row[VERSION]}"
            raise damaged(row[POSITION], row[STREAM], reason)


def checked_limit(limit: int) -> int:
    """``limit`` if it is a size that a page may have.

    Raises:
        InvalidName: it is below 1 or above the largest page.
    """
    if not 1 <= limit <= PAGE_EVENTS_MAX:
        raise InvalidName("limit", limit, f"it must be 1 to {PAGE_EVENTS_MAX}")
    return limit


def _id(connection: Connection, event_id: bytes) -> object:
    return event_id if connection.dialect == "sqlite" else UUID(bytes=event_id)


def _sql(connection: Connection, name: str) -> str:
    return statements("goldseam.store", connection.dialect)[name]
