"""Read your own writes: the check and the query see one snapshot, so nothing can come between.

From the guide, "Eventual Consistency: The Hiding Technique": the write returned its position,
the read asks for it, and is answered from a state that has it or told to come back.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Generic, NoReturn, Protocol, TypeVar

from goldseam.database.connection import Connection, Database, Dialect, Parameters, Row
from goldseam.errors import CorruptCheckpoint, InvalidInput, ReadModelBehind
from goldseam.projections.advances import Advances
from goldseam.projections.projection import Projection
from goldseam.projections.tables import Tables
from goldseam.reads.standing import Standing, standing
from goldseam.resilience.clock import Clock, SystemClock
from goldseam.store.event_store import EventStore
from goldseam.telemetry.signals import signals

T = TypeVar("T")

WAIT_SECONDS_MAX = 30.0
"""Longest a read waits for its position, whatever it asks for."""

POLL_SECONDS = 0.1
"""How often a waiting read looks when the projection runs in another process."""


class Log(Protocol):
    """What a read model must know of the log behind it."""

    @property
    def identity(self) -> str:
        """Which log it is."""
        ...

    async def position_of(self, token: str | int) -> int:
        """The position that a token names."""
        ...

    async def head(self) -> int:
        """The newest position."""
        ...


class ReadConnection:
    """A snapshot of the read model's database, whose standing has been checked."""

    def __init__(self, connection: Connection, found: Standing, tables: Tables) -> None:
        self._connection, self.standing = connection, found
        # A prepared statement must not outlive the tables it was planned for.
        self._mark = f"/* {found.generation} */ " if tables.names else ""

    @property
    def dialect(self) -> Dialect:
        """``sqlite`` or ``postgresql``."""
        return self._connection.dialect

    async def fetch(self, sql: str, parameters: Parameters = {}) -> list[Row]:
        """Run one reading statement with ``:name`` parameters; its rows."""
        return await self._connection.fetch(self._mark + sql, parameters)


class _Answer(Generic[T]):
    """What an operation returned, told apart from a standing that is behind."""

    def __init__(self, value: T) -> None:
        self.value = value


ReadOperation = Callable[[ReadConnection], Coroutine[Any, Any, T]]
"""A coroutine function that awaits nothing but its connection."""


class _StoreLog:
    def __init__(self, store: EventStore) -> None:
        self.identity = str(store.store_id)
        self.position_of, self.head = store.position_of, store.head


class ReadModel:
    """The rows of one projection, read soundly.

    Args:
        store: the event store (or another log) whose positions readers hold.
        projection: whose tables these are.
        database: where they are.
        advances: shared with the projection's runner if that is in this process: a waiting read
            is then woken by its commit.
    """

    def __init__(
        self,
        store: EventStore | Log,
        projection: Projection,
        database: Database,
        *,
        advances: Advances | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._log: Log = _StoreLog(store) if isinstance(store, EventStore) else store
        self.projection, self._database = projection, database
        self._advances, self._clock = advances or Advances(), clock or SystemClock()
        self._tables = projection.tables_for(database.dialect)
        self._shared_lock = self._tables.shared_lock(database.dialect)
        self._head_seen = 0
        self.name = projection.name

    async def fetch(
        self,
        sql: str,
        parameters: Parameters = {},
        *,
        after: str | int | None = None,
        wait: float = 0.0,
        sequence: str | None = None,
    ) -> list[Row]:
        """Run one reading statement; its rows.

        Args:
            after: the token or position that a write returned; the answer shows that write.
            wait: how long to wait until it can, in seconds, at most 30.
            sequence: what is read, usually a stream; events parked in others do not matter then.

        Raises:
            ReadModelBehind: the rows do not show ``after`` yet.
            InvalidPosition: ``after`` was never given out by this store.
            CorruptCheckpoint: where the rows stand cannot be trusted.
        """
        return await self.read(
            lambda connection: connection.fetch(sql, parameters),
            after=after,
            wait=wait,
            sequence=sequence,
        )

    async def read(
        self,
        operation: ReadOperation[T],
        *,
        after: str | int | None = None,
        wait: float = 0.0,
        sequence: str | None = None,
    ) -> T:
        """Run ``operation`` on one snapshot that shows ``after``. See :meth:`fetch`.

        ``operation`` gets a connection whose ``standing`` says where the snapshot stands; it may
        be called again, and awaits nothing else.
        """
        target = None if after is None else await self._log.position_of(after)
        until = self._clock.monotonic() + checked_wait(wait)
        while True:
            answer = await self._attempt(operation, target, sequence)
            if isinstance(answer, _Answer):
                return answer.value
            left = until - self._clock.monotonic()
            if left <= 0:
                self._refuse(answer, target or 0)
            await self._advances.wait(self.name, min(left, POLL_SECONDS))

    async def _attempt(
        self, operation: ReadOperation[T], target: int | None, sequence: str | None
    ) -> _Answer[T] | Standing:
        async def on_snapshot(connection: Connection) -> tuple[Standing, _Answer[T] | None]:
            if self._shared_lock is not None:
                await connection.fetch(self._shared_lock)
            found = await standing(connection, self.name, self._log.identity, sequence)
            if target is not None and not found.shows(target):
                return found, None
            read = ReadConnection(connection, found, self._tables)
            return found, _Answer(await operation(read))

        found, answer = await self._database.read(on_snapshot)
        await self._refuse_future(found)
        return found if answer is None else answer

    async def _refuse_future(self, found: Standing) -> None:
        """A read model beyond the end of its log shows what was taken back."""
        if found.position > self._head_seen:
            self._head_seen = await self._log.head()
            if found.position > self._head_seen:
                raise CorruptCheckpoint(
                    self.name,
                    f"it is at position {found.position}, the store ends at {self._head_seen}: "
                    "the store went backwards",
                )

    async def standing(self, sequence: str | None = None) -> Standing:
        """Where the rows stand now."""
        found = await self._database.read_one(
            lambda connection: standing(connection, self.name, self._log.identity, sequence)
        )
        await self._refuse_future(found)
        return found

    async def require(
        self, after: str | int | None, *, wait: float = 0.0, sequence: str | None = None
    ) -> Standing:
        """Wait until the rows show ``after``; where they stand then.

        For answers that are built elsewhere: ask again when the answer is ready, and give it only
        if the generation is the same. Within one generation positions never go back.

        Raises:
            ReadModelBehind, InvalidPosition, CorruptCheckpoint: as :meth:`fetch`.
        """

        async def nothing(connection: ReadConnection) -> Standing:
            return connection.standing

        return await self.read(
            nothing,
            after=after,
            wait=wait,
            sequence=sequence,
        )

    def _refuse(self, found: Standing, target: int) -> NoReturn:
        signals.count("goldseam_reads_behind_total", projection=self.name)
        behind = max(0, target - found.position)
        seconds = self._advances.retry_after_seconds(self.name, behind)
        why = ""
        if not behind:
            why = f"an event is parked at position {found.parked_from}, its sequence is stopped"
        raise ReadModelBehind(self.name, found.position, target, seconds, why)


def checked_wait(seconds: float) -> float:
    """``seconds`` as a wait that is allowed: 0 to 30.

    Raises:
        InvalidInput: it is negative or not a number.
    """
    if not seconds >= 0:
        raise InvalidInput(f"wait is {seconds}, it must be 0 to {WAIT_SECONDS_MAX:g} seconds")
    return min(seconds, WAIT_SECONDS_MAX)
