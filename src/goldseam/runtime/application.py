"""One application: a store, its projections and their read models, started and stopped together."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from goldseam.commands.handle import Handled
from goldseam.commands.handle import handle as handle_command
from goldseam.database.connection import Database, Parameters, Row
from goldseam.errors import CorruptCheckpoint, InvalidInput, ProjectionError
from goldseam.events.registry import Registry, registry
from goldseam.healing.projecting import Reprojection, effective_source, unhandled
from goldseam.projections.advances import Advances
from goldseam.projections.hosted import HostedProjection
from goldseam.projections.projection import Projection
from goldseam.projections.source import StoreSource
from goldseam.reads.read_model import ReadModel
from goldseam.resilience.clock import Clock, IdFactory, SystemClock, uuid7_bytes
from goldseam.runtime.keys import open_vault
from goldseam.runtime.projecting import keep_corrected, keep_lag_known, keep_rebuilding
from goldseam.runtime.supervisor import Supervisor
from goldseam.runtime.wiring import open_database, open_store
from goldseam.store.event_store import EventStore

if TYPE_CHECKING:
    from goldseam.privacy.vault import Vault

CLOSE_SECONDS = 10.0
"""How long pages that are being applied may take to finish when the application closes."""

_log = logging.getLogger("goldseam.runtime")

ReadModels = str | Mapping[str, str]


class Goldseam:
    """An event store with its projections; an async context manager.

    Args:
        store_url: ``sqlite:///shop.db`` or ``postgresql://...``.
        projections: kept up to date while the application is open.
        read_models: where their tables are: one URL, or one for each projection by name. In the
            store's database unless said.
        run: give False to read and steer only, where another process runs the projections.
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
        **store_options: Any,
    ) -> None:
        self.store_url, self._run, self._registry = store_url, run, registry
        self._clock, self._new_id = clock or SystemClock(), new_id
        self._close_seconds, self._store_options = close_seconds, store_options
        self._keys = _pair(keys, key_provider)
        self.vault: Vault | None = None
        """The keys of personal data, while the application is open and has some."""
        self._declared = {projection.name: projection for projection in projections}
        if len(self._declared) != len(projections):
            raise ProjectionError("two projections have the same name; rename one of them")
        self._urls = _urls(self._declared, read_models)
        self._advances = Advances()
        self._store: EventStore | None = None
        self._databases: dict[str, Database] = {}
        self._supervisor = Supervisor(self._clock)
        self.projections: dict[str, HostedProjection] = {}
        """Every projection by name: pause, resume, reset, rebuild, parked, retry, status, lag."""
        self._read_models: dict[str, ReadModel] = {}

    def steering(self, store_url: str | None = None) -> Goldseam:
        """The same application, not open, for reading and steering only: it runs nothing."""
        twin = object.__new__(Goldseam)
        twin.__dict__.update(self.__dict__)
        twin.store_url, twin._run = store_url or self.store_url, False
        twin._store = twin.vault = None
        twin._databases, twin.projections, twin._read_models = {}, {}, {}
        return twin

    @property
    def has_keys(self) -> bool:
        """Whether it was given the keys of personal data."""
        return self._keys is not None

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
            for projection in self._declared.values():
                await self._host(projection)
            if self._run:
                self._start()
        except BaseException:
            await self.close()
            raise
        return self

    async def _host(self, projection: Projection) -> None:
        database = self._database(projection.name)
        source = StoreSource(self.store, projection.category)
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

    def _database(self, name: str) -> Database:
        url = self._urls.get(name, self.store_url)
        if url == self.store_url:
            return self.store.database
        if url not in self._databases:
            self._databases[url] = open_database(url)
        return self._databases[url]

    def _start(self) -> None:
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
        return {**self._supervisor.failures, **stuck}

    async def close(self) -> None:
        """Finish the pages that are being applied, then give back every connection."""
        for hosted in self.projections.values():
            hosted.runner.stop()
        await self._supervisor.close(self._close_seconds)
        for database in self._databases.values():
            await database.close()
        if self._store is not None:
            await self._store.close()
        if self.vault is not None:
            await self.vault.close()
        self._store = self.vault = None
        self._databases, self.projections, self._read_models = {}, {}, {}

    async def __aenter__(self) -> Goldseam:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _pair(keys: str | None, key_provider: str | None) -> tuple[str, str] | None:
    if keys is None and key_provider is None:
        return None
    if keys is None or key_provider is None:
        raise InvalidInput(
            "personal data needs both: keys= (where the keys are stored) and key_provider= (who "
            "wraps them); give both or neither"
        )
    return keys, key_provider


def _urls(declared: Mapping[str, Projection], read_models: ReadModels | None) -> Mapping[str, str]:
    if read_models is None:
        return {}
    if isinstance(read_models, str):
        return dict.fromkeys(declared, read_models)
    unknown = sorted(set(read_models) - set(declared))
    if unknown:
        raise ProjectionError(f"read_models names {', '.join(unknown)}, which is no projection")
    return read_models
