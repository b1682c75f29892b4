"""What a relay reads: the event log, which is its own outbox, or the outbox of a CQRS system."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from goldseam.broker.cloudevents import record_of
from goldseam.broker.record import Record
from goldseam.database.connection import Database
from goldseam.events.event import RawEvent
from goldseam.outbox.routing import Routing, shard_of
from goldseam.outbox.table import lane_head, lane_oldest_us, lane_page
from goldseam.store.event_store import EventStore
from goldseam.store.follow import Changes, Subscription


class SchemaIds(Protocol):
    """Knows the GUIDs of schemas; see :class:`goldseam.versioning.schema_ids.SchemaGuids`."""

    async def guid(self, name: str, version: int) -> bytes | None:
        """Sixteen bytes, or None when nothing is registered."""
        ...


class Batch(NamedTuple):
    """Records of one shard, and the position that is relayed once they are acknowledged."""

    records: Sequence[Record]
    position: int


class RelaySource(Protocol):
    """A log with positions in the order of commits."""

    async def head(self, shard: int, shards: int) -> int:
        """The newest position."""
        ...

    async def batch(self, after: int, limit: int, shard: int, shards: int) -> Batch:
        """What follows ``after``; its position is ``after`` at the end of the log."""
        ...

    async def oldest_us(self, after: int, shard: int, shards: int) -> int | None:
        """When what follows ``after`` was written; None at the end of the log."""
        ...

    def subscribe(self) -> AbstractAsyncContextManager[Subscription]:
        """Be told when there may be more."""
        ...


class LogSource:
    """The event log of a store: no second table, nothing to forget to write.

    Args:
        source: names the store in every record for ever; ``/goldseam/<store id>`` unless said.
        tenants: relay only these; all of the store unless said.
    """

    def __init__(
        self,
        store: EventStore,
        routing: Routing,
        *,
        source: str | None = None,
        tenants: Sequence[str] | None = None,
        schema_ids: SchemaIds | None = None,
    ) -> None:
        self._store, self._routing = store, routing
        self.source = source or source_of(store)
        self._tenants = None if tenants is None else frozenset(tenants)
        self._schema_ids = schema_ids

    async def head(self, shard: int, shards: int) -> int:
        """The newest position of the store."""
        return await self._store.head()

    async def batch(self, after: int, limit: int, shard: int, shards: int) -> Batch:
        """The next events as records; those of other shards and tenants are passed over."""
        found = await self._store.raw_all(after=after, limit=limit)
        records, routing, source = [], self._routing, self.source
        guids = await _guids(self._schema_ids, found)
        for event in found:
            if shards > 1 and shard_of(event.stream, shards) != shard:
                continue
            if self._tenants is not None and event.tenant not in self._tenants:
                continue
            topic = routing(event)
            if topic is None:
                continue
            guid = guids.get((event.type, event.type_version)) if guids else None
            records.append(record_of(event, topic, source, guid))
        return Batch(records, found[-1].position if found else after)

    async def oldest_us(self, after: int, shard: int, shards: int) -> int | None:
        """When the event after ``after`` was recorded."""
        found = await self._store.raw_all(after=after, limit=1)
        return found[0].recorded_us if found else None

    def subscribe(self) -> AbstractAsyncContextManager[Subscription]:
        """The store's own commits, its database's notifications, or a poll."""
        return self._store.changes.subscribe()


class OutboxSource:
    """The table that :func:`goldseam.outbox.table.add` writes; a shard is one of its lanes.

    Args:
        source: names the service in every record for ever.
    """

    def __init__(
        self, database: Database, source: str, *, schema_ids: SchemaIds | None = None
    ) -> None:
        self._database, self._changes = database, Changes(database)
        self.source, self._schema_ids = source, schema_ids

    async def head(self, shard: int, shards: int) -> int:
        """The newest position of the lane."""
        return await self._database.read_one(lambda c: lane_head(c, shard))

    async def batch(self, after: int, limit: int, shard: int, shards: int) -> Batch:
        """The next rows of the lane as records."""
        rows = await self._database.read_one(lambda c: lane_page(c, shard, after, limit))
        guids = await _guids(self._schema_ids, [event for _, event in rows])
        records = [
            record_of(event, topic, self.source, guids.get((event.type, event.type_version)))
            for topic, event in rows
        ]
        return Batch(records, rows[-1][1].position if rows else after)

    async def oldest_us(self, after: int, shard: int, shards: int) -> int | None:
        """When the row after ``after`` was added."""
        return await self._database.read_one(lambda c: lane_oldest_us(c, shard, after))

    def subscribe(self) -> AbstractAsyncContextManager[Subscription]:
        """A poll: a caller's own transaction notifies nobody."""
        return self._changes.subscribe()


async def _guids(
    ids: SchemaIds | None, events: Sequence[RawEvent]
) -> dict[tuple[str, int], bytes | None]:
    """The schema id of each type and version among ``events``."""
    if ids is None:
        return {}
    return {key: await ids.guid(*key) for key in {(one.type, one.type_version) for one in events}}


def source_of(store: EventStore) -> str:
    """The CloudEvents source of a store: with an event's id it names the event for ever."""
    return f"/goldseam/{store.store_id}"
