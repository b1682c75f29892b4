"""One page of events, its rows and its checkpoint, in one transaction.

The checkpoint moves first, compared with what this runner last saw: of two runners on one
projection only one can apply a page. At least once + compare-and-set = effectively once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from goldseam.database.connection import Connection, Parameters
from goldseam.errors import (
    CommitUnknown,
    Corrupt,
    ProjectionError,
    SchemaError,
    StoreUnavailable,
    UnknownEventType,
    UnreadableEvent,
)
from goldseam.events.event import Recorded
from goldseam.events.registry import Untyped
from goldseam.projections.checkpoint import Checkpoint, Superseded, advance
from goldseam.projections.connection import ProjectionConnection, SideEffect
from goldseam.projections.parking import (
    PARKED_SEQUENCES_MAX,
    described,
    park,
    parked_row,
    stopped_sequences,
)
from goldseam.projections.projection import Projection
from goldseam.projections.source import Page
from goldseam.projections.tables import Tables
from goldseam.resilience.blocking import run_blocking

NOT_POISON = (Superseded, StoreUnavailable, CommitUnknown, Corrupt, SchemaError, MemoryError)
"""Errors that say nothing about the event: the database, the disk, the machine."""


class Job(NamedTuple):
    """What all pages of one projection have in common.

    ``names`` are the stored names of the classes that the projection wants: an event of such a
    name in a version that nobody registered is not passed over but fails.
    """

    projection: Projection
    tables: Tables
    names: frozenset[str]
    now_us: Callable[[], int]

    def wanted(self, events: Sequence[Recorded[Any]]) -> Sequence[Recorded[Any]]:
        """Those of ``events`` that concern the projection."""
        kinds, names = self.projection.wanted, self.names
        if not kinds:
            return events
        return [
            event
            for event in events
            if type(event.data) in kinds or (type(event.data) is Untyped and event.type in names)
        ]


class Applied(msgspec.Struct, frozen=True):
    """What a committed page did."""

    checkpoint: Checkpoint
    effects: list[SideEffect]
    events: int
    parked: int


class PageTransaction:
    """Applies one page to one colour. Colourless: it awaits only the connection it is given.

    Args:
        isolate: search for the events that fail, and park them.
        attempts: how often this page was tried, this time included.
    """

    def __init__(
        self,
        job: Job,
        checkpoint: Checkpoint,
        page: Page,
        *,
        isolate: bool = False,
        attempts: int = 1,
    ) -> None:
        self._job, self._projection = job, job.projection
        self._checkpoint, self._page, self._now_us = checkpoint, page, job.now_us
        self._isolate, self._attempts = isolate, attempts
        self._parked: list[Parameters] = []
        self._stopped: set[str] = set()

    async def __call__(self, connection: Connection) -> Applied:
        """Move the checkpoint, apply the events, park what cannot be applied.

        Raises:
            Superseded: the checkpoint is not what it was.
            Exception: whatever the handler raised, unless failing events are isolated.
        """
        old, page, now_us = self._checkpoint, self._page, self._now_us()
        new = await advance(connection, old, page.position, now_us)
        events = self._job.wanted(page.events)
        db = self._db(connection, page)
        applied = 0
        if events:
            self._stopped = await stopped_sequences(connection, old)
            applied = await self._apply(connection, db, events)
        if self._parked:
            await self._park(connection)
        return Applied(new, db.effects, applied, len(self._parked))

    def _db(self, connection: Connection, page: Page) -> ProjectionConnection:
        one = self._checkpoint
        live = one.role == "live" and page.position > one.quiet_until
        return ProjectionConnection(connection, self._job.tables, one.colour, live)

    async def _apply(
        self, connection: Connection, db: ProjectionConnection, events: Sequence[Recorded[Any]]
    ) -> int:
        """Apply what is not queued; when that fails and failures are isolated, by halves."""
        if self._stopped:
            events = self._not_stopped(events)
        if not events:
            return 0
        if not self._isolate:
            await run_handler(self._job, events, db)
            return len(events)
        effects_before = len(db.effects)
        await connection.fetch("SAVEPOINT goldseam_events")
        try:
            await run_handler(self._job, events, db)
        except NOT_POISON:
            raise
        except Exception as error:
            await connection.fetch("ROLLBACK TO SAVEPOINT goldseam_events")
            await connection.fetch("RELEASE SAVEPOINT goldseam_events")
            del db.effects[effects_before:]
            return await self._halves(connection, db, events, error)
        await connection.fetch("RELEASE SAVEPOINT goldseam_events")
        return len(events)

    async def _halves(
        self,
        connection: Connection,
        db: ProjectionConnection,
        events: Sequence[Recorded[Any]],
        error: Exception,
    ) -> int:
        if len(events) == 1:
            self._stop(events[0], error)
            return 0
        middle = len(events) // 2
        first = await self._apply(connection, db, events[:middle])
        return first + await self._apply(connection, db, events[middle:])

    def _stop(self, event: Recorded[Any], error: Exception) -> None:
        sequence = self._projection.sequence_of(event)
        self._stopped.add(sequence)
        words, now_us = described(error, event), self._now_us()
        self._parked.append(
            parked_row(self._checkpoint, event, sequence, now_us, words, self._attempts)
        )

    def _not_stopped(self, events: Sequence[Recorded[Any]]) -> Sequence[Recorded[Any]]:
        """``events`` without those of stopped sequences, which queue."""
        free, now_us = [], self._now_us()
        for event in events:
            sequence = self._projection.sequence_of(event)
            if sequence in self._stopped:
                self._parked.append(parked_row(self._checkpoint, event, sequence, now_us))
            else:
                free.append(event)
        return free

    async def _park(self, connection: Connection) -> None:
        if len(self._stopped) > PARKED_SEQUENCES_MAX:
            raise ProjectionError(
                f"projection {self._checkpoint.projection!r} has stopped more than "
                f"{PARKED_SEQUENCES_MAX} sequences; its handler is broken, mend it and start again"
            )
        await park(connection, self._parked)


async def run_handler(job: Job, events: Sequence[Recorded[Any]], db: ProjectionConnection) -> None:
    """Let the projection apply ``events``.

    On a blocking connection the handler is driven by itself, so one that awaits something else
    is an error of that handler and not of the whole transaction.

    Raises:
        UnknownEventType: an event has the name of a wanted class, in an unregistered version.
    """
    if job.names:
        for event in events:
            if type(event.data) is Untyped:
                if event.data.unreadable:
                    raise UnreadableEvent(event.type, event.type_version, event.data.unreadable)
                raise UnknownEventType(event.type, event.type_version)
    if db.dialect == "sqlite":
        run_blocking(job.projection.apply_batch(events, db))
    else:
        await job.projection.apply_batch(events, db)
