"""Find the corrections of a log and read streams as corrected."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from goldseam.database import schema
from goldseam.database.connection import Connection, Database
from goldseam.database.statements import statements
from goldseam.errors import GoldseamError, UnknownEventType, UnreadableEvent
from goldseam.events.event import Recorded
from goldseam.events.registry import Untyped
from goldseam.healing.corrections import DeclaredCorrections, declared_in
from goldseam.resilience.clock import Clock
from goldseam.store.decode import POSITION, Page
from goldseam.store.event_store import EventStore
from goldseam.store.read import PAGE_EVENTS, POSITION_END

PACKAGE, PART = "goldseam.healing", "healing"


async def prepare(database: Database, clock: Clock) -> None:
    """Make the tables of proposals and of what projections have taken in, if they are missing."""

    async def operation(connection: Connection) -> None:
        await schema.apply(connection, PACKAGE, PART, clock)

    await database.transact(operation)


async def stream_history(store: EventStore, stream: str) -> tuple[list[Recorded[Any]], int]:
    """All events of a stream as they were recorded, and its version."""
    found: list[Recorded[Any]] = []
    version, full = 0, True
    while full:
        page = await store.read_stream(stream, after=version)
        found += page
        version, full = page.end or version, page.full
    return found, version


async def history(store: EventStore, stream: str, *, raw: bool = False) -> list[Recorded[Any]]:
    """All events of a stream as corrected; ``raw`` gives what was recorded, corrections included.

    The whole stream is read: a correction stands behind what it corrects.
    """
    events, _ = await stream_history(store, stream)
    declared = store.registry.corrections
    return events if raw or declared is None else declared.effective(events)


async def corrections(
    store: EventStore, *, after: int = 0, until: int = POSITION_END, limit: int = PAGE_EVENTS
) -> AsyncIterator[Recorded[Any]]:
    """Every declared correction of the log above position ``after``, in order.

    The database looks for their type names, so only corrections are fetched and decoded.

    Raises:
        UnreadableEvent, UnknownEventType: one of them cannot be read by this program's classes;
            to pass it over would bring the wrong value back.
    """
    declared = declared_in(store.registry)
    mine = {one.name for one in declared.by_kind.values()}
    names = _names(store, declared)
    full = bool(names)
    while full:
        page = await _page(store, names, after, until, limit)
        for event in page:
            if declared.is_correction(type(event.data)):
                yield event
            elif isinstance(event.data, Untyped) and event.type in mine:
                raise _unread(event.data)
        after, full = page.end, page.full


async def _page(store: EventStore, names: list[str], after: int, until: int, limit: int) -> Page:
    sql = statements(PACKAGE, store.database.dialect)["corrections"]
    window = {"tenant": store.tenant, "after": after, "until": until, "limit": limit}
    parameters = {**window, "names": msgspec.json.encode(names).decode()}

    async def read(connection: Connection) -> Page:
        rows = await connection.fetch(sql, parameters)
        return store.reader.decoder.page(rows, POSITION, limit)

    return await store.open_sealed(await store.database.read_one(read))


def _names(store: EventStore, declared: DeclaredCorrections) -> list[str]:
    """The stored names that corrections have, or had before an upcaster renamed them."""
    if not declared.by_kind:
        return []
    mine = {one.name for one in declared.by_kind.values()}
    return sorted(mine | {name for name, _ in store.registry.upcasters})


def _unread(data: Untyped) -> GoldseamError:
    if data.unreadable:
        return UnreadableEvent(data.name, data.version, data.unreadable)
    return UnknownEventType(data.name, data.version)
