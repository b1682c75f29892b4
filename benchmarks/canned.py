"""Records that are there already, and a broker that hands them out: nothing else is measured."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from goldseam.broker.cloudevents import record_of
from goldseam.broker.port import Capabilities, Listener, Membership, Span, Subscription, Topic
from goldseam.broker.record import Partition, Received
from goldseam.events.event import RawEvent
from goldseam.events.registry import Registry

TOPIC, PARTITIONS, STREAMS = "orders", 4, 400

registry = Registry()


@registry.event(name="bench.Deposited")
class Deposited:
    amount: int
    note: str


def record(number: int, partition: int, offset: int) -> Received:
    """The n-th fact, as a broker hands it out."""
    stream = f"account-{number % STREAMS}"
    payload = msgspec.json.encode({"amount": number, "note": "a deposit of some length " * 4})
    id_ = uuid.UUID(int=(7 << 76) | (2 << 62) | number).bytes
    stored = RawEvent(
        number + 1, "main", stream, number // STREAMS + 1, "bench.Deposited", 1, payload,
        1_700_000_000_000_000 + number, id_, b"{}",
    )  # fmt: skip
    made = record_of(stored, TOPIC, "urn:goldseam:bench")
    return Received(TOPIC, partition, offset, made.key, made.value, made.headers, 0)


def canned(count: int) -> dict[Partition, list[Received]]:
    """``count`` facts on their partitions, each stream on one."""
    topic: dict[Partition, list[Received]] = {Partition(TOPIC, n): [] for n in range(PARTITIONS)}
    for number in range(count):
        place = Partition(TOPIC, number % STREAMS % PARTITIONS)
        topic[place].append(record(number, place.number, len(topic[place])))
    return topic


class CannedBroker:
    """Hands out records that are there already: what is measured is what comes after."""

    url = "canned://bench"
    capabilities = Capabilities(
        durable=False, replicated=False, static_membership=False, consumer_protocol=False,
        other_processes=False,
    )  # fmt: skip

    def __init__(self, topic: Mapping[Partition, list[Received]]) -> None:
        self.topic = topic

    async def subscribe(
        self, topics: Sequence[str], membership: Membership, listener: Listener
    ) -> Subscription:
        return CannedSubscription(self.topic, listener)

    async def publisher(self, name: str = "") -> Any:
        raise NotImplementedError

    async def admin(self) -> Any:
        return self

    async def topics(self) -> Mapping[str, Topic]:
        return {TOPIC: Topic(name=TOPIC, partitions=PARTITIONS, replication=1)}

    async def spans(self, topic: str) -> Mapping[Partition, Span]:
        return {place: Span(0, len(records)) for place, records in self.topic.items()}

    async def close(self) -> None:
        pass


class CannedSubscription:
    """All partitions, for one member."""

    def __init__(self, topic: Mapping[Partition, list[Received]], listener: Listener) -> None:
        self._topic, self._listener = topic, listener
        self._at = dict.fromkeys(topic, 0)
        self._paused: set[Partition] = set()
        self._joined = False

    @property
    def assigned(self) -> frozenset[Partition]:
        return frozenset(self._at)

    async def poll(self, limit: int, seconds: float) -> Sequence[Received]:
        if not self._joined:
            self._joined = True
            await self._listener.assigned(list(self._at))
        found: list[Received] = []
        for place, at in self._at.items():
            if place not in self._paused:
                taken = self._topic[place][at : at + limit // PARTITIONS]
                self._at[place] = at + len(taken)
                found += taken
        await asyncio.sleep(0 if found else min(seconds, 0.001))
        return found

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        pass

    async def committed(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        return {}

    async def pause(self, partitions: Collection[Partition]) -> None:
        self._paused |= set(partitions)

    async def resume(self, partitions: Collection[Partition]) -> None:
        self._paused -= set(partitions)

    async def seek(self, partition: Partition, offset: int) -> None:
        self._at[partition] = offset

    async def close(self) -> None:
        pass
