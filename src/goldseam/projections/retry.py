"""After the handler is mended: apply a stopped sequence in order, or give it up with a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from goldseam.database.connection import Connection
from goldseam.errors import ProjectionError
from goldseam.events.event import Recorded
from goldseam.projections import parking
from goldseam.projections.applier import Applier, run_effects
from goldseam.projections.checkpoint import Checkpoint, live_of, load, lock
from goldseam.projections.connection import ProjectionConnection
from goldseam.projections.parking import Parked, described
from goldseam.projections.source import Source
from goldseam.projections.transaction import NOT_POISON, run_handler

REASON_LENGTH_MAX = 300

_ROUNDS_MAX = 10_000
"""Pages of one sequence; more than any sequence that could queue before somebody looks."""


class Retried(msgspec.Struct, frozen=True):
    """What a retry did to one sequence; ``error`` says why it is still stopped, if it is."""

    sequence: str
    applied: int
    left: int
    error: str = ""


class Mender:
    """Works on what one projection's live colour has parked."""

    def __init__(self, applier: Applier, source: Source) -> None:
        self._applier, self._source = applier, source
        self._database, self.name = applier.database, applier.projection.name

    async def parked(self, sequence: str | None = None) -> list[Parked]:
        """What is parked, by sequence and position; one page."""

        async def operation(connection: Connection) -> list[Parked]:
            live = live_of(await load(connection, self.name), self.name)
            return await parking.parked(connection, live, sequence)

        return await self._database.read(operation)

    async def retry(self, sequence: str | None = None) -> list[Retried]:
        """Apply the parked events of ``sequence``, or of all, in the order of the log.

        A sequence whose events all apply flows again; one that fails again stays stopped there.
        """
        sequences = [sequence] if sequence is not None else await self._sequences()
        return [await self._retry(one) for one in sequences]

    async def discard(self, sequence: str, reason: str) -> int:
        """Give up what is parked of ``sequence``: it is never applied; how many events that were.

        Readers with a position are then told that the read model has passed these events.

        Raises:
            ProjectionError: no reason is given, or nothing is parked under this sequence.
        """
        if not reason.strip():
            raise ProjectionError("discarding events needs a reason, it is kept with them")

        async def operation(connection: Connection) -> int:
            live = live_of(await lock(connection, self.name), self.name)
            found = await parking.parked(connection, live, sequence)
            positions = [one.position for one in found]
            now_us, words = self._applier.clock.now_us(), reason.strip()[:REASON_LENGTH_MAX]
            await parking.resolve(connection, live, positions, "discarded", words, now_us)
            return len(positions)

        total = 0
        for _ in range(_ROUNDS_MAX):
            count = await self._database.transact(operation)
            total += count
            if count < parking.PARKED_PAGE_MAX:
                break
        if not total:
            raise self._nothing(sequence)
        return total

    async def _sequences(self) -> list[str]:
        async def operation(connection: Connection) -> set[str]:
            live = live_of(await load(connection, self.name), self.name)
            return await parking.stopped_sequences(connection, live)

        return sorted(await self._database.read(operation))

    async def _retry(self, sequence: str) -> Retried:
        applied = 0
        for _ in range(_ROUNDS_MAX):
            waiting = await self.parked(sequence)
            if not waiting:
                if not applied:
                    raise self._nothing(sequence)
                return Retried(sequence, applied, 0)
            events = {one.position: await self._event(one) for one in waiting}
            done, error = await self._apply(sequence, events)
            applied += done
            if error:
                left = len(await self.parked(sequence))
                return Retried(sequence, applied, left, error)
        raise AssertionError("unreachable")

    async def _event(self, one: Parked) -> Recorded[Any]:
        page = await self._source.page(one.position - 1, 1)
        if not page.events or page.events[0].position != one.position:
            raise ProjectionError(f"the log has no event at parked position {one.position}")
        return page.events[0]

    async def _apply(self, sequence: str, events: Mapping[int, Recorded[Any]]) -> tuple[int, str]:
        """One transaction: events in order until one fails; how many, and the error."""
        applier = self._applier

        async def operation(connection: Connection) -> tuple[int, str, Sequence[Any]]:
            live = live_of(await lock(connection, self.name), self.name)
            effects: list[Any] = []
            done: list[int] = []
            error = ""
            for one in await parking.parked(connection, live, sequence):
                if one.position not in events:
                    break  # parked meanwhile: the next round takes it
                event = events[one.position]
                db = self._db(connection, live, event)
                error = await self._try(connection, db, event)
                if error:
                    await parking.failed_again(connection, live, one.position, error)
                    break
                effects += db.effects
                done.append(one.position)
            now_us = applier.clock.now_us()
            await parking.resolve(connection, live, done, "retried", "", now_us)
            return len(done), error, effects

        count, error, effects = await self._database.transact(operation)
        await run_effects(effects)
        return count, error

    def _db(
        self, connection: Connection, live: Checkpoint, event: Recorded[Any]
    ) -> ProjectionConnection:
        is_new = event.position > live.quiet_until
        return ProjectionConnection(connection, self._applier.tables, live.colour, is_new)

    async def _try(
        self, connection: Connection, db: ProjectionConnection, event: Recorded[Any]
    ) -> str:
        await connection.fetch("SAVEPOINT goldseam_events")
        try:
            await run_handler(self._applier.job, [event], db)
        except NOT_POISON:
            raise
        except Exception as error:
            await connection.fetch("ROLLBACK TO SAVEPOINT goldseam_events")
            return described(error, event)
        await connection.fetch("RELEASE SAVEPOINT goldseam_events")
        return ""

    def _nothing(self, sequence: str) -> ProjectionError:
        return ProjectionError(
            f"projection {self.name!r} has nothing parked under sequence {sequence!r}; see "
            f"`goldseam projections parked {self.name}`"
        )
