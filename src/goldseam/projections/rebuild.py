"""Blue/green: build the other colour beside the live one, then swap the two in one transaction.

The live colour goes on serving and moving. The new one never passes it, so when they stand at
the same position the swap continues exactly there, side effects included.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from goldseam.database.connection import Connection
from goldseam.errors import CommitUnknown, ProjectionError, StoreUnavailable
from goldseam.projections import parking
from goldseam.projections.advances import Advances
from goldseam.projections.applier import Applier, pause
from goldseam.projections.checkpoint import (
    Checkpoint,
    Superseded,
    live_of,
    load,
    lock,
    remove,
    save,
    trusted,
)
from goldseam.projections.source import Page, Source
from goldseam.projections.tables import other
from goldseam.projections.transaction import PageTransaction

REBUILD_PAGE_EVENTS = 5_000
"""Events of one transaction of a rebuild: nobody waits for it, so throughput decides."""

SWAP_LOCK_SECONDS = 2
"""How long a swap waits for the readers of the old tables before it lets them pass."""

_PAUSE_SECONDS = 0.1
_FAILURES_MAX = 20


class Progress(msgspec.Struct, frozen=True):
    """How far a rebuild is. ``eta_seconds`` is None until a rate is known."""

    projection: str
    position: int
    target: int
    events_per_second: float
    eta_seconds: float | None
    swapped: bool = False

    @property
    def percent(self) -> float:
        """0 to 100."""
        return 100.0 if not self.target else min(100.0, 100.0 * self.position / self.target)


class Rebuild:
    """One rebuild of a projection; resumed by whoever drives it next if this process dies."""

    def __init__(
        self,
        applier: Applier,
        source: Source,
        advances: Advances,
        *,
        page_events: int = REBUILD_PAGE_EVENTS,
    ) -> None:
        self._applier, self._source, self._advances = applier, source, advances
        self._page_events = page_events
        self.name = applier.projection.name

    async def begin(self) -> Checkpoint:
        """Make the empty other colour, or find the one that is being built already.

        A retired colour is dropped for it. A build of another version is begun anew.
        """
        applier, projection, tables = (
            self._applier,
            self._applier.projection,
            self._applier.tables,
        )

        async def operation(connection: Connection) -> Checkpoint:
            found = await lock(connection, self.name)
            live = live_of(found, self.name)
            building = found.get("building")
            if building is not None and _same_code(building, applier):
                return building
            colour = other(live.colour)
            for old in (building, found.get("retired")):
                if old is not None:
                    await parking.forget(connection, old)
                    await remove(connection, old)
            await tables.drop(connection, colour)
            await tables.create(connection, colour)
            new = live.but(
                colour=colour,
                role="building",
                state="running",
                position=0,
                generation=max(one.generation for one in found.values()) + 1,
                quiet_until=0,
                source=self._source.identity,
                version=projection.version,
                code_hash=tables.code_hash,
                updated_us=self._applier.clock.now_us(),
            )
            await save(connection, new)
            return new

        return await self._applier.database.transact(operation)

    async def run(
        self,
        progress: Callable[[Progress], None] | None = None,
        *,
        force: bool = False,
    ) -> Checkpoint:
        """Build to the end and swap; returns the new live checkpoint.

        Args:
            force: swap even if events had to be parked in the new tables.

        Raises:
            ProjectionError: aborted by somebody, or events were parked; the live one is untouched.
        """
        generation = (await self.begin()).generation
        failures, meter = 0, _Meter(self._applier)
        while True:
            try:
                return await self._drive(generation, meter, progress, force)
            except (StoreUnavailable, CommitUnknown, Superseded) as error:
                failures = 1 if meter.has_moved() else failures + 1
                if failures > _FAILURES_MAX:
                    raise self._given_up(error) from error
                await asyncio.sleep(pause(self._applier.clock, failures, _PAUSE_SECONDS))

    def _given_up(self, error: Exception) -> Exception:
        if not isinstance(error, Superseded):
            return error
        return ProjectionError(
            f"another process rebuilds {self.name!r} at the same time; let it, or stop it and run "
            "the rebuild again: it goes on where it is"
        )

    async def _drive(
        self,
        generation: int,
        meter: _Meter,
        progress: Callable[[Progress], None] | None,
        force: bool,
    ) -> Checkpoint:
        building, live = await self._both(generation)
        if building.role == "live":
            return building
        ahead = asyncio.ensure_future(self._source.page(building.position, self._page_events))
        try:
            while True:
                page = await ahead
                if page.position >= live.position:
                    _, live = await self._both(generation)
                if page.position >= live.position:
                    swapped = await self._swap(building, page, force)
                    if swapped is not None:
                        _report(progress, meter.measured(swapped, swapped, swapped=True))
                        return swapped
                    _, live = await self._both(generation)
                    page = _until(page, live.position)
                ahead = asyncio.ensure_future(self._source.page(page.position, self._page_events))
                await asyncio.sleep(0)
                if page.position > building.position:
                    building = await self._applier.apply(building, page)
                _report(progress, meter.measured(building, live))
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)

    async def _both(self, generation: int) -> tuple[Checkpoint, Checkpoint]:
        found = await self._applier.database.read(lambda c: load(c, self.name))
        live = live_of(found, self.name)
        building = found.get("building")
        if live.generation == generation:
            return live, live
        if building is None or building.generation != generation:
            raise ProjectionError(f"the rebuild of {self.name!r} was aborted; nothing was swapped")
        if building.position:
            trusted(building, self._source.identity, await self._source.head())
        return building, live

    async def _swap(self, building: Checkpoint, page: Page, force: bool) -> Checkpoint | None:
        """Apply the last events and swap, if ``page`` reaches the live position; else None.

        The live checkpoint is locked meanwhile, so it cannot run away.
        """
        applier, tables = self._applier, self._applier.tables

        async def operation(connection: Connection) -> Checkpoint | None:
            if connection.dialect == "postgresql":
                await connection.fetch(f"SET LOCAL lock_timeout = '{SWAP_LOCK_SECONDS}s'")
            found = await lock(connection, self.name)
            live = live_of(found, self.name)
            if page.position < live.position:
                return None
            last = _until(page, live.position)
            one = building
            if last.position > building.position:
                apply = PageTransaction(applier.job, building, last, isolate=True)
                one = (await apply(connection)).checkpoint
            elif found.get("building") != building:
                raise Superseded
            await self._refuse_parked(connection, one, force)
            now_us = applier.clock.now_us()
            quiet = max(live.quiet_until, live.position)
            new = one.but(role="live", state=live.state, quiet_until=quiet, updated_us=now_us)
            await remove(connection, one)
            await save(connection, live.but(role="retired", updated_us=now_us))
            await save(connection, new)
            await tables.show(connection, new.colour)
            return new

        swapped = await applier.database.transact(operation)
        if swapped is not None:
            self._advances.moved(self.name)
        return swapped

    async def _refuse_parked(self, connection: Connection, one: Checkpoint, force: bool) -> None:
        events, sequences = await parking.count(connection, one)
        if events and not force:
            raise ProjectionError(
                f"the rebuild of {self.name!r} parked {events} event(s) of {sequences} sequence(s);"
                " nothing was swapped. Mend the handler and rebuild again, or swap with --force"
            )

    async def abort(self) -> bool:
        """Throw away what is being built; the live colour is untouched. False: nothing was."""
        tables = self._applier.tables

        async def operation(connection: Connection) -> bool:
            building = (await lock(connection, self.name)).get("building")
            if building is None:
                return False
            await parking.forget(connection, building)
            await remove(connection, building)
            await tables.drop(connection, building.colour)
            return True

        return await self._applier.database.transact(operation)


class _Meter:
    """Progress from the clock and the first position seen."""

    def __init__(self, applier: Applier) -> None:
        self._clock, self._began = applier.clock, applier.clock.monotonic()
        self._first: int | None = None
        self._last = self._looked = 0

    def measured(self, one: Checkpoint, live: Checkpoint, *, swapped: bool = False) -> Progress:
        if self._first is None:
            self._first = 0 if swapped else one.position
        self._last = one.position
        seconds = self._clock.monotonic() - self._began
        rate = max(0, one.position - self._first) / seconds if seconds > 0 else 0.0
        target = max(live.position, one.position)
        left = target - one.position
        eta = left / rate if rate else None
        return Progress(one.projection, one.position, target, rate, eta, swapped)

    def has_moved(self) -> bool:
        """Whether there was progress since the last time somebody asked."""
        looked, self._looked = self._looked, self._last
        return self._last > looked


def _same_code(building: Checkpoint, applier: Applier) -> bool:
    """Whether what was built so far is what this code would have built."""
    return (building.version, building.code_hash) == (
        applier.projection.version,
        applier.tables.code_hash,
    )


def _until(page: Page, position: int) -> Page:
    """The part of ``page`` up to ``position``."""
    if page.position <= position:
        return page
    return Page([event for event in page.events if event.position <= position], position)


def _report(progress: Callable[[Progress], None] | None, measured: Progress) -> None:
    if progress is not None:
        progress(measured)
