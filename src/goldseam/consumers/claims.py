"""Who holds a partition, and how far it is applied: kept in the target database.

The offset there is the truth for an effectively-once consumer: it commits with the effects. The
generation fences: it grows with each assignment and is compared inside every batch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from goldseam.broker.record import Partition
from goldseam.consumers.errors import PartitionMoved
from goldseam.database.connection import Connection
from goldseam.database.statements import statements

UNKNOWN_OFFSET = -1
"""Nothing was applied to this database yet."""

FOREIGN_OFFSET = -2
"""What was applied came from another broker, whose offsets mean nothing here."""

IDLE_SECONDS_MAX = 60.0
"""How long a batch's transaction may ask nothing: a handler awaits only its database."""


class Claim(msgspec.Struct, frozen=True):
    """A partition in the hands of one member; ``next_offset`` is the next one to apply."""

    consumer: str
    place: Partition
    generation: int
    next_offset: int


class Standing(msgspec.Struct, frozen=True):
    """What the database says about one partition of a consumer."""

    place: Partition
    generation: int
    next_offset: int
    source: str
    holder: str
    updated_us: int


async def claim(
    connection: Connection,
    consumer: str,
    places: Collection[Partition],
    *,
    source: str,
    holder: str,
    now_us: int,
) -> list[Claim]:
    """Take ``places``: whoever held them is fenced from here on.

    ``source`` names the broker: offsets of another one mean nothing here and are forgotten.
    """
    sql, claims = _sql(connection, "claim_partition"), []
    for place in sorted(places):
        named = {**_place(consumer, place), "source": source, "holder": holder, "now_us": now_us}
        generation, next_offset = (await connection.fetch(sql, named))[0]
        claims.append(Claim(consumer, place, int(generation), int(next_offset)))
    return claims


async def advance(
    connection: Connection,
    old: Claim,
    next_offset: int,
    now_us: int,
    idle_seconds: float = IDLE_SECONDS_MAX,
) -> Claim:
    """Move ``old`` on if it is still held and where it was; this locks it until the commit.

    A process that is stopped with this lock would keep the next holder waiting for ever, so
    PostgreSQL ends a transaction that asks nothing for ``idle_seconds``.

    Raises:
        PartitionMoved: somebody else holds it, or it was moved.
    """
    moved = await connection.fetch(
        _sql(connection, "advance_partition"),
        {
            **_place(old.consumer, old.place),
            "generation": old.generation,
            "old_offset": old.next_offset,
            "next_offset": next_offset,
            "now_us": now_us,
            "idle_ms": str(int(idle_seconds * 1_000)),
        },
    )
    if not moved:
        raise moved_from(old)
    return msgspec.structs.replace(old, next_offset=next_offset)


async def hold(connection: Connection, one: Claim, now_us: int) -> None:
    """Lock ``one`` where it is until the commit, if it is still held.

    Raises:
        PartitionMoved: somebody else holds it.
    """
    named = {**_place(one.consumer, one.place), "generation": one.generation, "now_us": now_us}
    if not await connection.fetch(_sql(connection, "check_partition"), named):
        raise moved_from(one)


async def reload(connection: Connection, old: Claim) -> Claim:
    """Where ``old`` stands now: a commit whose answer was lost may have moved it.

    Raises:
        PartitionMoved: somebody else holds it.
    """
    rows = await connection.fetch(
        _sql(connection, "load_partition"), _place(old.consumer, old.place)
    )
    if not rows or int(rows[0][0]) != old.generation:
        raise moved_from(old)
    return msgspec.structs.replace(old, next_offset=int(rows[0][1]))


async def move(
    connection: Connection,
    consumer: str,
    offsets: Mapping[Partition, int],
    *,
    source: str,
    by: str,
    now_us: int,
) -> None:
    """Set where ``consumer`` goes on; a member that holds a partition is fenced and asks again."""
    for place, offset in sorted(offsets.items()):
        named = {
            **_place(consumer, place),
            "next_offset": offset,
            "source": source,
            "holder": by,
            "now_us": now_us,
        }
        await connection.fetch(_sql(connection, "set_partition"), named)


async def standings(connection: Connection, consumer: str) -> list[Standing]:
    """Every partition that ``consumer`` has ever held in this database."""
    rows = await connection.fetch(_sql(connection, "list_partitions"), {"consumer": consumer})
    return [
        Standing(Partition(topic, number), generation, offset, source, holder, us)
        for topic, number, generation, offset, source, holder, us in rows
    ]


async def known_consumers(connection: Connection) -> list[str]:
    """The consumers that have ever run on this database."""
    rows = await connection.fetch(_sql(connection, "list_consumers"))
    return [str(row[0]) for row in rows]


def moved_from(one: Claim) -> PartitionMoved:
    """The error for a claim that holds no more."""
    place = f"{one.place.topic}/{one.place.number}"
    return PartitionMoved(one.consumer, place, one.generation)


def _place(consumer: str, place: Partition) -> dict[str, object]:
    return {"consumer": consumer, "topic": place.topic, "partition": place.number}


def _sql(connection: Connection, name: str) -> str:
    return statements("goldseam.consumers", connection.dialect)[name]
