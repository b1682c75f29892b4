"""Apply a page with bounded retries; after them the failing events are parked."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Sequence
from itertools import count

from goldseam.database.connection import Database
from goldseam.events.registry import Registry, registry
from goldseam.projections.checkpoint import Checkpoint
from goldseam.projections.connection import SideEffect
from goldseam.projections.projection import Projection
from goldseam.projections.source import Page
from goldseam.projections.tables import Tables
from goldseam.projections.transaction import NOT_POISON, Applied, Job, PageTransaction
from goldseam.resilience.clock import Clock
from goldseam.telemetry.signals import signals

ATTEMPTS_MAX = 3
"""Times a page is tried as a whole before its failing events are parked."""

RETRY_PAUSE_SECONDS = 0.05
RETRY_PAUSE_SECONDS_MAX = 2.0

_log = logging.getLogger("goldseam.projections")


class Applier:
    """Applies pages of one projection to its database."""

    def __init__(
        self,
        projection: Projection,
        database: Database,
        clock: Clock,
        *,
        registry: Registry = registry,
        attempts_max: int = ATTEMPTS_MAX,
        pause_seconds: float = RETRY_PAUSE_SECONDS,
    ) -> None:
        self.projection, self.database, self.clock = projection, database, clock
        self.tables: Tables = projection.tables_for(database.dialect)
        names = projection.names_in(registry)
        self.job = Job(projection, self.tables, names, clock.now_us)
        self._attempts_max, self._pause_seconds = attempts_max, pause_seconds

    async def apply(self, checkpoint: Checkpoint, page: Page) -> Checkpoint:
        """Apply ``page`` on top of ``checkpoint``; where it stands then.

        Raises:
            Superseded: another runner or an operator moved the checkpoint.
            StoreUnavailable, CommitUnknown: read the checkpoint again and go on from there.
        """
        for part in _split(page, checkpoint.quiet_until):
            applied = await self._apply_with_retries(checkpoint, part)
            self._count(applied)
            await run_effects(applied.effects)
            checkpoint = applied.checkpoint
        return checkpoint

    async def _apply_with_retries(self, checkpoint: Checkpoint, page: Page) -> Applied:
        for attempt in count(1):
            isolate = attempt > self._attempts_max
            operation = PageTransaction(
                self.job, checkpoint, page, isolate=isolate, attempts=attempt
            )
            try:
                return await self.database.transact(operation)
            except NOT_POISON:
                raise
            except Exception as error:
                if isolate:
                    raise
                signals.count("goldseam_projection_retries_total", projection=self.projection.name)
                _log.warning(
                    "projection %s failed after position %d, attempt %d: %s",
                    self.projection.name, checkpoint.position, attempt, type(error).__name__,
                )  # fmt: skip
                await asyncio.sleep(pause(self.clock, attempt, self._pause_seconds))
        raise AssertionError("unreachable")

    def _count(self, applied: Applied) -> None:
        name = self.projection.name
        if applied.events:
            signals.count("goldseam_projection_applied_total", applied.events, projection=name)
        if applied.parked:
            _log.error(
                "projection %s parked %d event(s) up to position %d; see: goldseam projections "
                "parked %s", name, applied.parked, applied.checkpoint.position, name,
            )  # fmt: skip


def pause(clock: Clock, attempt: int, first: float, most: float = RETRY_PAUSE_SECONDS_MAX) -> float:
    """Seconds before the next attempt: doubled each time, jittered by the clock's last digits."""
    jitter = 0.5 + (clock.now_us() % 1_000) / 1_000
    return float(min(first * 2 ** min(attempt - 1, 16), most) * jitter)


def _split(page: Page, quiet_until: int) -> list[Page]:
    """Old and new events apart: side effects are for the new ones only."""
    if not page.events or page.position <= quiet_until:
        return [page]
    if page.events[0].position > quiet_until:
        return [page]
    quiet = [event for event in page.events if event.position <= quiet_until]
    return [Page(quiet, quiet_until), Page(page.events[len(quiet) :], page.position)]


async def run_effects(effects: Sequence[SideEffect]) -> None:
    """What handlers wanted done after the commit; the rows stay whatever becomes of it."""
    for effect in effects:
        try:
            result = effect() if callable(effect) else effect
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            _log.warning("a side effect failed: %s", type(error).__name__)
