"""A caller's own connection, found behind its wrappers, as the place where events are written."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import ismethod
from typing import Any, TypeVar
from uuid import UUID

from goldseam.database.connection import Operation
from goldseam.errors import InvalidInput, KeysMissing, StoreReadOnly
from goldseam.events.event import Metadata
from goldseam.events.names import checked_name
from goldseam.events.registry import Registry
from goldseam.leadership.fencing import Fence
from goldseam.resilience.clock import Clock, SystemClock, uuid7_bytes
from goldseam.resilience.pause import no_pause
from goldseam.store.batch import Appended, answer
from goldseam.store.connection import LogConnection
from goldseam.store.decode import Page, sealed_type
from goldseam.store.expected import ExpectedVersion
from goldseam.store.identity import store_identity
from goldseam.store.prepare import Preparer
from goldseam.store.read import Reader
from goldseam.store.sealing import open_state, seal_state

T = TypeVar("T")

WRAPPERS_MAX = 4
"""Session, connection, pool proxy, driver: deeper than that nobody wraps."""


def callers_connection(connection: object, *, writing: bool = False) -> LogConnection:
    """The Connection port on a caller's connection; ``writing`` asks for an open transaction.

    Raises:
        InvalidInput: it is not a connection of a driver that goldseam knows.
        StoreReadOnly: there is no transaction that a write could belong to.
    """
    raw: Any = connection
    for _ in range(WRAPPERS_MAX):
        kinds = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(raw).__mro__}
        if ("sqlite3", "Connection") in kinds:
            return _sqlite(raw, writing=writing)
        if ("psycopg", "Connection") in kinds:
            return _postgres(raw, writing=writing)
        inner = getattr(raw, "driver_connection", None) or getattr(raw, "connection", None)
        raw = inner() if ismethod(inner) else inner  # a Session has a method, the rest have it
    raise InvalidInput(
        f"{type(connection).__module__}.{type(connection).__qualname__} is not a connection to "
        "write events through; give a psycopg.Connection, a sqlite3.Connection, or a SQLAlchemy "
        "Session or Connection on one of them"
    )


def _sqlite(raw: Any, *, writing: bool) -> LogConnection:
    from goldseam.backends.sqlite.connection import SqliteConnection

    if writing and not raw.in_transaction:
        raise StoreReadOnly(
            "this SQLite connection is not in a transaction; execute BEGIN IMMEDIATE first, so "
            "that the events commit with your own rows"
        )
    return SqliteConnection(_PlainRows(raw))  # type: ignore[arg-type]


def _postgres(raw: Any, *, writing: bool) -> LogConnection:
    from goldseam.backends.postgres.connection import BlockingPostgresConnection

    if writing and raw.autocommit and raw.info.transaction_status.name == "IDLE":
        raise StoreReadOnly(
            "this PostgreSQL connection commits each statement by itself; open a transaction "
            "(with connection.transaction():) first, so that the events commit with your own rows"
        )
    return BlockingPostgresConnection(raw)


class _PlainRows:
    """A sqlite3 connection whose rows are tuples, whatever row factory its owner has set."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def _cursor(self) -> Any:
        cursor = self._raw.cursor()
        cursor.row_factory = None
        return cursor

    def execute(self, sql: str, parameters: Any = ()) -> Any:
        return self._cursor().execute(sql, parameters)

    def executemany(self, sql: str, rows: Any) -> Any:
        return self._cursor().executemany(sql, rows)


class TransactionLedger:
    """One caller's transaction as a command's ledger. Never commits or rolls it back."""

    def __init__(self, connection: LogConnection, tenant: str, registry: Registry) -> None:
        self.connection = connection
        self.tenant = checked_name("tenant", tenant)
        self.reader = Reader(registry, self.tenant)
        self.clock: Clock = SystemClock()
        self._preparer = Preparer(registry, self.clock, uuid7_bytes, self.tenant)

    async def identity(self) -> UUID:
        """Asked for each time: the same connection may see another schema in its next life."""
        return await store_identity(self.connection)

    async def read(self, operation: Operation[T]) -> T:
        """Run it in the transaction."""
        return await operation(self.connection)

    async def open_sealed(self, page: Page) -> Page:
        """Refused: a blocking caller has no way to the keys yet."""
        if page.sealed:
            raise KeysMissing(sealed_type(page))
        return page

    async def open_state(self, state: bytes) -> tuple[bytes, frozenset[str]] | None:
        """A snapshot's bytes; None if they are sealed."""
        return await open_state(None, self.tenant, state)

    async def seal_state(self, subjects: frozenset[str], state: bytes) -> bytes | None:
        """A snapshot's bytes; None if they are about somebody."""
        return await seal_state(None, self.tenant, subjects, state)

    async def append(
        self,
        writes: Sequence[tuple[str, ExpectedVersion, Sequence[object]]],
        *,
        key: str | None,
        fence: Fence | None,
        metadata: Metadata | None,
        fingerprint: bytes | None,
    ) -> Appended:
        """Judge and store it now; it counts when the caller commits."""
        store_id = await self.identity()
        append = self._preparer.append(
            writes, key=key, fence=fence, metadata=metadata, fingerprint=fingerprint
        )
        return answer(append, (await self.connection.append([append]))[0], store_id)

    async def keep(self, operation: Operation[None]) -> None:
        """Run it behind a savepoint: its failure must not end the caller's transaction."""
        await self.connection.fetch("SAVEPOINT goldseam_keep")
        try:
            await operation(self.connection)
        except BaseException:
            await self.connection.fetch("ROLLBACK TO SAVEPOINT goldseam_keep")
            raise
        finally:
            await self.connection.fetch("RELEASE SAVEPOINT goldseam_keep")

    async def pause(self, attempt: int) -> None:
        """None: the store's lock is this transaction's by now."""
        await no_pause(attempt)
