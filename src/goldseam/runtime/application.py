"""One application: a store, its projections, relay and consumers, started and stopped together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from goldseam.commands.handle import Handled
from goldseam.commands.handle import handle as handle_command
from goldseam.consumers.consumer import Consumer
from goldseam.consumers.membership import StaticId
from goldseam.database.connection import Database, Parameters, Row
from goldseam.errors import CorruptCheckpoint, InvalidInput, ProjectionError
from goldseam.events.registry import Registry, registry
from goldseam.healing.projecting import Reprojection, effective_source, unhandled
from goldseam.outbox.routing import Routing, by_category
from goldseam.projections.advances import Advances
from goldseam.projections.hosted import HostedProjection
from goldseam.projections.projection import Projection
from goldseam.reads.read_model import ReadModel
from goldseam.resilience.clock import Clock, IdFactory, SystemClock, uuid7_bytes
from goldseam.runtime.declared import ReadModels, by_name, key_pair, urls_of
from goldseam.runtime.keys import open_vault
from goldseam.runtime.projecting import (
    keep_corrected,
    keep_lag_known,
    keep_rebuilding,
    source_for,
)
from goldseam.runtime.river import Plan, River
from goldseam.runtime.sagas import SagaPart, SagaPlan, board_of, keep_counted, plan_of
from goldseam.runtime.supervisor import Supervisor
from goldseam.runtime.wiring import open_database, open_store
from goldseam.sagas.board import SagaBoard
from goldseam.sagas.desk import Sagas
from goldseam.sagas.saga import Saga
from goldseam.store.event_store import EventStore

if TYPE_CHECKING:
    from goldseam.privacy.vault import Vault

CLOSE_SECONDS = 10.0
"""How long pages that are being applied may take to finish when the application closes."""

_log = logging.getLogger("goldseam.runtime")

Part = Literal["relay", "consumers", "projections", "sagas"]
PARTS: tuple[Part, ...] = get_args(Part)
"""What an application runs; several processes may divide it among themselves."""


class Goldseam:
    """An event store with its projections; an async context manager.

    Args:
        store_url: ``sqlite:///shop.db`` or ``postgresql://...``.
        projections: kept up to date while the application is open.
        read_models: where their tables are: one URL, or one for each projection by name. In the
            store's database unless said.
        run: give False to read and steer only, where another process runs the parts.
        broker: where events are relayed to and consumed from: ``kafka://host:port`` or, embedded,
            ``sqlite:///broker.db``. Without one nothing leaves the store.
        consumers: take part in their groups while the application is open.
        targets: where the consumers' effects are: one URL, or one for each by name. In the
            store's database unless said.
        relay: names the relay of this store; None where another process relays.
        routing: the topic of each event; one for each category of streams unless said.
        follow: where projections read: the ``"store"``, or its topics at the ``"broker"``.
        sagas: their definitions, or a :class:`goldseam.SagaPlan` with the topics of the answers.
        keys, key_provider: the keys of personal data, as :func:`goldseam.open_vault` takes them.
        registry, clock, new_id, store_options: as :func:`goldseam.open_store` takes them.
    """

    def __init__(
        self,
        store_url: str,
        projections: Sequence[Projection] = (),
        read_models: ReadModels | None = None,
        *,
        run: bool = True,
        registry: Registry = registry,
        clock: Clock | None = None,
        new_id: IdFactory = uuid7_bytes,
        close_seconds: float = CLOSE_SECONDS,
        keys: str | None = None,
        key_provider: str | None = None,
        broker: str | None = None,
        consumers: Sequence[Consumer] = (),
        targets: ReadModels | None = None,
        relay: str | None = "main",
        relay_shards: int = 1,
        routing: Routing | None = None,
        follow: Literal["store", "broker"] = "store",
        member: Callable[[str], StaticId] | None = None,
        sagas: Sequence[Saga[Any]] | SagaPlan = (),
        **store_options: Any,
    ) -> None:
        self.store_url, self._registry = store_url, registry
        self._clock, self._new_id = clock or SystemClock(), new_id
        self._close_seconds, self._store_options = close_seconds, store_options
        self._keys = key_pair(keys, key_provider)
        self.vault: Vault | None = None
        """The keys of personal data, while the application is open and has some."""
        plan = plan_of(sagas)
        self._sagas = None if plan is None else SagaPart(plan)
        mailbox = None if self._sagas is None else self._sagas.mailbox
        index = [] if self._sagas is None else [self._sagas.index]
        self._declared = by_name([*projections, *index], "projection", ProjectionError)
        self._urls = urls_of(
            {one.name: one for one in projections}, read_models, "read_models", "projection"
        )
        self.consumers = (*consumers,) if mailbox is None else (*consumers, mailbox)
        """The consumers that were declared, and the one that hears the answers for sagas."""
        if broker is None and (self.consumers or follow == "broker"):
            raise InvalidInput("consumers, and projections that follow a broker, need broker=URL")
        self._targets = urls_of(by_name(self.consumers, "consumer"), targets, "targets", "consumer")
        self.broker_url, self._follow = broker, follow
        self.relaying = relay, relay_shards, routing or by_category()
        """The relay's name, its shards, and the topic of each event."""
        self._member, self._parts = member, frozenset(PARTS if run else ())
        self.river: River | None = None
        """Relay and consumers, while the application is open and has a broker."""
        self._advances = Advances()
        self._store: EventStore | None = None
        self._databases: dict[str, Database] = {}
        self._supervisor = Supervisor(self._clock)
        self.projections: dict[str, HostedProjection] = {}
        """Every projection by name: pause, resume, reset, rebuild, parked, retry, status, lag."""
        self._read_models: dict[str, ReadModel] = {}

    def steering(self, store_url: str | None = None) -> Goldseam:
        """The same application, not open, for reading and steering only: it runs nothing."""
        return self.running(store_url=store_url, parts=())

    def running(
        self,
        *,
        store_url: str | None = None,
        broker: str | None = None,
        parts: Iterable[Part] = PARTS,
        member: Callable[[str], StaticId] | None = None,
    ) -> Goldseam:
        """The same application, not open, that will run ``parts``; several processes share it."""
        twin = object.__new__(Goldseam)
        twin.__dict__.update(self.__dict__)
        twin.store_url, twin._parts = store_url or self.store_url, frozenset(parts)
        twin.broker_url, twin._member = broker or self.broker_url, member or self._member
        twin._store = twin.vault = twin.river = None
        twin._databases, twin.projections, twin._read_models = {}, {}, {}
        return twin

    @property
    def has_keys(self) -> bool:
        """Whether it was given the keys of personal data."""
        return self._keys is not None

    @property
    def clock(self) -> Clock:
        """Where its time comes from."""
        return self._clock

    @property
    def target_urls(self) -> frozenset[str]:
        """Where the effects and dead letters of its consumers are."""
        return frozenset(self._targets.get(one.name, self.store_url) for one in self.consumers)

    def target(self, consumer: str | None = None) -> Database:
        """The database of a consumer's effects; of the first one unless named."""
        name = self.consumers[0].name if consumer is None else consumer
        return self._opened(self._targets.get(name, self.store_url))

    @property
    def store(self) -> EventStore:
        """The event store.

        Raises:
            InvalidInput: the application is not open.
        """
        if self._store is None:
            raise InvalidInput("the application is not open; use: async with Goldseam(...) as app")
        return self._store

    async def open(self) -> Goldseam:
        """Open the store, make what tables are missing, start the projections."""
        self._supervisor = Supervisor(self._clock)
        try:
            if self._keys is not None:
                self.vault = await open_vault(*self._keys, clock=self._clock)
            self._store = await open_store(
                self.store_url,
                registry=self._registry,
                clock=self._clock,
                new_id=self._new_id,
                vault=self.vault,
                **self._store_options,
            )
            if self._sagas is not None:
                self._sagas.open(self._store)
            if self.broker_url is not None and self._parts:  # who only reads needs no broker
                self.river = self._make_river(self.broker_url)
            for projection in self._declared.values():
                await self._host(projection)
            await self._start()
        except BaseException:
            await self.close()
            raise
        return self

    def _make_river(self, url: str) -> River:
        name, shards, routing = self.relaying
        plan = Plan(
            broker=url,
            consumers=self.consumers,
            relay=name,
            shards=shards,
            routing=routing,
            identity=self._member,
        )
        return River(
            plan,
            self.store,
            lambda name: self._opened(self._targets.get(name, self.store_url)),
            registry=self._registry,
            clock=self._clock,
            new_id=self._new_id,
            holder=self._new_id().hex(),
        )

    async def _host(self, projection: Projection) -> None:
        database = self._opened(self._urls.get(projection.name, self.store_url))
        river = None if self._follow == "store" else self.river
        relay = self.relaying[0] or "main"
        source = await source_for(projection, self.store, river, relay, self._clock)
        hosted = HostedProjection(
            projection,
            effective_source(source, self.store, projection),
            database,
            advances=self._advances,
            registry=self._registry,
            clock=self._clock,
        )
        try:
            await hosted.prepare()
        except CorruptCheckpoint as error:
            # It stops this one projection: its reads and its runner say so, the others go on.
            hosted.runner.failure = str(error)
            _log.error("projection %s: %s", projection.name, error)
        self.projections[projection.name] = hosted
        self._read_models[projection.name] = ReadModel(
            self.store, projection, database, advances=self._advances, clock=self._clock
        )

    def _opened(self, url: str) -> Database:
        if url == self.store_url:
            return self.store.database
        if url not in self._databases:
            self._databases[url] = open_database(url)
        return self._databases[url]

    async def _start(self) -> None:
        """The parts that this process runs."""
        if "projections" in self._parts:
            self._start_projections()
        if self.river is not None and "relay" in self._parts:
            await self.river.start_relay(self._supervisor)
        if self.river is not None and "consumers" in self._parts:
            await self.river.start_consumers(self._supervisor)
        if "sagas" in self._parts:
            self._start_sagas()

    def _start_sagas(self) -> None:
        if self._sagas is not None:
            holder = self._new_id().hex()
            self._sagas.start(self.store, self._clock, self._supervisor, holder)
        if self.saga_list.definitions:
            counting = keep_counted(self.saga_list, self._supervisor)
            self._supervisor.start("saga counts", counting)

    def _start_projections(self) -> None:
        start, supervisor = self._supervisor.start, self._supervisor
        for name, hosted in self.projections.items():
            start(f"projection {name}", hosted.runner.run)
            start(f"rebuild {name}", keep_rebuilding(hosted, supervisor))
            start(f"lag {name}", keep_lag_known(hosted, supervisor))
            if unhandled(hosted.projection, self._registry):
                watch = Reprojection(self.store, hosted)
                start(f"corrections {name}", keep_corrected(watch, hosted, supervisor))

    async def handle(self, kind: Any, stream: str, command: Any, **options: Any) -> Handled[Any]:
        """Handle a command on the store. See :func:`goldseam.handle`."""
        return await handle_command(self.store, kind, stream, command, **options)

    def read_model(self, name: str) -> ReadModel:
        """The read model of the projection ``name``.

        Raises:
            ProjectionError: there is no such projection.
        """
        found = self._read_models.get(name)
        if found is None:
            known = ", ".join(sorted(self._read_models)) or "none"
            raise ProjectionError(f"there is no projection {name!r}; there are: {known}")
        return found

    @property
    def sagas(self) -> Sagas:
        """Start sagas, tell them what services have answered, steer them.

        Raises:
            InvalidInput: it has none, or is not open.
        """
        if self._sagas is None:
            raise InvalidInput("the application has no sagas; use: Goldseam(..., sagas=[...])")
        return self._sagas.desk

    @property
    def saga_list(self) -> SagaBoard:
        """Look at sagas and choreographed flows: the list, the counts, the whole story of one."""
        hosted = self.projections.values()
        return board_of(self._sagas, self.store, self.consumers, hosted, self.target)

    async def fetch(
        self,
        name: str,
        sql: str,
        parameters: Parameters = {},
        *,
        after: str | int | None = None,
        wait: float = 0.0,
        sequence: str | None = None,
    ) -> list[Row]:
        """Read from the projection ``name``. See :meth:`ReadModel.fetch`."""
        return await self.read_model(name).fetch(
            sql, parameters, after=after, wait=wait, sequence=sequence
        )

    @property
    def failures(self) -> Mapping[str, str]:
        """What is not going well at the moment, by projection or job."""
        stuck = {n: h.runner.failure for n, h in self.projections.items() if h.runner.failure}
        river = {} if self.river is None else self.river.failures
        sagas = {} if self._sagas is None else self._sagas.failures
        return {**self._supervisor.failures, **stuck, **river, **sagas}

    @property
    def jobs(self) -> tuple[str, ...]:
        """The names of what runs here."""
        return self._supervisor.jobs

    async def status(self) -> dict[str, Any]:
        """Everything that runs here at a glance."""
        lags = {name: await one.lag() for name, one in self.projections.items()}
        projections = {name: msgspec.to_builtins(lag) for name, lag in lags.items()}
        river = {} if self.river is None else await self.river.status()
        return {"projections": projections, **river, "failures": dict(self.failures)}

    async def caught_up(self) -> bool:
        """Whether nothing is left to project, to relay, to consume or to do for a saga here."""
        running = self.projections.values() if "projections" in self._parts else ()
        for hosted in running:
            if (await hosted.lag()).events:
                return False
        if self._sagas is not None and not await self._sagas.settled():
            return False
        return self.river is None or await self.river.caught_up()

    async def close(self) -> bool:
        """Finish what is being applied, then give back every connection; whether all ended."""
        for hosted in self.projections.values():
            hosted.runner.stop()
        if self.river is not None:
            self.river.stop()
        if self._sagas is not None:
            self._sagas.stop()
        in_time = await self._supervisor.close(self._close_seconds)
        if self.river is not None:
            await self.river.close()
        for database in self._databases.values():
            await database.close()
        if self._store is not None:
            await self._store.close()
        if self.vault is not None:
            await self.vault.close()
        if self._sagas is not None:
            self._sagas.close()
        self._store = self.vault = self.river = None
        self._databases, self.projections, self._read_models = {}, {}, {}
        return in_time

    async def __aenter__(self) -> Goldseam:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()
