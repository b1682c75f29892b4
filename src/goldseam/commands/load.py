"""From a stream to a state: the newest snapshot, then the facts after it."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from goldseam.commands.decider import Decider
from goldseam.commands.snapshots import StateCodec
from goldseam.database.connection import Connection, Operation
from goldseam.events.registry import Corrections
from goldseam.store.decode import Page
from goldseam.store.read import Reader
from goldseam.store.snapshots import Snapshot, SnapshotPlace, read_snapshot
from goldseam.telemetry.signals import signals

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """A state, the version it stands at, and how many events were replayed for it.

    ``position`` is that of the stream's last replayed event, 0 when none was replayed.
    ``subjects`` are the people whose personal fields went into the state.
    """

    state: S
    version: int
    replayed: int
    position: int = 0
    subjects: frozenset[str] = frozenset()


class Shelf(Protocol):
    """Where a stream is read from: an event store, or a caller's own transaction."""

    reader: Reader

    async def read(self, operation: Operation[T]) -> T:
        """Run reading statements."""
        ...

    async def open_sealed(self, page: Page) -> Page:
        """The page with its sealed values opened."""
        ...

    async def open_state(self, state: bytes) -> tuple[bytes, frozenset[str]] | None:
        """A snapshot's bytes and its subjects; None if one of them is forgotten."""
        ...


async def load(
    shelf: Shelf,
    decider: Decider[Any, S, Any],
    stream: str,
    place: SnapshotPlace | None = None,
    codec: StateCodec[S] | None = None,
) -> Loaded[S]:
    """The state of ``stream``: the fold of its effective history. Awaits only the shelf."""
    first, snapshot = await shelf.read(lambda c: _first_page(c, shelf.reader, stream, place))
    start = await _from_snapshot(shelf, snapshot, codec)
    if start is None and snapshot is not None:
        first = await shelf.read(lambda c: shelf.reader.stream(c, stream))
    pages = _pages(shelf, stream, await shelf.open_sealed(first))
    corrections = shelf.reader.decoder.registry.corrections
    if corrections is None:
        return await _fold(decider, start, pages)
    events = [page async for page in pages]
    if start is not None and any(_corrects(corrections, page) for page in events):
        # What is corrected may be in the snapshot: only the whole history tells.
        first = await shelf.read(lambda c: shelf.reader.stream(c, stream))
        pages = _pages(shelf, stream, await shelf.open_sealed(first))
        start, events = None, [page async for page in pages]
    return await _fold(decider, start, _effective(corrections, events))


async def _fold(
    decider: Decider[Any, S, Any], start: Loaded[S] | None, pages: AsyncIterator[Page]
) -> Loaded[S]:
    loaded = start or Loaded(copy.deepcopy(decider.initial), 0, 0)
    state, version, position = loaded.state, loaded.version, loaded.position
    subjects, replayed = loaded.subjects, 0
    async for page in pages:
        for event in page:
            state = decider.evolve(state, event.data)
            position = event.position
        version = page.end or version
        subjects |= page.subjects
        replayed += len(page)
    return Loaded(state, version, replayed, position, subjects)


async def _pages(shelf: Shelf, stream: str, page: Page) -> AsyncIterator[Page]:
    yield page
    while page.full:
        after = page.end
        read = await shelf.read(lambda c: shelf.reader.stream(c, stream, after=after))  # noqa: B023
        page = await shelf.open_sealed(read)
        yield page


def _corrects(corrections: Corrections, page: Page) -> bool:
    return any(corrections.is_correction(type(event.data)) for event in page)


async def _effective(corrections: Corrections, pages: list[Page]) -> AsyncIterator[Page]:
    """All events as corrected, as one page."""
    whole = Page()
    if pages:
        whole.end = max(page.end for page in pages)
    whole.subjects = frozenset().union(*(page.subjects for page in pages))
    history = [event for page in pages for event in page]
    whole += corrections.effective(history)
    yield whole


async def _first_page(
    connection: Connection, reader: Reader, stream: str, place: SnapshotPlace | None
) -> tuple[Page, Snapshot | None]:
    """The newest snapshot and the events after it: in one visit to the database."""
    snapshot = None if place is None else await read_snapshot(connection, place)
    after = 0 if snapshot is None else snapshot.version
    return await reader.stream(connection, stream, after=after), snapshot


async def _from_snapshot(
    shelf: Shelf, snapshot: Snapshot | None, codec: StateCodec[S] | None
) -> Loaded[S] | None:
    if snapshot is None or codec is None:
        return None
    try:
        opened = await shelf.open_state(snapshot.state)
        if opened is not None:
            state, subjects = opened
            return Loaded(codec.decode(state), snapshot.version, 0, 0, subjects)
    except (msgspec.DecodeError, msgspec.ValidationError):
        pass
    signals.count("goldseam_snapshots_ignored_total")
    return None
