"""One projection with everything around it: its log, its database, its runner, its controls."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from goldseam.database.connection import Database
from goldseam.events.registry import Registry, registry
from goldseam.projections.advances import Advances
from goldseam.projections.applier import Applier
from goldseam.projections.checkpoint import Checkpoint
from goldseam.projections.control import Control
from goldseam.projections.lag import Lag, measure
from goldseam.projections.parking import Parked
from goldseam.projections.projection import Projection
from goldseam.projections.rebuild import Progress, Rebuild
from goldseam.projections.retry import Mender, Retried
from goldseam.projections.runner import Runner
from goldseam.projections.source import Source
from goldseam.resilience.clock import Clock, SystemClock


class Status(msgspec.Struct, frozen=True):
    """What an operator wants to know about one projection at a glance."""

    name: str
    state: str
    version: int
    code_version: int
    generation: int
    colour: int
    lag: Lag
    building_position: int | None
    can_roll_back: bool
    failure: str | None


class HostedProjection:
    """A projection, the source it follows and the database it writes to.

    Args:
        advances: shared with the read models of this process, so that waiting readers are woken.
        registry: the event classes that the projection's own are looked up in.
    """

    def __init__(
        self,
        projection: Projection,
        source: Source,
        database: Database,
        *,
        advances: Advances | None = None,
        registry: Registry = registry,
        clock: Clock | None = None,
    ) -> None:
        self.projection, self.source, self.database = projection, source, database
        self.clock = clock or SystemClock()
        self.advances = advances or Advances()
        self.applier = Applier(projection, database, self.clock, registry=registry)
        self.runner = Runner(self.applier, source, self.advances)
        self._control = Control(self.applier, source, self._steered)
        self._mender = Mender(self.applier, source)

    @property
    def name(self) -> str:
        """The projection's name."""
        return self.projection.name

    def _steered(self) -> None:
        self.runner.nudge()
        self.advances.moved(self.name)

    async def prepare(self) -> Checkpoint:
        """Make the tables and the checkpoint if they are missing. See :class:`Control`."""
        return await self._control.prepare()

    async def status(self) -> Status:
        """Where it stands.

        Raises:
            CorruptCheckpoint: the checkpoint cannot be trusted; reset or rebuild it.
        """
        live = await self._control.check_trust()
        found = await self._control.checkpoints()
        building = found.get("building")
        return Status(
            self.name,
            live.state if live.version == self.projection.version else "outdated",
            live.version,
            self.projection.version,
            live.generation,
            live.colour,
            await self.lag(),
            None if building is None else building.position,
            "retired" in found,
            self.runner.failure,
        )

    async def lag(self) -> Lag:
        """How far behind it is, measured now."""
        return await measure(self.name, self.source, self.database, self.clock)

    async def pause(self) -> Checkpoint:
        """Stop applying, in whichever process that happens."""
        return await self._control.pause()

    async def resume(self) -> Checkpoint:
        """Go on where it was paused."""
        return await self._control.resume()

    async def reset(self) -> Checkpoint:
        """Empty the tables and begin anew, as a new generation."""
        return await self._control.reset()

    async def rollback(self) -> Checkpoint:
        """Show the tables from before the last swap again."""
        return await self._control.rollback()

    async def rebuild(
        self, progress: Callable[[Progress], None] | None = None, *, force: bool = False
    ) -> Checkpoint:
        """Build new tables beside the live ones and swap; resumes one that was interrupted.

        A checkpoint that cannot be trusted is reset instead: its rows are not worth serving.

        Raises:
            ProjectionError: aborted, or events were parked and ``force`` is not given.
        """
        if not await self._control.is_trusted():
            return await self._control.reset()
        done = await self._rebuild().run(progress, force=force)
        self._steered()
        return done

    async def begin_rebuild(self) -> Checkpoint:
        """Ask for a rebuild; whoever supervises this projection carries it out."""
        return await self._rebuild().begin()

    async def abort_rebuild(self) -> bool:
        """Throw away what is being built. False: nothing was."""
        return await self._rebuild().abort()

    async def building(self) -> Checkpoint | None:
        """The new tables of a rebuild that was begun and not yet swapped or aborted."""
        return (await self._control.checkpoints()).get("building")

    async def parked(self, sequence: str | None = None) -> list[Parked]:
        """The events that wait, by sequence and position."""
        return await self._mender.parked(sequence)

    async def retry(self, sequence: str | None = None) -> list[Retried]:
        """Apply what is parked, in order, after the handler was mended."""
        done = await self._mender.retry(sequence)
        self._steered()
        return done

    async def discard(self, sequence: str, reason: str) -> int:
        """Give up what is parked of ``sequence``, for a reason that is kept."""
        done = await self._mender.discard(sequence, reason)
        self._steered()
        return done

    def _rebuild(self) -> Rebuild:
        return Rebuild(self.applier, self.source, self.advances)
