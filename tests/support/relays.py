"""A log with facts in it, a relay on it, and what its topics hold as other people's SQL sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from confluent_kafka import Consumer, KafkaError, TopicPartition

from goldseam import EventStore, open_store
from goldseam.backends import kafka
from goldseam.broker.errors import BrokerUnreachable
from goldseam.broker.port import Broker, Placed, Publisher, Topic
from goldseam.broker.record import Record
from goldseam.outbox.relay import Relay
from goldseam.outbox.routing import by_category
from goldseam.outbox.sources import LogSource
from goldseam.resilience.clock import SystemClock
from goldseam.runtime.brokers import open_broker
from goldseam.testing.faults import CrashPoint
from tests.crashes.outside import query
from tests.support.ticks import registry, tick

ROOT = Path(__file__).resolve().parents[2]
STREAMS = 3
TOPIC, PARTITIONS = "tick", 3
RELAY = "log"
JUDGE_SECONDS_MAX = 60.0


class Fact(NamedTuple):
    """One event: where it is, and which."""

    stream: str
    event_id: str


@asynccontextmanager
async def log(url: str, events: int = 0) -> AsyncIterator[EventStore]:
    """The store at ``url``, with so many more events in it, over three streams in turn."""
    async with await open_store(url, registry=registry) as store:
        for n in range(events):
            stream = f"tick-{n % STREAMS}"
            version = await store.stream_version(stream)
            await store.append(stream, [tick(n % STREAMS, version)], expected=version)
        yield store


def relay_of(
    store: EventStore, publisher: Publisher, database: Any = None, **options: Any
) -> Relay:
    """A relay of all of ``store``, restarted under the same name unless ``holder`` is given."""
    options.setdefault("holder", "relay-a")
    source = LogSource(store, by_category())
    return Relay(RELAY, source, publisher, database or store.database, SystemClock(), **options)


@asynccontextmanager
async def sender(url: str, config: dict[str, str] | None = None) -> AsyncIterator[Publisher]:
    """A publisher of the broker at ``url``, where the topic of the facts is."""
    broker: Broker = kafka.open_broker(url, config) if config else open_broker(url)
    try:
        admin = await broker.admin()
        await admin.create(Topic(name=TOPIC, partitions=PARTITIONS, replication=1))
        await admin.close()
        yield await broker.publisher()
    finally:
        await broker.close()


def logged(url: str) -> list[Fact]:
    """What the log holds, in its order."""
    rows = query(url, "SELECT stream, id FROM goldseam_events ORDER BY position")
    return [
        Fact(stream, str(id_ if isinstance(id_, UUID) else UUID(bytes=id_))) for stream, id_ in rows
    ]


def delivered(broker_url: str) -> list[Fact]:
    """Every delivery, in the order of each partition; doubles included. By other clients."""
    if broker_url.startswith("kafka:"):
        return _on_kafka(broker_url.removeprefix("kafka://"))
    rows = query(
        broker_url,
        "SELECT record_key, headers FROM goldseam_records ORDER BY topic, number, record_offset",
    )
    return [Fact(bytes(key).decode(), _event_id(bytes(headers))) for key, headers in rows]


def _on_kafka(bootstrap: str) -> list[Fact]:
    judge = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "judge",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    judge.assign([TopicPartition(TOPIC, n, 0) for n in range(PARTITIONS)])
    found: dict[int, list[Fact]] = {n: [] for n in range(PARTITIONS)}
    ended = 0
    while ended < PARTITIONS:
        message = judge.poll(JUDGE_SECONDS_MAX)
        assert message is not None, "the topic cannot be read to its end"
        error, key = message.error(), message.key()
        if error is None:
            headers = dict(message.headers() or [])
            assert key is not None
            fact = Fact(key.decode(), headers["ce_id"].decode())
            found[message.partition() or 0].append(fact)
        elif error.code() == KafkaError._PARTITION_EOF:
            ended += 1
    judge.close()
    return [fact for number in sorted(found) for fact in found[number]]


def _event_id(headers: bytes) -> str:
    return next(str(UUID(v.decode())) for k, v in _decoded(headers) if k == "ce_id")


def _decoded(headers: bytes) -> list[tuple[str, bytes]]:
    return msgspec.msgpack.decode(headers, type=list[tuple[str, bytes]])


def firsts(facts: Sequence[Fact]) -> dict[str, list[str]]:
    """The first delivery of each event, by stream: what a consumer that knows ids applies."""
    found: dict[str, list[str]] = {}
    seen: set[str] = set()
    for fact in facts:
        if fact.event_id not in seen:
            seen.add(fact.event_id)
            found.setdefault(fact.stream, []).append(fact.event_id)
    return found


def checkpoint(url: str) -> int:
    """Where the relay's checkpoint stands."""
    rows = query(
        url, "SELECT position FROM goldseam_relay_checkpoints WHERE relay = ? AND shard = 0", RELAY
    )
    return int(rows[0][0]) if rows else 0


class CrashingPublisher:
    """A publisher whose calls are moments to die: before they are sent, or before the answer."""

    def __init__(self, inner: Publisher, point: CrashPoint) -> None:
        self._inner, self._point = inner, point

    async def publish(self, records: Sequence[Record]) -> Sequence[Placed]:
        return await self._point.pass_(lambda: self._inner.publish(records))

    async def close(self) -> None:
        await self._inner.close()


class LosesAnswers:
    """A publisher that stores what it is given and then says it does not know: ``times`` times."""

    def __init__(self, inner: Publisher, times: int) -> None:
        self._inner, self.left = inner, times
        self.calls = 0

    async def publish(self, records: Sequence[Record]) -> Sequence[Placed]:
        self.calls += 1
        placed = await self._inner.publish(records)
        if self.left:
            self.left -= 1
            raise BrokerUnreachable("no answer in time: whether they are stored is unknown")
        return placed

    async def close(self) -> None:
        await self._inner.close()
