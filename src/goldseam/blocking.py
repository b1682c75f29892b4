"""Append inside your own transaction: for programs without asyncio, with a database of their own.

Give a ``psycopg.Connection``, a ``sqlite3.Connection``, or a SQLAlchemy ``Session`` or
``Connection`` on one of them. Events and your own rows then commit or roll back together.
Nothing here commits, rolls back, retries or starts a thread: the transaction is the caller's.

PostgreSQL must be in READ COMMITTED (its default): the store's lock is held from the append to
the end of your transaction, so append late and commit soon.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from goldseam.commands.aggregate import Aggregate, Decision, decider_of
from goldseam.commands.decider import Decider
from goldseam.commands.desk import Desk, Handled, Order
from goldseam.events.event import Metadata, Recorded
from goldseam.events.names import DEFAULT_TENANT
from goldseam.events.registry import Registry, registry
from goldseam.leadership.fencing import Fence
from goldseam.resilience.blocking import run_blocking
from goldseam.runtime.transaction import TransactionLedger, callers_connection
from goldseam.store.batch import Appended
from goldseam.store.expected import ExpectedVersion
from goldseam.store.read import PAGE_EVENTS

if TYPE_CHECKING:
    from goldseam.commands.snapshots import SnapshotPolicy
    from goldseam.store.event_store import StreamEvents

__all__ = ["append", "append_all", "handle", "read_stream"]

C = TypeVar("C")
S = TypeVar("S")
A = TypeVar("A", bound=Aggregate)


def append(
    connection: object,
    stream: str,
    events: Sequence[object],
    *,
    expected: ExpectedVersion,
    key: str | None = None,
    fence: Fence | None = None,
    metadata: Metadata | None = None,
    tenant: str = DEFAULT_TENANT,
    registry: Registry = registry,
) -> Appended:
    """Append ``events`` to ``stream`` in the caller's transaction; they count when it commits.

    Raises:
        VersionConflict, Fenced, IdempotencyMismatch: refused; the transaction goes on without it.
        StoreReadOnly: the connection is not in a transaction, or in one that cannot give out
            positions safely (an isolation level above READ COMMITTED).
        InvalidInput: the events, names or the connection cannot be used.
        StoreUnavailable: the database is gone or busy; roll back and do the whole again.
    """
    writes = [(stream, expected, events)]
    return append_all(
        connection,
        writes,
        key=key,
        fence=fence,
        metadata=metadata,
        tenant=tenant,
        registry=registry,
    )


def append_all(
    connection: object,
    writes: Sequence[StreamEvents],
    *,
    key: str | None = None,
    fence: Fence | None = None,
    metadata: Metadata | None = None,
    tenant: str = DEFAULT_TENANT,
    registry: Registry = registry,
) -> Appended:
    """Append to several streams, all or nothing, in the caller's transaction.

    See :func:`append` for the errors.
    """
    ledger = TransactionLedger(callers_connection(connection, writing=True), tenant, registry)
    return run_blocking(
        ledger.append(writes, key=key, fence=fence, metadata=metadata, fingerprint=None)
    )


def read_stream(
    connection: object,
    stream: str,
    *,
    after: int = 0,
    limit: int = PAGE_EVENTS,
    tenant: str = DEFAULT_TENANT,
    registry: Registry = registry,
) -> list[Recorded[Any]]:
    """One page of a stream as the caller's transaction sees it, its own appends included.

    Raises:
        CorruptEvent: an event is damaged, or one is missing in between.
        KeysMissing: an event has personal fields; they are opened by an asyncio store alone.
    """
    ledger = TransactionLedger(callers_connection(connection), tenant, registry)
    while True:
        page = run_blocking(
            ledger.reader.stream(ledger.connection, stream, after=after, limit=limit)
        )
        page = run_blocking(ledger.open_sealed(page))
        if page or not page.full:
            return page
        after = page.end


@overload
def handle(
    connection: object,
    kind: type[A],
    stream: str,
    command: Decision[A],
    *,
    key: str | None = None,
    request: bytes | None = None,
    expected: ExpectedVersion | None = None,
    fence: Fence | None = None,
    metadata: Metadata | None = None,
    snapshots: SnapshotPolicy | None = None,
    tenant: str = DEFAULT_TENANT,
    registry: Registry = registry,
) -> Handled[A]: ...


@overload
def handle(
    connection: object,
    kind: Decider[C, S, Any],
    stream: str,
    command: C,
    *,
    key: str | None = None,
    request: bytes | None = None,
    expected: ExpectedVersion | None = None,
    fence: Fence | None = None,
    metadata: Metadata | None = None,
    snapshots: SnapshotPolicy | None = None,
    tenant: str = DEFAULT_TENANT,
    registry: Registry = registry,
) -> Handled[S]: ...


def handle(
    connection: object,
    kind: Any,
    stream: str,
    command: Any,
    *,
    key: str | None = None,
    request: bytes | None = None,
    expected: ExpectedVersion | None = None,
    fence: Fence | None = None,
    metadata: Metadata | None = None,
    snapshots: SnapshotPolicy | None = None,
    tenant: str = DEFAULT_TENANT,
    registry: Registry = registry,
) -> Handled[Any]:
    """Decide ``command`` and append its facts in the caller's transaction.

    The arguments are those of :func:`goldseam.handle`. When somebody was faster it decides again
    at once: the store's lock, taken by the first try, then keeps everybody else out.

    Raises:
        VersionConflict: ``expected`` does not hold.
        Exception: whatever the decision raises, and the errors of :func:`append`.
    """
    ledger = TransactionLedger(callers_connection(connection, writing=True), tenant, registry)
    decider = decider_of(kind) if isinstance(kind, type) else kind
    order = Order(stream, command, key, request, expected, fence, metadata)
    return run_blocking(Desk(ledger, decider, order, snapshots).work())
