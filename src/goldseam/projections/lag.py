"""How far behind: in events, and in the age of the oldest event that is not applied yet.

Measured from outside the runner, so a runner that hangs does not look healthy; an idle log has
no lag, however old its last event is.
"""

from __future__ import annotations

import msgspec

from goldseam.database.connection import Connection, Database
from goldseam.projections.checkpoint import live_of, load
from goldseam.projections.parking import count
from goldseam.projections.source import Source
from goldseam.resilience.clock import MICROSECONDS_PER_SECOND, Clock
from goldseam.telemetry.signals import signals


class Lag(msgspec.Struct, frozen=True):
    """Where a projection stands against its log. ``seconds`` is 0 when it is caught up."""

    position: int
    head: int
    events: int
    seconds: float
    parked_events: int
    parked_sequences: int


async def measure(projection: str, source: Source, database: Database, clock: Clock) -> Lag:
    """Measure the lag of the live colour and show it in the signals.

    Raises:
        CorruptCheckpoint: the checkpoint cannot be trusted.
        ProjectionError: the projection was never prepared.
    """

    async def look(connection: Connection) -> tuple[int, tuple[int, int]]:
        one = live_of(await load(connection, projection), projection)
        return one.position, await count(connection, one)

    position, (parked_events, parked_sequences) = await database.read(look)
    head = await source.head()
    seconds = 0.0
    if head > position:
        oldest = await source.recorded_us_after(position)
        if oldest is not None:
            seconds = max(0.0, (clock.now_us() - oldest) / MICROSECONDS_PER_SECOND)
    lag = Lag(position, head, max(0, head - position), seconds, parked_events, parked_sequences)
    signals.gauge("goldseam_projection_lag_events", lag.events, projection=projection)
    signals.gauge("goldseam_projection_lag_seconds", lag.seconds, projection=projection)
    signals.gauge("goldseam_projection_parked", lag.parked_events, projection=projection)
    return lag
