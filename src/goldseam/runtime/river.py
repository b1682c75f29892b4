"""An application's share of the river: its relay, its consumers, and their dead letters."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from goldseam.broker.port import Admin, Broker
from goldseam.consumers.consumer import Consumer
from goldseam.consumers.dead_letters.mirror import Mirror
from goldseam.consumers.dead_letters.store import due
from goldseam.consumers.lag import measure
from goldseam.consumers.membership import StaticId, membership_of
from goldseam.consumers.runner import ConsumerRunner
from goldseam.consumers.workshop import make_tables
from goldseam.database.connection import Database
from goldseam.errors import GoldseamError
from goldseam.events.registry import Registry
from goldseam.outbox.relay import Relay
from goldseam.outbox.routing import Routing, by_category
from goldseam.outbox.shards import ShardedRelay
from goldseam.outbox.sources import LogSource
from goldseam.outbox.topics import MakesTopics, make_topics
from goldseam.resilience.clock import Clock, IdFactory
from goldseam.runtime.brokers import open_broker
from goldseam.runtime.supervisor import Supervisor
from goldseam.store.event_store import EventStore
from goldseam.versioning.schema_ids import SchemaGuids
from goldseam.versioning.schema_registry import SchemaRegistry

LAG_SECONDS = 2.0
"""How often the lag of consumers is measured."""

NEVER_US = 1 << 62
"""Later than every redrive that was asked for, however slow its rate."""

_log = logging.getLogger("goldseam.runtime")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What of the river an application wants.

    ``relay``: names its checkpoints; None relays nothing. ``routing``: the topic of each event.
    ``identity``: gives consumers static ids in their groups; None joins dynamically.
    """

    broker: str
    consumers: tuple[Consumer, ...] = ()
    relay: str | None = "main"
    shards: int = 1
    routing: Routing = by_category()
    identity: Callable[[str], StaticId] | None = None


class River:
    """The running parts; opened and closed by the application."""

    def __init__(
        self,
        plan: Plan,
        store: EventStore,
        databases: Callable[[str], Database],
        *,
        registry: Registry,
        clock: Clock,
        new_id: IdFactory,
        holder: str,
    ) -> None:
        self.plan, self._store, self._databases = plan, store, databases
        self._registry, self._clock, self._holder = registry, clock, holder
        self.broker: Broker = open_broker(plan.broker, clock=clock, new_id=new_id)
        self.relay: ShardedRelay | None = None
        self.runners: dict[str, ConsumerRunner] = {}
        self._mirrors: list[Mirror] = []
        self._ready: set[str] = set()
        self._admin: Admin | None = None

    async def admin(self) -> Admin:
        """The broker's desk, opened once."""
        if self._admin is None:
            self._admin = await self.broker.admin()
        return self._admin

    async def start_relay(self, supervisor: Supervisor) -> None:
        """Relay the log, or stand by while another process does."""
        if self.plan.relay is None:
            return
        publisher = await self.broker.publisher(f"goldseam-{self.plan.relay}")
        self.relay = ShardedRelay(
            self.plan.relay,
            LogSource(self._store, self.plan.routing, schema_ids=self._schema_ids()),
            MakesTopics(
                publisher, self.broker, await self.admin(), self._store.database, self.plan.relay
            ),
            self._store.database,
            self._clock,
            holder=self._holder,
            shards=self.plan.shards,
        )
        supervisor.start("relay", self.relay.run)

    async def start_consumers(self, supervisor: Supervisor) -> None:
        """Every consumer as one member of its group, and the mirror of its dead letters."""
        for consumer in self.plan.consumers:
            database = self._databases(consumer.name)
            runner = ConsumerRunner(
                consumer,
                self.broker,
                database,
                registry=self._registry,
                sealer=self._store.sealer,
                clock=self._clock,
                membership=membership_of(consumer.name, self._identity(consumer)),
            )
            mirror = Mirror(consumer.name, database, self.broker, self._clock)
            self.runners[consumer.name] = runner
            self._mirrors.append(mirror)
            supervisor.start(f"consumer {consumer.name}", self._with_topics(runner, supervisor))
            supervisor.start(f"dead letters {consumer.name}", self._with_tables(mirror, database))
            supervisor.start(
                f"consumer lag {consumer.name}", self._keep_lag_known(consumer, supervisor)
            )

    def _schema_ids(self) -> SchemaGuids:
        schemas = SchemaRegistry(self._store.database, self._clock)
        return SchemaGuids(schemas, self._clock, self._registry)

    def _identity(self, consumer: Consumer) -> StaticId | None:
        return None if self.plan.identity is None else self.plan.identity(consumer.name)

    def _with_topics(
        self, runner: ConsumerRunner, supervisor: Supervisor
    ) -> Callable[[], Coroutine[Any, Any, None]]:
        async def job() -> None:
            topics = runner.consumer.topics
            await supervisor.unless_stopped(make_topics(await self.admin(), self.broker, topics))
            if supervisor.stopping.is_set():
                return
            await runner.prepare()
            self._ready.add(runner.name)
            if not supervisor.stopping.is_set():
                await runner.run()

        return job

    def _with_tables(
        self, mirror: Mirror, database: Database
    ) -> Callable[[], Coroutine[Any, Any, None]]:
        async def job() -> None:
            await database.transact(lambda c: make_tables(c, self._clock))
            await mirror.run()

        return job

    def _keep_lag_known(
        self, consumer: Consumer, supervisor: Supervisor
    ) -> Callable[[], Coroutine[Any, Any, None]]:
        async def job() -> None:
            while not supervisor.stopping.is_set():
                try:
                    database = self._databases(consumer.name)
                    looking = measure(consumer, await self.admin(), database, self._clock)
                    await supervisor.unless_stopped(looking)
                except GoldseamError as error:
                    _log.debug("lag of %s is unknown: %s", consumer.name, type(error).__name__)
                await supervisor.rest(LAG_SECONDS)

        return job

    @property
    def failures(self) -> dict[str, str]:
        """What is not going well at the moment."""
        found = {f"consumer {n}": r.failure for n, r in self.runners.items() if r.failure}
        if self.relay is not None and self.relay.failure:
            found["relay"] = self.relay.failure
        return found

    async def status(self) -> dict[str, Any]:
        """Relay and consumers at a glance."""
        relays: Sequence[Relay] = () if self.relay is None else self.relay.relays
        return {
            "relay": [msgspec.to_builtins(await one.status()) for one in relays],
            "consumers": [msgspec.to_builtins(one.status()) for one in self.runners.values()],
        }

    async def caught_up(self) -> bool:
        """Whether what runs here has no more to do: relayed, consumed or parked, redriven."""
        if self.relay is not None:
            for one in self.relay.relays:
                if (await one.status()).pending:
                    return False
        if self._ready != self.runners.keys():
            return False
        admin = await self.admin()
        for runner in self.runners.values():
            consumer, database = runner.consumer, self._databases(runner.consumer.name)
            if (await measure(consumer, admin, database, self._clock)).records:
                return False
            name = consumer.name
            if await database.read(lambda c: due(c, name, 1, now_us=NEVER_US)):  # noqa: B023
                return False
        return True

    def stop(self) -> None:
        """Finish what is being applied or sent."""
        for runner in self.runners.values():
            runner.stop()
        for mirror in self._mirrors:
            mirror.stop()
        if self.relay is not None:
            self.relay.stop()

    async def close(self) -> None:
        """Give back what was opened; after the jobs have ended."""
        if self._admin is not None:
            await self._admin.close()
        await self.broker.close()
