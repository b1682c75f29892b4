"""Topics of the embedded broker: create them, write to them, read them, drop what is too old.

All functions are colourless: they await only the connection they are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from goldseam.broker.errors import RecordRefused
from goldseam.broker.partitioning import partition_of
from goldseam.broker.port import Placed, Span, Topic
from goldseam.broker.record import Partition, Received, Record
from goldseam.database.connection import Connection
from goldseam.database.statements import statements
from goldseam.events.names import checked_name

PARTITIONS_DEFAULT = 4
PARTITIONS_MAX = 1_000
RECORD_BYTES_MAX = 1_048_588
"""Largest record, key and headers included: what a Kafka broker takes unless told otherwise."""

RETENTION_CONFIG = "retention.ms"
RETENTION_DEFAULT_MS = 604_800_000
"""Seven days, as Kafka keeps records when nothing is said."""

_encode_headers = msgspec.msgpack.Encoder().encode
_decode_headers = msgspec.msgpack.Decoder(tuple[tuple[str, bytes], ...]).decode


async def topics(connection: Connection) -> dict[str, Topic]:
    """All topics by name."""
    rows = await connection.fetch(sql(connection, "topics"))
    return {
        name: Topic(
            name=name,
            partitions=partitions,
            replication=1,
            config={
                RETENTION_CONFIG: str(RETENTION_DEFAULT_MS),
                **msgspec.json.decode(config, type=dict[str, str]),
            },
        )
        for name, partitions, config in rows
    }


async def create(connection: Connection, topic: Topic) -> bool:
    """Create ``topic``; False when it is there."""
    checked_name("topic", topic.name)
    if not 1 <= topic.partitions <= PARTITIONS_MAX:
        raise RecordRefused(
            f"topic {topic.name!r} cannot have {topic.partitions} partitions; "
            f"give 1 to {PARTITIONS_MAX}"
        )
    config = msgspec.json.encode(dict(topic.config)).decode()
    row = {"topic": topic.name, "partitions": topic.partitions, "config": config}
    made = await connection.fetch(sql(connection, "create_topic"), row)
    if made:
        rows = [{"topic": topic.name, "number": n} for n in range(topic.partitions)]
        await connection.execute_many(sql(connection, "create_partition"), rows)
    return bool(made)


async def spans(connection: Connection, topic: str) -> dict[Partition, Span]:
    """What each partition holds."""
    rows = await connection.fetch(sql(connection, "spans"), {"topic": topic})
    return {Partition(topic, number): Span(low, high) for number, low, high in rows}


async def write(
    connection: Connection,
    records: Sequence[Record],
    now_ms: int,
    turn: int,
    *,
    create_missing: bool,
) -> list[Placed]:
    """Store ``records`` in their order; their places.

    A partition's row stays locked until the commit, so offsets become visible in order and
    without holes.

    Raises:
        RecordRefused: one is too large, or its topic is missing; nothing is stored.
    """
    counts = await _partition_counts(connection, records, create_missing=create_missing)
    by_partition: dict[Partition, list[int]] = {}
    for n, record in enumerate(records):
        number = partition_of(record, counts[record.topic], turn + n)
        if not 0 <= number < counts[record.topic]:
            raise RecordRefused(f"topic {record.topic!r} has no partition {number}")
        by_partition.setdefault(Partition(record.topic, number), []).append(n)
    placed = [Placed(0, 0)] * len(records)
    rows: list[dict[str, object]] = []
    for place in sorted(by_partition):  # one order for all writers: no deadlock
        mine = by_partition[place]
        where = {"topic": place.topic, "number": place.number, "count": len(mine)}
        high = (await connection.fetch(sql(connection, "reserve"), where))[0][0]
        for offset, n in enumerate(mine, high - len(mine)):
            rows.append(_row(records[n], place, offset, now_ms))
            placed[n] = Placed(place.number, offset)
    await connection.execute_many(sql(connection, "insert_record"), rows)
    return placed


async def _partition_counts(
    connection: Connection, records: Sequence[Record], *, create_missing: bool
) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for name in sorted({record.topic for record in records}):
        found = await connection.fetch(sql(connection, "partitions_of"), {"topic": name})
        if not found and create_missing:
            topic = Topic(name=name, partitions=PARTITIONS_DEFAULT, replication=1)
            await create(connection, topic)
            found = await connection.fetch(sql(connection, "partitions_of"), {"topic": name})
        if not found:
            raise RecordRefused(
                f"there is no topic {name!r}; create it with: goldseam broker create {name}"
            )
        counts[name] = found[0][0]
    return counts


def _row(record: Record, place: Partition, offset: int, now_ms: int) -> dict[str, object]:
    headers = _encode_headers(record.headers)
    size = len(headers) + len(record.key or b"") + len(record.value or b"")
    if size > RECORD_BYTES_MAX:
        raise RecordRefused(
            f"a record of {size} bytes for topic {place.topic!r} is too large; "
            f"at most {RECORD_BYTES_MAX}"
        )
    return {
        "topic": place.topic,
        "number": place.number,
        "offset": offset,
        "key": record.key,
        "value": record.value,
        "headers": headers,
        "timestamp_ms": now_ms if record.timestamp_ms is None else record.timestamp_ms,
        "stored_ms": now_ms,
    }


async def read(connection: Connection, place: Partition, offset: int, limit: int) -> list[Received]:
    """Records of one partition from ``offset`` on, at most ``limit``."""
    rows = await connection.fetch(
        sql(connection, "read"),
        {"topic": place.topic, "number": place.number, "offset": offset, "limit": limit},
    )
    topic, number = place
    return [
        Received(topic, number, at, key, value, _decode_headers(headers), stamp)
        for at, key, value, headers, stamp in rows
    ]


async def drop_old(connection: Connection, now_ms: int) -> int:
    """Drop what is older than its topic's retention; how many partitions lost something."""
    dropped = 0
    for topic in (await topics(connection)).values():
        kept_ms = int(topic.config[RETENTION_CONFIG])
        if kept_ms < 0:
            continue
        for place, span in (await spans(connection, topic.name)).items():
            low = await _first_kept(connection, place, span, now_ms - kept_ms)
            if low > span.low:
                where = {"topic": place.topic, "number": place.number}
                await connection.fetch(sql(connection, "raise_low"), {**where, "low": low})
                await connection.fetch(sql(connection, "drop_below"), {**where, "offset": low})
                dropped += 1
    return dropped


async def _first_kept(connection: Connection, place: Partition, span: Span, before_ms: int) -> int:
    where = {"topic": place.topic, "number": place.number, "before_ms": before_ms}
    found = await connection.fetch(sql(connection, "first_kept"), where)
    return int(found[0][0]) if found else span.high


def sql(connection: Connection, name: str) -> str:
    """A statement of the embedded broker."""
    return statements("goldseam.broker", connection.dialect)[name]
