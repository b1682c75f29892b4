"""Semantic locks: while a saga is under way, the things it works on say so.

A saga has no isolation: between two of its steps everybody sees a half-done business. A thing
that is locked is left alone by whoever asks first; the lock is taken and released in the very
appends that begin and end the saga.
"""

from __future__ import annotations

from collections.abc import Sequence

from goldseam.events.names import stream_name
from goldseam.sagas.errors import SemanticallyLocked
from goldseam.sagas.facts import LOCKS_CATEGORY, SemanticLockReleased, SemanticLockTaken
from goldseam.store.event_store import EventStore, StreamEvents


async def holder_of(store: EventStore, thing: str) -> str | None:
    """The saga that ``thing`` is in the middle of, or None."""
    return (await _standing(store, thing))[0]


async def refuse_locked(store: EventStore, thing: str, *, saga: str | None = None) -> None:
    """Return when ``thing`` is free, or held by ``saga`` itself.

    Raises:
        SemanticallyLocked: another saga is under way with it.
    """
    holder = await holder_of(store, thing)
    if holder not in (None, saga):
        raise SemanticallyLocked(thing, str(holder))


async def taken(store: EventStore, things: Sequence[str], saga: str) -> list[StreamEvents]:
    """The writes that lock ``things`` for ``saga``; for the append that begins it.

    Raises:
        SemanticallyLocked: one of them is held by another saga.
    """
    writes: list[StreamEvents] = []
    for thing in sorted(set(things)):
        holder, version = await _standing(store, thing)
        if holder is not None and holder != saga:
            raise SemanticallyLocked(thing, holder)
        if holder is None:
            writes.append((_stream(thing), version, [SemanticLockTaken(saga)]))
    return writes


async def released(store: EventStore, things: Sequence[str], saga: str) -> list[StreamEvents]:
    """The writes that free those of ``things`` that ``saga`` holds; for the append that ends it."""
    writes: list[StreamEvents] = []
    for thing in sorted(set(things)):
        holder, version = await _standing(store, thing)
        if holder == saga:
            writes.append((_stream(thing), version, [SemanticLockReleased(saga)]))
    return writes


def _stream(thing: str) -> str:
    return stream_name(LOCKS_CATEGORY, thing)


async def _standing(store: EventStore, thing: str) -> tuple[str | None, int]:
    """Who holds ``thing``, and the version of its stream of locks."""
    newest = await store.read_stream_backwards(_stream(thing), limit=1)
    if not newest:
        return None, 0
    held = isinstance(newest[0].data, SemanticLockTaken)
    return (newest[0].data.saga if held else None), newest[0].version
