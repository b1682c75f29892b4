"""A store that is appended to at a steady rate, its relay into a real cluster, and the judges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from goldseam import EventStore
from goldseam.backends.kafka import KafkaBroker
from goldseam.broker.errors import BrokerUnreachable
from goldseam.broker.port import Admin, Publisher
from goldseam.governance.ledger import Accounts, reconcile
from goldseam.outbox.relay import Relay
from goldseam.outbox.routing import to_topic
from goldseam.outbox.sources import LogSource, source_of
from goldseam.resilience.clock import SystemClock
from tests.faults.kafka import read_to_end
from tests.support.relays import RELAY, Fact
from tests.support.ticks import tick
from tools.kafka_cluster import KafkaCluster

STREAMS = 10
EVENTS_PER_SECOND = 200
ELECTION_SECONDS_MAX = 60.0
LOOK_SECONDS = 0.5


class Appends:
    """Appends to a few streams in turn, so many a second, until told to stop."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._stopping = asyncio.Event()
        self.acknowledged: list[UUID] = []

    def stop(self) -> None:
        """End after the append that is on its way."""
        self._stopping.set()

    async def run(self) -> None:
        """Append until stopped; one that is late is caught up with."""
        begun = asyncio.get_running_loop().time()
        while not self._stopping.is_set():
            due = begun + len(self.acknowledged) / EVENTS_PER_SECOND
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            await self._one(len(self.acknowledged))

    async def _one(self, n: int) -> None:
        event = tick(n % STREAMS, n)
        await self._store.append(f"tick-{n % STREAMS}", [event], expected=n // STREAMS)
        assert event.id is not None
        self.acknowledged.append(event.id)


def relay_to(store: EventStore, publisher: Publisher, topic: str, name: str = RELAY) -> Relay:
    """A relay of the whole log to one topic."""
    source = LogSource(store, to_topic(topic))
    return Relay(name, source, publisher, store.database, SystemClock(), holder="relay-a")


@asynccontextmanager
async def relaying(relay: Relay) -> AsyncIterator[Relay]:
    """``relay`` at work; stopped in good order at the end."""
    task = asyncio.create_task(relay.run())
    try:
        yield relay
        relay.stop()
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def drained(relay: Relay) -> bool:
    """Whether the relay has passed everything."""
    return (await relay.status()).pending == 0


async def accounts(store: EventStore, broker: KafkaBroker, topic: str) -> Accounts:
    """What goldseam's own reconciler finds of the whole log; brokers may just have started."""
    admin = await broker.admin()
    async with asyncio.timeout(ELECTION_SECONDS_MAX):
        while True:
            try:
                found = await _reconciled(store, admin, topic)
            except BrokerUnreachable:  # the partitions' leaders are being elected
                await asyncio.sleep(LOOK_SECONDS)
            else:
                await admin.close()
                return found


async def _reconciled(store: EventStore, admin: Admin, topic: str) -> Accounts:
    found = await reconcile(
        store,
        admin,
        [topic],
        to_topic(topic),
        source=source_of(store),
        position=await store.head(),
    )
    return found.accounts


def facts_on(cluster: KafkaCluster, topic: str) -> list[Fact]:
    """Every delivery as a plain client reads it, in the order of each partition."""
    found = []
    for message in read_to_end(cluster, topic):
        headers = dict(message.headers() or [])
        key = message.key()
        assert key is not None
        found.append(Fact(key.decode(), headers["ce_id"].decode()))
    return found
