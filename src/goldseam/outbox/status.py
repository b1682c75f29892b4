"""How far a relay is, asked by whoever wants to know."""

from __future__ import annotations

import msgspec

from goldseam.database.connection import Database
from goldseam.leadership.lease import Leases
from goldseam.outbox import checkpoint
from goldseam.outbox.sources import RelaySource
from goldseam.resilience.clock import MICROSECONDS_PER_SECOND, Clock


class RelayStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One shard of a relay at a glance.

    ``pending`` counts positions, so events that are routed nowhere count until they are passed.
    """

    relay: str
    shard: int
    position: int
    head: int
    pending: int
    oldest_seconds: float
    holder: str | None
    token: int


def lease_of(relay: str, shard: int) -> str:
    """The lease that makes one process the active one of a shard."""
    return f"relay/{relay}/{shard}"


async def relay_status(
    relay: str, source: RelaySource, database: Database, clock: Clock, shard: int, shards: int
) -> RelayStatus:
    """How far ``shard`` is, and who leads it now."""
    found = await database.read_one(lambda c: checkpoint.checkpoints(c, relay))
    position = next((one.position for one in found if one.shard == shard), 0)
    head = await source.head(shard, shards)
    oldest_us = await source.oldest_us(position, shard, shards)
    now_us = clock.now_us()
    age = 0.0 if oldest_us is None else (now_us - oldest_us) / MICROSECONDS_PER_SECOND
    lease = await Leases(database, clock).lease(lease_of(relay, shard))
    return RelayStatus(
        relay=relay,
        shard=shard,
        position=position,
        head=head,
        pending=max(0, head - position),
        oldest_seconds=max(0.0, age),
        holder=None if lease is None or lease.until_us < now_us else lease.holder,
        token=0 if lease is None else lease.token,
    )
