"""The topics of a relay: made when they are first needed, and written down for who reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from goldseam.broker.port import Admin, Broker, Placed, Publisher, Topic
from goldseam.broker.record import Record
from goldseam.database.connection import Connection, Database
from goldseam.outbox.checkpoint import apply_tables, sql
from goldseam.resilience.clock import Clock

TOPIC_PARTITIONS = 6
REPLICATION = 3
SAFE_CONFIG: Mapping[str, str] = {
    "min.insync.replicas": "2",
    "unclean.leader.election.enable": "false",
}
"""What a topic needs so that no acknowledged event is lost with one broker."""


class MakesTopics:
    """A publisher that makes the topics it is the first to name, so that none is refused."""

    def __init__(
        self, publisher: Publisher, broker: Broker, admin: Admin, database: Database, relay: str
    ) -> None:
        self._publisher, self._broker, self._admin = publisher, broker, admin
        self._database, self._relay = database, relay
        self._known: set[str] = set()
        self._making = asyncio.Lock()

    @property
    def in_flight_max(self) -> int:
        """How many calls the publisher inside keeps in order, failures included."""
        return in_flight_max(self._publisher)

    async def publish(self, records: Sequence[Record]) -> Sequence[Placed]:
        """Send ``records``; see :class:`Publisher`."""
        named = {record.topic for record in records}
        async with self._making:  # a later call must not pass one that still makes its topics
            if not named <= self._known:
                new = sorted(named - self._known)
                await make_topics(self._admin, self._broker, new)
                await self._database.transact(lambda c: _write_down(c, self._relay, new))
                self._known |= named
        return await self._publisher.publish(records)

    async def close(self) -> None:
        """Close the publisher."""
        await self._publisher.close()


def in_flight_max(publisher: Publisher) -> int:
    """How many batches may be on their way at once: one, unless the publisher says more.

    More is for publishers that fail everything behind a batch that has failed.
    """
    return int(getattr(publisher, "in_flight_max", 1))


async def make_topics(
    admin: Admin, broker: Broker, names: Sequence[str], *, partitions: int = TOPIC_PARTITIONS
) -> None:
    """Make what is missing, such that no acknowledged event is lost with one broker."""
    known = await admin.topics()
    safe = broker.capabilities.replicated
    for name in names:
        if name not in known:
            await admin.create(
                Topic(
                    name=name,
                    partitions=partitions,
                    replication=REPLICATION if safe else 1,
                    config=SAFE_CONFIG if safe else {},
                )
            )


async def relay_topics(database: Database, relay: str, clock: Clock) -> list[str]:
    """Every topic that ``relay`` has sent something to."""
    await database.transact(lambda c: apply_tables(c, clock))

    async def look(connection: Connection) -> list[str]:
        rows = await connection.fetch(sql(connection, "relay_topics"), {"relay": relay})
        return [str(row[0]) for row in rows]

    return await database.read_one(look)


async def _write_down(connection: Connection, relay: str, names: Sequence[str]) -> None:
    for name in names:
        await connection.fetch(sql(connection, "add_topic"), {"relay": relay, "topic": name})
