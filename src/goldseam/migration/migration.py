"""One migration from a source store to a target store, and what an operator does with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

import msgspec

from goldseam.database.connection import Connection, Database
from goldseam.migration import fence, progress
from goldseam.migration.checkpoints import Translated
from goldseam.migration.copying import PAGE_EVENTS, Copied, Copier
from goldseam.migration.cutover import PAUSE_SECONDS_MAX, CutOver, Cutting
from goldseam.migration.errors import MigrationRefused, TargetInUse
from goldseam.migration.keys import copy_keys
from goldseam.migration.patience import RETRY_SECONDS, Patience
from goldseam.migration.preview import SAMPLE_EVENTS, Preview, preview
from goldseam.migration.progress import Progress
from goldseam.migration.runner import SILENCE_SECONDS, Runner, at_work
from goldseam.migration.transform import Changed, Fact, Named, Transform
from goldseam.migration.verification import Report, compare
from goldseam.resilience.clock import IdFactory, uuid7_bytes
from goldseam.store.event_store import EventStore

Told = Callable[[str, int, int], object]
"""Called with what is done, how far it is, and how far it goes."""


class Status(msgspec.Struct, frozen=True):
    """Where a migration stands, and what the source says."""

    progress: Progress | None
    source_head: int
    moved_to: str | None

    @property
    def lag(self) -> int:
        """Events of the source that are not copied."""
        return self.source_head - (self.progress.source_position if self.progress else 0)


class Migration:
    """Copies ``source`` into ``target`` through ``transform`` while writes go on at the source.

    Every step can be killed and asked for again.

    Args:
        transform: a :class:`Transform`, a function from a fact to what takes its place, or None.
        read_models: databases whose projections follow the source, and the target afterwards.
        silence_seconds: a runner without a sign of life for so long is taken for dead.
        retry_seconds: how long an unreachable store is tried again.
    """

    def __init__(
        self,
        source: EventStore,
        target: EventStore,
        transform: Named | Transform | Callable[[Fact], Changed] | None = None,
        *,
        read_models: Sequence[Database] = (),
        new_id: IdFactory = uuid7_bytes,
        page_events: int = PAGE_EVENTS,
        silence_seconds: float = SILENCE_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._source, self._target, self._clock = source, target, target.clock
        self._named = transform if isinstance(transform, Named) else Named(transform)
        self._read_models, self._new_id = read_models, new_id
        self._page_events, self._silence = page_events, silence_seconds
        self._retry_seconds = retry_seconds
        self._patience = Patience(self._clock, retry_seconds)

    async def run(self, told: Told | None = None) -> Report:
        """Copy all that the source has, compare, copy what came meanwhile; ready to cut over.

        Raises:
            TargetInUse: the target is not empty, or takes in something else.
            MigrationRunning: another process is at work on it.
            InvalidTransform: the transform gave back something that cannot be stored.
        """
        found = await self._begun()
        if found.phase == "done":
            return await self.verify(told)
        async with self._at_work(found) as runner:
            copier = self._copier(runner, told, await self._source.head())
            copied = await copier.catch_up()
            if not self._named.merges:
                await self._patience(lambda: self._copy_keys(runner, copied))
            report = await self._patience(lambda: self._verify(told))
            if report.ok:
                await self._patience(lambda: self._mark_verified(runner, report))
            await copier.catch_up()
        return report

    async def copy(self, told: Told | None = None) -> Copied:
        """Only copy, up to the end that the source has now; how far that is.

        Raises:
            TargetInUse, MigrationRunning, InvalidTransform: see :meth:`run`.
        """
        async with self._at_work(await self._begun()) as runner:
            return await self._copier(runner, told, await self._source.head()).catch_up()

    async def verify(self, told: Told | None = None) -> Report:
        """Compare what is copied with the source. Needs nobody's permission and writes nothing."""
        return await self._verify(told)

    async def status(self) -> Status:
        """Where it stands; changes nothing."""
        moved = await self._source.database.read(fence.moved)
        found = await self._target.database.read(progress.load)
        return Status(found, await self._source.head(), moved.target if moved else None)

    async def preview(
        self, *, sample: int = SAMPLE_EVENTS, told: Callable[[int], object] = lambda _: None
    ) -> Preview:
        """What the transform would do, counted and shown; writes nothing, needs no target."""
        return await preview(self._source.database, self._named, sample=sample, told=told)

    async def cutover(
        self, told: Told | None = None, *, pause_seconds_max: float = PAUSE_SECONDS_MAX
    ) -> CutOver:
        """Close the source, copy the rest, declare the target the store.

        Until it is declared any failure opens the source again. Asked for again after a kill it
        goes on; asked for again when done it only sees to the read models.

        Raises:
            MigrationDamaged: the comparison found differences.
            CutoverTooSlow: the pause became too long; the source takes writes again.
        """
        found = await self._begun()
        cutting = Cutting(
            self._source, self._target, self._named, self._read_models, self._patience
        )
        if found.phase == "done":
            return await cutting.afterwards(found)
        if not found.verified_position and await self._source.head():
            (await self.run(told)).require()
            found = await self._begun()
        async with self._at_work(found) as runner:
            copier = self._copier(runner, told, await self._source.head())
            return await cutting.cut(copier, runner, pause_seconds_max)

    async def abort(self) -> bool:
        """Give the migration up: the source is as it was. False: there was nothing to give up.

        The target keeps what was copied, for its log cannot be changed; throw it away.

        Raises:
            MigrationRefused: the cut-over is done; the target is the store.
        """
        found = await self._target.database.read(progress.load)
        source, target = self._source, self._target
        if found is not None and found.phase != "aborted":
            if found.source != str(source.store_id):
                raise TargetInUse(
                    f"the target takes in store {found.source}, not {source.store_id}",
                    "name the source that it is migrated from",
                )
            if found.phase == "done":
                raise MigrationRefused(
                    "the cut-over is done: the target is the store",
                    "to go back, migrate from it into an empty store",
                )
            async with self._at_work(found) as runner:
                await target.database.transact(lambda c: self._aborted(c, runner.name))
        opened = await reopen(source, target)
        return opened or found is not None

    async def _aborted(self, connection: Connection, runner: str) -> None:
        await progress.set_phase(connection, runner, "aborted", self._clock.now_us())

    async def _begun(self) -> Progress:
        source = str(self._source.store_id)
        if self._source.store_id == self._target.store_id:
            raise TargetInUse("source and target are the same store", "name an empty store")
        target = self._target.database
        return await self._patience(
            lambda: target.transact(lambda c: progress.begin(c, source, self._named, self._clock))
        )

    def _at_work(self, found: Progress) -> AbstractAsyncContextManager[Runner]:
        database = self._target.database
        silence, patience = self._silence, self._patience
        return at_work(database, found, self._clock, self._new_id, silence, patience)

    def _copier(self, runner: Runner, told: Told | None, head: int) -> Copier:
        def tell(copied: Copied) -> None:
            if told is not None:
                told("copy", copied.source_position, max(head, copied.source_position))

        return Copier(
            self._source.database,
            self._target.database,
            self._named,
            runner.name,
            self._clock,
            told=tell,
            page_events=self._page_events,
            retry_seconds=self._retry_seconds,
        )

    async def _copy_keys(self, runner: Runner, copied: Copied) -> None:
        await copy_keys(
            self._source.database,
            self._target.database,
            runner.name,
            self._clock,
            runner.found.keys_position,
            copied.source_position,
            copied.target_position,
        )

    async def _verify(self, told: Told | None) -> Report:
        found = await self._target.database.read(progress.load)
        if found is None:
            raise TargetInUse("there is no migration into this store", "begin with `migrate run`")

        def tell(position: int) -> None:
            if told is not None:
                told("verify", position, max(found.target_position, position))

        return await compare(self._source.database, self._target.database, self._named, found, tell)

    async def _mark_verified(self, runner: Runner, report: Report) -> None:
        position, now_us = report.source_position, self._clock.now_us()
        await self._target.database.transact(
            lambda c: progress.mark(c, "verified", runner.name, position, now_us)
        )


async def reopen(source: EventStore, target: EventStore | None = None) -> bool:
    """Let ``source`` take writes again; False: it did already.

    Without ``target`` whichever store it was closed for, for when that one is lost.
    """
    closed_for = None if target is None else target.store_id
    return await source.database.transact(lambda c: fence.take_down(c, closed_for))


__all__ = ["CutOver", "Migration", "Status", "Translated", "reopen"]
