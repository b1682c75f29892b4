"""The relay of an outbox table, for a service without an event store: two URLs are enough."""

from __future__ import annotations

from types import TracebackType

from goldseam.outbox import checkpoint
from goldseam.outbox.relay import LEASE_SECONDS, Relay
from goldseam.outbox.shards import ShardedRelay
from goldseam.outbox.sources import OutboxSource
from goldseam.outbox.table import LANES
from goldseam.outbox.topics import MakesTopics
from goldseam.resilience.clock import Clock, SystemClock, uuid7_bytes
from goldseam.runtime.brokers import open_broker
from goldseam.runtime.wiring import open_database
from goldseam.store.connection import LogDatabase
from goldseam.versioning.schema_ids import SchemaGuids
from goldseam.versioning.schema_registry import SchemaRegistry

RELAY = "outbox"
SOURCE = "/outbox"


def table_source(database: LogDatabase, source: str, clock: Clock) -> OutboxSource:
    """The outbox table in ``database``, its records with the ids of their schemas."""
    ids = SchemaGuids(SchemaRegistry(database, clock), clock)
    return OutboxSource(database, source, schema_ids=ids)


async def prepare_outbox(database_url: str, *, clock: Clock | None = None) -> None:
    """Make or upgrade the tables of the outbox, beside your own.

    Raises:
        StoreUnavailable: the database cannot be reached.
    """
    database, time = open_database(database_url), clock or SystemClock()
    try:
        await database.transact(lambda c: checkpoint.apply_tables(c, time))
    finally:
        await database.close()


class OutboxRelay:
    """Sends the rows of an outbox table to their topics; an async context manager.

    Start one beside each of your processes, or one alone: they share the lanes, and one process
    is active for each. Topics that are missing are made.

    Args:
        source: names the service in every record for ever, as ``/orders`` does.
        name: of its checkpoints and leases.
        lease_seconds: how long the others wait when a process dies.
    """

    def __init__(
        self,
        database_url: str,
        broker_url: str,
        *,
        source: str = SOURCE,
        name: str = RELAY,
        lease_seconds: float = LEASE_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        self.name, self._source, self._lease_seconds = name, source, lease_seconds
        self._clock = clock or SystemClock()
        self._database = open_database(database_url)
        self._broker = open_broker(broker_url, clock=self._clock)
        self._sharded: ShardedRelay | None = None
        self._lanes: list[Relay] = []

    @property
    def failure(self) -> str | None:
        """Why a lane is not going on at the moment; None while all is well."""
        return None if self._sharded is None else self._sharded.failure

    async def run(self) -> None:
        """Relay until :meth:`stop`; outages of the database and the broker are waited for.

        Raises:
            RecordRefused: the broker will never take a row: too large, or not allowed.
        """
        assert self._sharded is not None, "use: async with OutboxRelay(...) as relay"
        await self._sharded.run()

    async def flush(self) -> int:
        """Relay what there is now; how many rows.

        Raises:
            LeaseLost: another process relays a lane; it will relay what there is.
            BrokerUnreachable, StoreUnavailable: try again; what was sent keeps its ids.
        """
        before = [(await one.status()).position for one in self._lanes]
        return sum([await one.flush() for one in self._lanes]) - sum(before)

    def stop(self) -> None:
        """Finish what is being sent and give the lanes to the others."""
        if self._sharded is not None:
            self._sharded.stop()

    async def __aenter__(self) -> OutboxRelay:
        try:
            await self._database.transact(lambda c: checkpoint.apply_tables(c, self._clock))
            publisher = await self._broker.publisher(f"goldseam-{self.name}")
            admin = await self._broker.admin()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        source = table_source(self._database, self._source, self._clock)
        sender = MakesTopics(publisher, self._broker, admin, self._database, self.name)
        parts = self.name, source, sender, self._database, self._clock
        holder = uuid7_bytes().hex()
        self._sharded = ShardedRelay(
            *parts, holder=holder, shards=LANES, lease_seconds=self._lease_seconds
        )
        self._lanes = [
            Relay(*parts, holder=f"flush-{holder}", shard=lane, shards=LANES)
            for lane in range(LANES)
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        await self._broker.close()
        await self._database.close()
