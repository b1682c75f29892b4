"""The embedded broker itself: publishers, members and the desk over one database."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from goldseam.broker.embedded import groups, topics
from goldseam.broker.embedded.desk import Desk
from goldseam.broker.embedded.groups import Joined
from goldseam.broker.embedded.subscription import EmbeddedSubscription
from goldseam.broker.errors import BrokerError, NotRunHere
from goldseam.broker.port import (
    Capabilities,
    Listener,
    Member,
    Membership,
    Placed,
    Span,
    Topic,
)
from goldseam.broker.record import Partition, Received, Record
from goldseam.database.connection import Connection, Database
from goldseam.resilience.clock import MICROSECONDS_PER_SECOND, Clock, IdFactory

DROP_SECONDS = 60.0
"""How often a publisher drops what is older than its topic's retention."""

CAPABILITIES = Capabilities(
    durable=True,
    replicated=False,
    static_membership=True,
    consumer_protocol=False,
    other_processes=True,
)


class EmbeddedBroker:
    """A broker in a database; see :class:`goldseam.broker.port.Broker`.

    Args:
        database: where its tables are; it is closed with the broker.
        create_topics: make a topic of four partitions when a record or a member names it first.
    """

    capabilities = CAPABILITIES

    def __init__(
        self, database: Database, clock: Clock, new_id: IdFactory, *, create_topics: bool = True
    ) -> None:
        self.url, self._database, self._clock, self._new_id = database.url, database, clock, new_id
        self._desk = Desk(database, clock)
        self._create_topics = create_topics

    async def publisher(self, name: str = "goldseam") -> EmbeddedPublisher:
        """A publisher; its name is of no use here."""
        return EmbeddedPublisher(self._desk, self._clock, create_topics=self._create_topics)

    async def subscribe(
        self, topics: Sequence[str], membership: Membership, listener: Listener
    ) -> EmbeddedSubscription:
        """Join a group.

        Raises:
            NotRunHere: the membership asks for the newer group protocol.
        """
        if membership.protocol != "classic":
            raise NotRunHere("the embedded broker knows the group protocol 'classic' only")
        if self._create_topics:
            await self._create_missing(topics)
        instance = membership.instance
        own = self._new_id().hex()
        who = Joined(
            membership.group,
            own if instance is None else f"static:{instance}",
            own,
            instance,
            tuple(topics),
            int(membership.session_seconds * MICROSECONDS_PER_SECOND),
        )
        start = membership.from_start
        return EmbeddedSubscription(self._desk, self._clock, who, listener, from_start=start)

    async def _create_missing(self, names: Sequence[str]) -> None:
        async def create(connection: Connection) -> None:
            known = await topics.topics(connection)
            for name in names:
                if name not in known:
                    await topics.create(connection, _plain_topic(name))

        await self._desk.transact(create)

    async def admin(self) -> EmbeddedAdmin:
        """The broker's desk."""
        return EmbeddedAdmin(self._desk, self._clock)

    async def close(self) -> None:
        """Close the database. May be called twice."""
        await self._database.close()


class EmbeddedPublisher:
    """Stores records in the order of the calls, each call in one transaction."""

    def __init__(self, desk: Desk, clock: Clock, *, create_topics: bool) -> None:
        self._desk, self._clock, self._create_topics = desk, clock, create_topics
        self._turns = asyncio.Lock()
        self._turn = 0
        self._dropped_at = clock.monotonic()

    async def publish(self, records: Sequence[Record]) -> Sequence[Placed]:
        """Send ``records``; return when they are committed, with their places in order."""
        if not records:
            return ()
        async with self._turns:  # a lock of asyncio is fair: the order of the calls
            now_ms = self._clock.now_us() // 1000
            turn, create = self._turn, self._create_topics
            placed = await self._desk.transact(
                lambda c: topics.write(c, records, now_ms, turn, create_missing=create)
            )
            self._turn += len(records)
        self._desk.wrote()
        await self._drop_old(now_ms)
        return placed

    async def _drop_old(self, now_ms: int) -> None:
        now = self._clock.monotonic()
        if now - self._dropped_at >= DROP_SECONDS:
            self._dropped_at = now
            await self._desk.transact(lambda c: topics.drop_old(c, now_ms))

    async def close(self) -> None:
        """Nothing is held."""


class EmbeddedAdmin:
    """See :class:`goldseam.broker.port.Admin`."""

    def __init__(self, desk: Desk, clock: Clock) -> None:
        self._desk, self._clock = desk, clock

    async def topics(self) -> Mapping[str, Topic]:
        """All topics."""
        return await self._desk.read(topics.topics)

    async def create(self, topic: Topic) -> bool:
        """Create ``topic``; False when it was there."""
        return await self._desk.transact(lambda c: topics.create(c, topic))

    async def spans(self, topic: str) -> Mapping[Partition, Span]:
        """What each partition of ``topic`` holds."""
        return await self._desk.read(lambda c: topics.spans(c, topic))

    async def read(self, partition: Partition, offset: int, limit: int) -> Sequence[Received]:
        """Records from ``offset`` on, outside of any group."""
        return await self._desk.read(lambda c: topics.read(c, partition, offset, limit))

    async def groups(self) -> Sequence[str]:
        """The groups that the broker knows."""

        async def names(connection: Connection) -> list[str]:
            return [row[0] for row in await connection.fetch(topics.sql(connection, "groups"))]

        return await self._desk.read(names)

    async def members(self, group: str) -> Sequence[Member]:
        """The present members of ``group``."""
        now_us = self._clock.now_us()
        return await self._desk.read(lambda c: groups.members(c, group, now_us))

    async def offsets(self, group: str) -> Mapping[Partition, int]:
        """What ``group`` has committed."""
        return await self._desk.read(lambda c: groups.offsets(c, group))

    async def set_offsets(self, group: str, offsets: Mapping[Partition, int]) -> None:
        """Move a group that has no members now.

        Raises:
            BrokerError: it has members.
        """
        now_us = self._clock.now_us()

        async def move(connection: Connection) -> None:
            row = {"group": group}
            await connection.fetch(topics.sql(connection, "make_group"), row)
            await groups.lock(connection, group)
            present = await groups.members(connection, group, now_us)
            if present:
                raise BrokerError(
                    f"group {group!r} has {len(present)} member(s); stop them before its offsets "
                    "are moved"
                )
            await groups.store_offsets(connection, group, offsets)

        await self._desk.transact(move)

    async def close(self) -> None:
        """Nothing is held."""


def _plain_topic(name: str) -> Topic:
    return Topic(name=name, partitions=topics.PARTITIONS_DEFAULT, replication=1)
