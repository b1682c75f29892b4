"""Projections and corrections: who reads corrected events, and who must be projected again.

A projection that handles the correction class applies it like any other event, on top of what
was recorded. One that handles only the original's class never sees a correction: it reads each
event with the corrections known by then, and is rebuilt beside its live tables when a correction
comes after the event was applied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager

from goldseam.database.connection import Connection, Database
from goldseam.database.statements import statements
from goldseam.events.names import category_of
from goldseam.events.registry import Registry
from goldseam.healing.corrections import Correction, declared_in
from goldseam.healing.effective import CorrectionIndex
from goldseam.healing.log import PACKAGE, corrections, prepare
from goldseam.projections.checkpoint import Checkpoint, live_of, load
from goldseam.projections.hosted import HostedProjection
from goldseam.projections.projection import Projection
from goldseam.projections.source import Alarm, Page, Source
from goldseam.store.event_store import EventStore


def needs_reprojection(projection: Projection, correction: Correction) -> bool:
    """Whether rows of ``projection`` are wrong after a correction that it does not handle.

    One that handles everything (``wanted`` is empty) gets the correction itself. A projection
    with ``raw = True`` shows what was recorded, wrong or not.
    """
    if projection.raw or not projection.wanted:
        return False
    return correction.original in projection.wanted and correction.kind not in projection.wanted


def unhandled(projection: Projection, registry: Registry) -> dict[type, Correction]:
    """The declared corrections that ``projection`` does not handle although they concern it."""
    declared = declared_in(registry).by_kind
    return {
        kind: correction
        for kind, correction in declared.items()
        if needs_reprojection(projection, correction)
    }


def effective_source(source: Source, store: EventStore, projection: Projection) -> Source:
    """What ``projection`` is to follow: ``source`` itself, unless corrections concern it."""
    kinds = unhandled(projection, store.registry)
    return EffectiveSource(source, store, kinds) if kinds else source


class EffectiveSource:
    """A source whose events carry the corrections that are in the log when a page is read."""

    def __init__(self, source: Source, store: EventStore, kinds: Mapping[type, Correction]) -> None:
        self._source, self._store, self._kinds = source, store.tolerant(), kinds
        self._index = CorrectionIndex(kinds)
        self.identity = source.identity

    async def page(self, after: int, limit: int) -> Page:
        """The next events above ``after``, each as corrected by now."""
        page = await self._source.page(after, limit)
        if not page.events:
            return page
        await self._take_in()
        return Page(self._index.effective(page.events), page.position)

    async def _take_in(self) -> None:
        """Extend the index to the end that the log has now."""
        head = await self._source.head()
        if head <= self._index.until:
            return
        found = [
            event
            async for event in corrections(self._store, after=self._index.until, until=head)
            if type(event.data) in self._kinds
        ]
        self._index.take_in(found)
        self._index.until = head

    async def head(self) -> int:
        """The newest position."""
        return await self._source.head()

    async def recorded_us_after(self, position: int) -> int | None:
        """When the first event above ``position`` was recorded."""
        return await self._source.recorded_us_after(position)

    async def position_of(self, token: str | int) -> int:
        """The position that a reader's token names."""
        return await self._source.position_of(token)

    def subscribe(self) -> AbstractAsyncContextManager[Alarm]:
        """Be told when there may be more."""
        return self._source.subscribe()


class Reprojection:
    """Has one projection rebuilt when corrections came after it had applied their originals.

    Ask :meth:`request` after each healing, and from time to time: a healing that died before it
    could ask loses nothing, because the rows are compared with the log. Keep it: it remembers how
    far it has looked.
    """

    def __init__(self, store: EventStore, hosted: HostedProjection) -> None:
        self._store, self._hosted = store.tolerant(), hosted
        self._kinds = unhandled(hosted.projection, store.registry)
        self._looked = self._newest = 0
        self._prepared = False

    async def request(self) -> bool:
        """Begin a rebuild if a correction is not in the rows; True if one was begun.

        Whoever supervises the projection carries it out. What is being built already is begun
        anew if a correction came since its beginning.
        """
        hosted = self._hosted
        # Before the checkpoints are read: whatever begins later reads corrections up to here.
        until = await hosted.source.head()
        if not await self._newest_until(until):
            return False
        if not self._prepared:
            await prepare(hosted.database, hosted.clock)
            self._prepared = True
        live, building = await _colours(hosted)
        for colour in (live, building):
            if colour is not None and await taken_in(hosted.database, colour) >= self._newest:
                return False
        if building is not None:
            await hosted.abort_rebuild()
        begun = await hosted.begin_rebuild()
        await _take_in(hosted.database, begun, until)
        return True

    async def _newest_until(self, until: int) -> int:
        """Position of the newest correction that concerns the projection, 0 if there is none."""
        category = self._hosted.projection.category
        if self._kinds and until > self._looked:
            async for event in corrections(self._store, after=self._looked, until=until):
                mine = category is None or category_of(event.stream) == category
                if mine and type(event.data) in self._kinds:
                    self._newest = event.position
            self._looked = until
        return self._newest


async def request_reprojections(
    store: EventStore, projections: Iterable[HostedProjection]
) -> list[str]:
    """Ask each projection once; the names of those whose rebuild was begun."""
    return [one.name for one in projections if await Reprojection(store, one).request()]


async def _colours(hosted: HostedProjection) -> tuple[Checkpoint, Checkpoint | None]:
    found = await hosted.database.read(lambda c: load(c, hosted.name))
    return live_of(found, hosted.name), found.get("building")


async def taken_in(database: Database, one: Checkpoint) -> int:
    """The position up to which this colour has taken in all corrections, at least."""
    sql = statements(PACKAGE, database.dialect)["taken_in"]
    rows = await database.fetch(sql, {"projection": one.projection, "generation": one.generation})
    return int(rows[0][0]) if rows else 0


async def _take_in(database: Database, one: Checkpoint, until: int) -> None:
    sql = statements(PACKAGE, database.dialect)
    row = {"projection": one.projection, "generation": one.generation, "until": until}

    async def operation(connection: Connection) -> None:
        await connection.fetch(sql["take_in"], row)

    await database.transact(operation)
