"""Steer one projection: prepare, pause, resume, reset, roll back.

Everything is written to the projection's own database, so a command in another process steers
a runner that is at work.
"""

from __future__ import annotations

from collections.abc import Callable

from goldseam.database import schema
from goldseam.database.connection import Connection, Operation
from goldseam.errors import CorruptCheckpoint, ProjectionError
from goldseam.projections import parking
from goldseam.projections.applier import Applier
from goldseam.projections.checkpoint import (
    Checkpoint,
    Checkpoints,
    State,
    highest_generation,
    live_of,
    load,
    lock,
    remove_all,
    save,
    trusted,
)
from goldseam.projections.source import Source
from goldseam.projections.tables import COLOURS

PACKAGE, PART = "goldseam.projections", "projections"


class Control:
    """Commands for one projection in its own database."""

    def __init__(self, applier: Applier, source: Source, changed: Callable[[], None]) -> None:
        self._applier, self._source, self._changed = applier, source, changed
        self._database, self._tables = applier.database, applier.tables
        self.name = applier.projection.name

    async def prepare(self) -> Checkpoint:
        """Make the tables and the checkpoint if they are missing; the live checkpoint.

        Raises:
            ProjectionError: the declared tables are not those of the same version before.
            CorruptCheckpoint: the checkpoint is damaged or of another store.
        """
        head, clock = await self._source.head(), self._applier.clock

        async def operation(connection: Connection) -> Checkpoint:
            await schema.apply(connection, PACKAGE, PART, clock)
            found = await lock(connection, self.name)
            if not found:
                return await self._start(connection, generation=1, quiet_until=head)
            return self._fitting(live_of(found, self.name))

        return await self._database.transact(operation)

    def _fitting(self, live: Checkpoint) -> Checkpoint:
        trusted(live, self._source.identity, live.position)
        same = live.code_hash == self._tables.code_hash
        if live.version == self._applier.projection.version and not same:
            raise ProjectionError(
                f"projection {self.name!r} declares other tables than those its version "
                f"{live.version} was built with; raise its version, then run `goldseam projections "
                f"rebuild {self.name}`"
            )
        return live

    async def _start(
        self, connection: Connection, *, generation: int, quiet_until: int, state: State = "running"
    ) -> Checkpoint:
        """Empty tables of the first colour, shown, at position 0."""
        await self._tables.hide(connection)
        for colour in COLOURS:
            await self._tables.drop(connection, colour)
        new = Checkpoint(
            projection=self.name,
            colour=COLOURS[0],
            role="live",
            state=state,
            position=0,
            generation=generation,
            quiet_until=quiet_until,
            source=self._source.identity,
            version=self._applier.projection.version,
            code_hash=self._tables.code_hash,
            updated_us=self._applier.clock.now_us(),
        )
        await self._tables.create(connection, new.colour)
        await self._tables.show(connection, new.colour)
        await remove_all(connection, self.name)
        await save(connection, new)
        return new

    async def checkpoints(self) -> Checkpoints:
        """All colours of the projection, by role."""
        return await self._database.read(lambda c: load(c, self.name))

    async def pause(self) -> Checkpoint:
        """Stop applying after the current page, in whichever process that happens."""
        return await self._set(state="paused")

    async def resume(self) -> Checkpoint:
        """Go on where it was paused."""
        return await self._set(state="running")

    async def _set(self, state: State) -> Checkpoint:
        async def operation(connection: Connection) -> Checkpoint:
            live = live_of(await lock(connection, self.name), self.name)
            new = live.but(state=state, updated_us=self._applier.clock.now_us())
            await save(connection, new)
            return new

        return await self._steered(operation)

    async def reset(self) -> Checkpoint:
        """Empty the tables and begin at position 0, as a new generation.

        Readers see an empty read model, and those with a position wait. A rebuild does the same
        beside the live tables and is what you want when readers are there. Also mends a
        checkpoint that cannot be trusted: nothing of the old rows is kept.
        """
        head = await self._source.head()

        async def operation(connection: Connection) -> Checkpoint:
            highest = await highest_generation(connection, self.name)
            state = await self._state(connection)
            await parking.forget_all(connection, self.name)
            return await self._start(
                connection, generation=highest + 1, quiet_until=head, state=state
            )

        return await self._steered(operation)

    async def _state(self, connection: Connection) -> State:
        """Paused stays paused; what cannot be trusted runs."""
        try:
            found = await lock(connection, self.name)
        except CorruptCheckpoint:
            return "running"
        return found["live"].state if "live" in found else "running"

    async def rollback(self) -> Checkpoint:
        """Show the tables from before the last swap again, as they were then.

        They catch up from where they stopped, with side effects only for events that are new to
        both. Readers with a position wait until then.

        Raises:
            ProjectionError: there are none, or they are being rebuilt.
        """

        async def operation(connection: Connection) -> Checkpoint:
            found = await lock(connection, self.name)
            live = live_of(found, self.name)
            if "retired" not in found:
                raise ProjectionError(
                    f"projection {self.name!r} has no earlier tables to go back to; only a swap "
                    "leaves some, until the next rebuild"
                )
            now_us, retired = self._applier.clock.now_us(), found["retired"]
            back = retired.but(
                role="live",
                state=live.state,
                quiet_until=max(live.position, live.quiet_until),
                generation=max(one.generation for one in found.values()) + 1,
                updated_us=now_us,
            )
            await parking.move(connection, retired, back)
            await save(connection, back, live.but(role="retired", updated_us=now_us))
            await self._tables.show(connection, back.colour)
            return back

        return await self._steered(operation)

    async def _steered(self, operation: Operation[Checkpoint]) -> Checkpoint:
        steered = await self._database.transact(operation)
        self._changed()
        return steered

    async def check_trust(self) -> Checkpoint:
        """The live checkpoint, compared with the log.

        Raises:
            CorruptCheckpoint: damaged, of another store, or beyond the end of this one.
        """
        live = live_of(await self.checkpoints(), self.name)
        return trusted(live, self._source.identity, await self._source.head())

    async def is_trusted(self) -> bool:
        """Whether :meth:`check_trust` finds nothing."""
        try:
            await self.check_trust()
        except CorruptCheckpoint:
            return False
        return True
