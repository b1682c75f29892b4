"""Copies the source page by page: events, map and progress in one transaction of the target."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from goldseam.database.connection import Connection, Database
from goldseam.errors import CommitUnknown, StoreUnavailable
from goldseam.events.event import RawEvent
from goldseam.migration.patience import RETRY_SECONDS, Patience
from goldseam.migration.position_map import MapBuilder, Run
from goldseam.migration.progress import Standing, displaced, set_phase, sql_of, standing
from goldseam.migration.stepper import Held, Stepper
from goldseam.migration.target import Writer
from goldseam.migration.transform import Fact, Named
from goldseam.resilience.clock import Clock
from goldseam.store.raw import raw_page
from goldseam.telemetry.signals import signals

PAGE_EVENTS = 1_000
"""Source events of one transaction: what a kill repeats, and what a page holds in memory."""


_HELD_PARAMETERS = (
    "position", "tenant", "stream", "version", "type", "type_version", "payload", "recorded_us",
    "id", "metadata",
)  # fmt: skip


class Copied(NamedTuple):
    """How far the copy is: positions of the source and of the target."""

    source_position: int
    target_position: int


class _Page(NamedTuple):
    made: list[RawEvent]
    runs: list[Run]
    source_position: int


class Copier:
    """Copies with one runner's name; the row in the target refuses all others.

    Args:
        told: called after each committed page.
        retry_seconds: how long an unreachable store is tried again.
    """

    def __init__(
        self,
        source: Database,
        target: Database,
        named: Named,
        runner: str,
        clock: Clock,
        *,
        told: Callable[[Copied], None] | None = None,
        page_events: int = PAGE_EVENTS,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._source, self._target, self._named = source, target, named
        self._runner, self._clock, self._told = runner, clock, told
        self._page_events = page_events
        self._patience = Patience(clock, retry_seconds)
        self._standing: Standing | None = None
        self._stepper, self._writer = Stepper(named, {}), Writer()

    async def catch_up(self) -> Copied:
        """Copy until the end of the source that a read has seen; where that is.

        Raises:
            Displaced: another process has taken over.
            StoreUnavailable: source or target could not be reached for the retry time.
            StoreFull: the target has no room; make some and run again.
        """
        while True:
            try:
                return await self._until_end()
            except (StoreUnavailable, CommitUnknown) as error:
                self._standing = None
                await self._patience.wait(error)
            except BaseException:
                self._standing = None
                raise

    async def _until_end(self) -> Copied:
        """One page after the other; the next is read while this one is written."""
        base = await self._base()
        copied = Copied(base.progress.source_position, base.progress.target_position)
        ahead = asyncio.ensure_future(self._read(copied.source_position))
        try:
            while events := await ahead:
                is_last = len(events) < self._page_events
                if not is_last:
                    ahead = asyncio.ensure_future(self._read(events[-1].position))
                    await asyncio.sleep(0)  # let it be asked for before this page is written
                copied = await self._commit(*self._step(await self._base(), events))
                self._patience.well()
                if self._told is not None:
                    self._told(copied)
                if is_last:
                    break
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)
        return copied

    async def final_head(self) -> int:
        """The target's last position once what waits to be merged has arrived too."""
        base = await self._base()
        waiting = Stepper(self._named, dict(self._stepper.held)).finish()
        return base.progress.target_position + len(waiting)

    async def complete(self, pause_us: int) -> Copied:
        """Copy what waited to be merged and declare the migration done, in one transaction.

        Nothing more may come from the source. To be asked once more is safe.
        """
        try:
            base = await self._base()
            old = base.progress
            if old.phase == "done":
                return Copied(old.source_position, old.target_position)
            made = self._stepper.finish()
            builder = MapBuilder(base.run, old.target_position)
            builder.finish(old.source_position, old.target_position + len(made))
            page = _Page(made, builder.begun, old.source_position)
            await self._target.transact(lambda c: self._store_last(c, base, page, pause_us))
        finally:
            self._standing = None
        return Copied(old.source_position, old.target_position + len(made))

    async def _store_last(
        self, connection: Connection, base: Standing, page: _Page, pause_us: int
    ) -> None:
        await self._store(connection, base, page, {})
        await set_phase(connection, self._runner, "done", self._clock.now_us(), pause_us)

    async def _base(self) -> Standing:
        if self._standing is None:
            self._standing = await self._target.read(standing)
            self._stepper = Stepper(self._named, dict(self._standing.held))
            self._writer = Writer()
        return self._standing

    async def _read(self, after: int) -> list[RawEvent]:
        limit = self._page_events
        return await self._source.read_one(lambda c: raw_page(c, after=after, limit=limit))

    def _step(self, base: Standing, events: Sequence[RawEvent]) -> tuple[Standing, _Page, Run]:
        builder = MapBuilder(base.run, base.progress.target_position)
        stepper = self._stepper
        made: list[RawEvent] = []
        for event in events:
            given = stepper.step(event)
            made += given
            builder.add(event.position, len(given), settled=not stepper.held)
        page = _Page(made, builder.begun, events[-1].position)
        return base, page, builder.run

    async def _commit(self, base: Standing, page: _Page, run: Run) -> Copied:
        held = dict(self._stepper.held)
        await self._target.transact(lambda c: self._store(c, base, page, held))
        source, target = page.source_position, base.progress.target_position + len(page.made)
        moved = msgspec.structs.replace(
            base.progress, source_position=source, target_position=target
        )
        self._standing = Standing(moved, run, held)
        signals.count("goldseam_migration_events_total", len(page.made))
        return Copied(source, target)

    async def _store(self, connection: Connection, base: Standing, page: _Page, held: Held) -> None:
        """The whole page, or nothing of it."""
        sql, old = sql_of(connection), base.progress
        row = {
            "runner": self._runner,
            "source_position": page.source_position,
            "target_position": old.target_position + len(page.made),
            "old_source": old.source_position,
            "old_target": old.target_position,
            "now": self._clock.now_us(),
        }
        if not await connection.fetch(sql["advance"], row):
            raise displaced()
        await self._writer.write(connection, old.target_position, page.made)
        if page.runs:
            runs = [{**run._asdict(), "settled": int(run.settled)} for run in page.runs]
            await connection.execute_many(sql["save_run"], runs)
        if held != base.held:
            await _save_held(connection, held)


async def _save_held(connection: Connection, held: Held) -> None:
    sql = sql_of(connection)
    await connection.fetch(sql["clear_held"])
    if held:
        names = dict(zip(Fact.__struct_fields__, _HELD_PARAMETERS, strict=True))
        rows = [
            {names[key]: value for key, value in msgspec.structs.asdict(one).items()}
            for one in held.values()
        ]
        await connection.execute_many(sql["save_held"], rows)
