"""The outbox table, for a CQRS system without an event log: rows beside your own, one commit.

A row's position is drawn under the lock of its lane's counter, which is held to the end of your
transaction: positions become visible in order, so a relay that reads on from a position misses
nothing. Keys are spread over lanes, so transactions on different lanes do not wait.
All functions are colourless: they await only the connection they are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import msgspec

from goldseam.database.connection import Connection
from goldseam.events.event import NO_METADATA, Metadata, RawEvent, encode_metadata
from goldseam.events.names import DEFAULT_TENANT, checked_name
from goldseam.outbox.checkpoint import sql
from goldseam.outbox.errors import CannotBePublished
from goldseam.resilience.clock import MICROSECONDS_PER_SECOND, Clock, IdFactory
from goldseam.telemetry.signals import signals
from goldseam.versioning.fitting import misfit, registered

LANES = 8
"""Fixed for the life of a table: a key that changed its lane would change its order."""

PAYLOAD_BYTES_MAX = 1_000_000
"""A record of a Kafka broker is at most a mebibyte, headers included."""

PRUNE_ROWS = 1_000

_decode = msgspec.json.Decoder().decode


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One fact for other services.

    ``key``: what it is about; facts of one key keep their order. ``payload``: JSON, as bytes or
    as anything msgspec can write. ``id``: 16 bytes; give your own where a retry may add it again.
    """

    topic: str
    key: str
    type: str
    payload: object
    type_version: int = 1
    metadata: Metadata = NO_METADATA
    id: bytes | None = None
    tenant: str = DEFAULT_TENANT


async def add(
    connection: Connection, messages: Sequence[Message], clock: Clock, new_id: IdFactory
) -> list[bytes]:
    """Put ``messages`` into the outbox, in the caller's transaction; their event ids.

    Raises:
        CannotBePublished: a payload is no JSON, too large, or does not fit the schema that is
            registered for its type and version; nothing was added.
        MissingExtra: a schema is registered, and the library that reads schemas is missing.
    """
    rows = [_row(one, clock.now_us(), new_id) for one in messages]
    await _fit(connection, rows)
    for n in sorted(range(len(rows)), key=lambda n: rows[n]["lane"]):
        lane = {"lane": rows[n]["lane"]}
        position = (await connection.fetch(sql(connection, "next_in_lane"), lane))[0][0]
        await connection.fetch(sql(connection, "add"), {**rows[n], "position": position})
    return [bytes(row["event_id"]) for row in rows]


def _row(one: Message, now_us: int, new_id: IdFactory) -> dict[str, Any]:
    checked_name("topic", one.topic)
    checked_name("key", one.key)
    checked_name("type", one.type)
    return {
        "lane": crc32(one.key.encode()) % LANES,
        "topic": one.topic,
        "key": one.key,
        "type": one.type,
        "type_version": one.type_version,
        "payload": _json(one),
        "metadata": encode_metadata(one.metadata),
        "event_id": one.id or new_id(),
        "tenant": checked_name("tenant", one.tenant),
        "added_us": now_us,
    }


def _json(one: Message) -> bytes:
    try:
        if isinstance(one.payload, bytes):
            payload = one.payload
            _decode(payload)
        else:
            payload = msgspec.json.encode(one.payload)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise CannotBePublished(
            f"the payload of {one.type} for topic {one.topic!r} is no JSON: {type(error).__name__}"
        ) from None
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise CannotBePublished(
            f"the payload of {one.type} for topic {one.topic!r} has {len(payload)} bytes; at most "
            f"{PAYLOAD_BYTES_MAX}: put the content elsewhere and refer to it"
        )
    return payload


async def _fit(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Refuse what does not fit its registered schema; types without one pass."""
    known: dict[str, dict[int, dict[str, Any]]] = {}
    for row in rows:
        name, version = row["type"], row["type_version"]
        if name not in known:
            known[name] = await registered(connection, name)
        if not known[name]:
            continue
        if version not in known[name]:
            there = ", ".join(map(str, sorted(known[name])))
            raise CannotBePublished(
                f"{name} version {version} for topic {row['topic']!r} has no registered schema; "
                f"registered are: {there}; register it first, then publish"
            )
        found = misfit(_decode(row["payload"]), [known[name][version]])
        if found is not None:
            signals.count("goldseam_schema_rejections_total")
            raise CannotBePublished(
                f"the payload of {name} version {version} for topic {row['topic']!r} does not fit "
                f"its registered schema: {found.path} breaks the rule {found.rule!r}; correct it, "
                "or register the schema it is meant to have"
            )


async def lane_page(
    connection: Connection, lane: int, after: int, limit: int
) -> list[tuple[str, RawEvent]]:
    """Rows of a lane as topic and event; their place is that of the table, not of a stream."""
    row = {"lane": lane, "after": after, "limit": limit}
    return [
        (
            topic,
            RawEvent(
                position, tenant, key, 0, type_, version, bytes(payload), added_us,
                bytes(event_id), bytes(metadata),
            ),
        )
        for position, topic, key, type_, version, payload, metadata, event_id, tenant, added_us
        in await connection.fetch(sql(connection, "lane_page"), row)
    ]  # fmt: skip


async def lane_head(connection: Connection, lane: int) -> int:
    """The newest position of a lane."""
    found = await connection.fetch(sql(connection, "lane_head"), {"lane": lane})
    return int(found[0][0]) if found else 0


async def lane_oldest_us(connection: Connection, lane: int, after: int) -> int | None:
    """When the first row after ``after`` was added."""
    row = {"lane": lane, "after": after}
    found = await connection.fetch(sql(connection, "lane_oldest"), row)
    return int(found[0][0]) if found else None


async def prune(
    connection: Connection, lane: int, relayed: int, keep_seconds: float, now_us: int
) -> int:
    """Delete a batch of rows that are relayed and old enough; how many."""
    row = {
        "lane": lane,
        "until": relayed,
        "before_us": now_us - int(keep_seconds * MICROSECONDS_PER_SECOND),
        "limit": PRUNE_ROWS,
    }
    return len(await connection.fetch(sql(connection, "prune_lane"), row))
