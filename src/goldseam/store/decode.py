"""From rows to typed events: checked, upcast, and opened where values are sealed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zlib import crc32

import msgspec

from goldseam.database.connection import Row
from goldseam.errors import CorruptEvent, UnreadableEvent, UpcastFailed
from goldseam.events.checksum import StreamSeeds
from goldseam.events.codec import without_values
from goldseam.events.event import Recorded
from goldseam.events.personal import SEAL, Opened, unmarked
from goldseam.events.registry import EventType, Past, Registry, Untyped
from goldseam.telemetry.signals import signals
from goldseam.versioning.upcasting import Stored, part_id, upcast

POSITION, STREAM, VERSION = 0, 1, 2
"""Where the columns of a row are; see ``event_columns`` in sql/statements.sql."""


class Page(list[Recorded[Any]]):
    """Events in the order they were asked for, and how far the page covers the log.

    Upcasting may make several events of a stored one, or none: a page is counted by what is
    stored. An event with sealed values stands in it as ``Sealed`` until it is opened.
    """

    __slots__ = ("end", "full", "sealed", "subjects")

    def __init__(self) -> None:
        super().__init__()
        self.end = 0
        """Position (of the log and categories) or version (of streams) of the last stored event."""
        self.full = False
        """Whether it has as many stored events as were asked for: there may be more."""
        self.sealed: list[int] = []
        """Where events wait to be opened."""
        self.subjects: frozenset[str] = frozenset()
        """Whom the events' personal fields are about, once it is opened."""


class Sealed(msgspec.Struct, frozen=True):
    """The payload of an event with sealed values, not opened yet."""

    kind: EventType
    payload: bytes


class Decoder:
    """Makes typed events of one tenant's rows.

    Args:
        tolerant: what the classes of this program cannot read comes as ``Untyped`` instead of
            raising.
    """

    def __init__(self, registry: Registry, tenant: str, *, tolerant: bool = False) -> None:
        self.registry, self._tenant, self._tolerant = registry, tenant, tolerant
        self._types, self._seeds = registry.by_name, StreamSeeds(tenant)
        self._named = registry.named_or_untyped if tolerant else registry.named

    def page(self, rows: Sequence[Row], end: int, limit: int) -> Page:
        """Rows as typed events. The toolkit's hottest loop: keep it flat.

        ``end`` is the column that the page is counted by: the position or the version.
        """
        types, seeds, tenant, new = self._types, self._seeds, self._tenant, Recorded
        page = Page()
        keep, whole = page.append, b"".join
        for row in rows:
            position, stream, version, name, type_version, payload, us, id_, meta, checksum = row
            kind = types.get((name, type_version)) or self._named(name, type_version)
            content = crc32(whole((id_, meta, payload)), seeds[stream] ^ kind.seed)
            # content_checksum and placed_checksum of events/checksum.py, written out
            if content ^ us ^ version ^ position != checksum:
                raise damaged(position, stream, "its checksum does not hold")
            if not kind.plain:
                self._keep_special(page, row, kind)
                continue
            try:
                data = kind.decode(payload)
            except ValueError as error:
                data = self._unreadable(kind, payload, error)
            keep(new(position, stream, version, name, type_version, data, tenant, us, id_, meta))
        if rows:
            page.end = rows[-1][end]
        page.full = len(rows) >= limit
        return page

    def _keep_special(self, page: Page, row: Row, kind: EventType) -> None:
        """An event that must be opened or upcast before it is what its class says."""
        payload, stored = row[5], self._stored(row)
        if SEAL in payload:
            page.sealed.append(len(page))
            data: object = Sealed(kind, payload)
            page.append(_recorded(stored, kind, data))
        else:
            page += self._today(stored, payload, msgspec.json.decode(payload))

    def _stored(self, row: Row) -> Stored:
        position, stream, version, name, type_version, _, us, id_, meta, _ = row
        return Stored(name, type_version, self._tenant, stream, version, position, us, id_, meta)

    def _today(self, stored: Stored, payload: bytes, fields: dict[str, Any]) -> list[Recorded[Any]]:
        """The typed events that one stored event is read as today."""
        try:
            parts = upcast(self.registry, stored, fields, tolerant=self._tolerant)
            return [_part(stored, n, *part) for n, part in enumerate(parts)]
        except (UpcastFailed, ValueError) as error:
            kind = self._named(stored.type, stored.type_version)
            return [_recorded(stored, kind, self._unreadable(kind, payload, error))]

    def _unreadable(self, kind: EventType, payload: bytes, error: Exception) -> Untyped:
        """An intact event that the classes of this program cannot read is held, never dropped."""
        if not isinstance(error, UnreadableEvent):
            error = UnreadableEvent(kind.name, kind.version, without_values(error))
        signals.count("goldseam_upcasts_failed_total")
        if not self._tolerant:
            raise error from None
        reason = f"an upcaster failed: {error.reason}" if kind.kind is Past else error.reason
        return Untyped(kind.name, kind.version, msgspec.Raw(payload), reason)

    def opened(self, page: Page, opened: Sequence[Opened]) -> Page:
        """``page`` with its sealed events opened: one of ``opened`` for each of ``page.sealed``."""
        clear = Page()
        clear.end, clear.full = page.end, page.full
        places = dict(zip(page.sealed, opened, strict=True))
        for n, event in enumerate(page):
            found = places.get(n)
            if found is None:
                clear.append(event)
                continue
            signals.count("goldseam_shredded_reads_total", found.shredded)
            clear.subjects |= found.subjects
            clear += self._today(_stored_of(event), event.data.payload, found.fields)
        return clear


def _part(stored: Stored, number: int, kind: EventType, fields: Any) -> Recorded[Any]:
    """The n-th event that a stored one is read as; the values of the forgotten are named."""
    clear, shredded = unmarked(fields)
    data = kind.decode(msgspec.json.encode(clear))
    event_id = part_id(stored.id_bytes, number)
    return _recorded(stored._replace(id_bytes=event_id), kind, data, shredded)


def _recorded(
    stored: Stored, kind: EventType, data: object, shredded: tuple[str, ...] = ()
) -> Recorded[Any]:
    return Recorded(
        stored.position,
        stored.stream,
        stored.version,
        kind.name,
        kind.version,
        data,
        stored.tenant,
        stored.recorded_us,
        stored.id_bytes,
        stored.metadata_bytes,
        shredded,
    )


def _stored_of(event: Recorded[Any]) -> Stored:
    """The event that waits to be opened, as it was stored."""
    return Stored(
        event.type,
        event.type_version,
        event.tenant,
        event.stream,
        event.version,
        event.position,
        event.recorded_us,
        event.id_bytes,
        event.metadata_bytes,
    )


def damaged(position: int, stream: str, reason: str) -> CorruptEvent:
    """The error for what is not as it was written; counted."""
    signals.count("goldseam_corrupt_events_total")
    return CorruptEvent(position, stream, reason)
