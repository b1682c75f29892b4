"""From rows to typed events: checked, upcast, and opened where values are sealed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from goldseam.versioning.upcasting import Stored, Way, part_id, straight_way, upcast

POSITION, STREAM, VERSION = 0, 1, 2
"""Where the columns of a row are; see ``event_columns`` in sql/statements.sql."""

_TYPE, _PAYLOAD, _ID = 3, 5, 7

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Page(list[Recorded[Any]]):
    """Events in the order they were asked for, and how far the page covers the log.

    Upcasting may make several events of a stored one, or none: a page is counted by what is
    stored. An event with sealed values stands in it as its row until it is opened.
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


class Decoder:
    """Makes typed events of one tenant's rows.

    Args:
        tolerant: what the classes of this program cannot read comes as ``Untyped`` instead of
            raising.
    """

    def __init__(self, registry: Registry, tenant: str, *, tolerant: bool = False) -> None:
        self.registry, self._tenant, self._tolerant = registry, tenant, tolerant
        self._types, self._seeds = registry.by_name, StreamSeeds(tenant)
        self._ways: dict[tuple[str, int], Way | None] = {}
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
                self._keep_special(page, row)
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

    def _keep_special(self, page: Page, row: Row) -> None:
        """An event that must be opened or upcast before it is what its class says."""
        payload = row[_PAYLOAD]
        if SEAL in payload:
            page.sealed.append(len(page))
            page.append(row)  # type: ignore[arg-type]  # replaced when the page is opened
        else:
            page += self._today(row, _decode(payload))

    def _today(self, row: Row, fields: dict[str, Any]) -> list[Recorded[Any]]:
        """The typed events that one stored event is read as today."""
        position, stream, version, name, type_version, payload, us, id_, meta, _ = row
        key = name, type_version
        way = self._ways[key] if key in self._ways else self._way(key)
        if way is not None:
            steps, kind = way
            today = dict(fields) if steps else fields
            try:
                for step in steps:
                    today = step(today)
                data = kind.decode(_encode(today))
            except Exception:  # noqa: S110 -- the long way finds out what it was, and says it
                pass
            else:
                us_, tenant = us, self._tenant
                return [
                    Recorded(
                        position, stream, version, name, kind.version, data, tenant, us_, id_, meta
                    )
                ]
        stored = Stored(name, type_version, self._tenant, stream, version, position, us, id_, meta)
        try:
            parts = upcast(self.registry, stored, fields, tolerant=self._tolerant)
            return [_part(stored, n, *part) for n, part in enumerate(parts)]
        except (UpcastFailed, ValueError) as error:
            kind = self._named(name, type_version)
            return [_recorded(stored, kind, self._unreadable(kind, payload, error))]

    def _way(self, key: tuple[str, int]) -> Way | None:
        way = self._ways[key] = straight_way(self.registry, *key)
        return way

    def _unreadable(self, kind: EventType, payload: bytes, error: Exception) -> Untyped:
        """An intact event that the classes of this program cannot read is held, never dropped."""
        if not isinstance(error, UnreadableEvent):
            error = UnreadableEvent(kind.name, kind.version, without_values(error))
        signals.count("goldseam_upcasts_failed_total")
        if not self._tolerant:
            raise error from None
        reason = f"an upcaster failed: {error.reason}" if kind.kind is Past else error.reason
        return Untyped(kind.name, kind.version, msgspec.Raw(payload), reason)

    def opened(self, page: Page, opened: Iterator[Opened]) -> Page:
        """``page`` with its sealed events opened: one of ``opened`` for each of ``page.sealed``.

        One at a time: a page of fields that all live at once costs twice as much.
        """
        clear = Page()
        clear.end, clear.full = page.end, page.full
        sealed = set(page.sealed)
        subjects: set[str] = set()
        shredded = 0
        for n, event in enumerate(page):
            if n in sealed:
                found = next(opened)
                subjects |= found.subjects
                shredded += found.shredded
                clear += self._today(event, found.fields)  # type: ignore[arg-type]  # a row
            else:
                clear.append(event)
        clear.subjects = frozenset(subjects)
        if shredded:
            signals.count("goldseam_shredded_reads_total", shredded)
        return clear


def sealed_payloads(page: Page) -> list[tuple[bytes, bytes]]:
    """Event id and payload of what waits to be opened."""
    rows: list[Any] = [page[n] for n in page.sealed]
    return [(row[_ID], row[_PAYLOAD]) for row in rows]


def sealed_type(page: Page) -> str:
    """The type of the first event that waits to be opened."""
    row: Any = page[page.sealed[0]]
    return str(row[_TYPE])


def _part(stored: Stored, number: int, kind: EventType, fields: Any) -> Recorded[Any]:
    """The n-th event that a stored one is read as; the values of the forgotten are named."""
    clear, shredded = unmarked(fields)
    data = kind.decode(_encode(clear))
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


def damaged(position: int, stream: str, reason: str) -> CorruptEvent:
    """The error for what is not as it was written; counted."""
    signals.count("goldseam_corrupt_events_total")
    return CorruptEvent(position, stream, reason)
