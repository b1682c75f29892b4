"""How far a shard is relayed. It moves forward only, and only for the newest token.

All functions are colourless: they await only the connection they are given.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from goldseam.database import schema
from goldseam.database.connection import Connection
from goldseam.database.statements import statements
from goldseam.leadership.fencing import Fence
from goldseam.outbox.errors import RelayFenced, ShardsChanged
from goldseam.resilience.clock import Clock
from goldseam.telemetry.signals import signals
from goldseam.versioning import schema_registry

PACKAGE, PART = "goldseam.outbox", "outbox"
SCHEMAS = schema_registry.PACKAGE, schema_registry.PART


class RelayCheckpoint(msgspec.Struct, frozen=True):
    """One shard of a relay: everything up to ``position`` was acknowledged by the broker."""

    shard: int
    shards: int
    position: int
    token: int
    updated_us: int


async def apply_tables(connection: Connection, clock: Clock) -> None:
    """Make or upgrade the tables, those of the schemas that outbox rows must fit included."""
    await schema.apply(connection, PACKAGE, PART, clock)
    await schema.apply(connection, *SCHEMAS, clock)


async def claim(
    connection: Connection, relay: str, shard: int, shards: int, fence: Fence, now_us: int
) -> int:
    """Take the checkpoint over under ``fence``; where it stands. Older tokens move it no more.

    Raises:
        RelayFenced: a newer token has it already.
        ShardsChanged: the checkpoints are of another number of shards.
    """
    row = {"relay": relay, "shard": shard, "shards": shards, "token": fence.token, "now_us": now_us}
    found = await connection.fetch(sql(connection, "claim_checkpoint"), row)
    if not found:
        raise fenced(relay, shard, fence)
    position, stored = found[0]
    if stored != shards:
        raise ShardsChanged(
            f"relay {relay!r} has checkpoints of {stored} shards and was started with {shards}; "
            f"stop all relays and run: goldseam outbox reshard --relay {relay} --shards {shards}"
        )
    return int(position)


async def advance(
    connection: Connection, relay: str, shard: int, fence: Fence, position: int, now_us: int
) -> None:
    """Move the checkpoint to ``position``.

    Raises:
        RelayFenced: a newer token has taken it over; nothing was moved.
    """
    row = {
        "relay": relay,
        "shard": shard,
        "token": fence.token,
        "position": position,
        "now_us": now_us,
    }
    if not await connection.fetch(sql(connection, "advance_checkpoint"), row):
        raise fenced(relay, shard, fence)


async def checkpoints(connection: Connection, relay: str) -> list[RelayCheckpoint]:
    """All shards of ``relay``."""
    rows = await connection.fetch(sql(connection, "checkpoints"), {"relay": relay})
    return [RelayCheckpoint(*row) for row in rows]


async def reshard(connection: Connection, relay: str, shards: int, now_us: int) -> int:
    """Give ``relay`` another number of shards; all begin at the lowest position.

    What lies between is sent again, under the same event ids. Stop all relays of the name first.
    """
    found = await checkpoints(connection, relay)
    position = min((one.position for one in found), default=0)
    await _put(connection, relay, [position] * shards, now_us)
    return position


async def rewind(connection: Connection, relay: str, position: int, now_us: int) -> list[int]:
    """Let ``relay`` send again what follows ``position``; where each shard stands then.

    A shard that is not so far yet stays where it is. A relay that runs is fenced, and goes on from
    there when it has taken its checkpoint anew.
    """
    found = sorted(await checkpoints(connection, relay), key=lambda one: one.shard)
    positions = [min(one.position, position) for one in found]
    await _put(connection, relay, positions, now_us)
    return positions


async def _put(connection: Connection, relay: str, positions: Sequence[int], now_us: int) -> None:
    """Checkpoints of ``relay``, one a shard, in place of those there are."""
    await connection.fetch(sql(connection, "forget_checkpoints"), {"relay": relay})
    for shard, position in enumerate(positions):
        row = {
            "relay": relay,
            "shard": shard,
            "shards": len(positions),
            "position": position,
            "now_us": now_us,
        }
        await connection.fetch(sql(connection, "put_checkpoint"), row)


def fenced(relay: str, shard: int, fence: Fence) -> RelayFenced:
    """The error for a relay that was overtaken; counted."""
    signals.count("goldseam_relay_fenced_total")
    return RelayFenced(
        f"shard {shard} of relay {relay!r} was taken over by another process (token {fence.token} "
        "is not the newest); what this one sent last may be sent again, under the same event ids"
    )


def sql(connection: Connection, name: str) -> str:
    """A statement of the relay."""
    return statements(PACKAGE, connection.dialect)[name]
