"""Forget outbox rows that every relay has published, when they are old enough."""

from __future__ import annotations

from goldseam.database.connection import Database
from goldseam.outbox import checkpoint
from goldseam.outbox.table import LANES, PRUNE_ROWS, prune
from goldseam.resilience.clock import Clock

KEEP_SECONDS = 86_400.0
"""A day: long enough to send again what a broker lost, short enough for the table to stay small."""


async def prune_outbox(
    database: Database, relay: str, clock: Clock, *, keep_seconds: float = KEEP_SECONDS
) -> int:
    """Delete rows that ``relay`` has published and that are older than ``keep_seconds``; how many.

    In transactions of at most ``PRUNE_ROWS`` rows: nobody waits long for one.
    """
    found = await database.read_one(lambda c: checkpoint.checkpoints(c, relay))
    relayed = {one.shard: one.position for one in found}
    now_us, total = clock.now_us(), 0
    for lane in range(LANES):
        until = relayed.get(lane, 0)
        while until:
            count = await database.transact(
                lambda c: prune(c, lane, until, keep_seconds, now_us)  # noqa: B023
            )
            total += count
            if count < PRUNE_ROWS:
                break
    return total
