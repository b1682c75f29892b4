"""Handle a command: load, decide, append; when somebody was faster, load and decide again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, overload
from uuid import UUID

from goldseam.commands.aggregate import Aggregate, Decision, decider_of
from goldseam.commands.decider import Decider
from goldseam.commands.desk import ATTEMPTS, Desk, Handled, Order
from goldseam.commands.ownership import NOBODY, Owner
from goldseam.commands.snapshots import SnapshotPolicy
from goldseam.database.connection import Operation
from goldseam.events.event import Metadata
from goldseam.leadership.fencing import Fence
from goldseam.resilience.pause import Pause, jittered_pause
from goldseam.store.batch import Appended
from goldseam.store.decode import Page
from goldseam.store.event_store import EventStore
from goldseam.store.expected import ExpectedVersion
from goldseam.store.sealing import open_state, seal_state

__all__ = ["ATTEMPTS", "Handled", "handle"]

C = TypeVar("C")
S = TypeVar("S")
T = TypeVar("T")
A = TypeVar("A", bound=Aggregate)


@overload
async def handle(
    store: EventStore,
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
    owner: Owner = NOBODY,
    attempts: int = ATTEMPTS,
    pause: Pause = jittered_pause,
) -> Handled[A]: ...


@overload
async def handle(
    store: EventStore,
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
    owner: Owner = NOBODY,
    attempts: int = ATTEMPTS,
    pause: Pause = jittered_pause,
) -> Handled[S]: ...


async def handle(
    store: EventStore,
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
    owner: Owner = NOBODY,
    attempts: int = ATTEMPTS,
    pause: Pause = jittered_pause,
) -> Handled[Any]:
    """Decide ``command`` on ``stream`` and append the facts.

    Args:
        kind: an :class:`Aggregate` class or a :class:`Decider`.
        command: for an aggregate a call on it (``lambda account: account.deposit(50)``), for a
            decider whatever its ``decide`` takes.
        key: idempotency key: a second call with it is not decided again, it gets the first answer.
        request: what the key stands for, for example the body of the HTTP request; the same key
            with another one is refused. Without it, a decider's command is compared, and an
            aggregate's call is not.
        expected: the version the caller has seen (``If-Match``); a conflict is then the caller's
            and is not tried again.
        fence: the fencing token of the lease under which this is written.
        snapshots: keep and use snapshots by this policy.
        owner: makes this node the stream's writer meanwhile; the seam for single writers.
        attempts: how often to decide when others keep being faster.
        pause: waits between two attempts.

    Raises:
        VersionConflict: ``expected`` does not hold, or others were faster ``attempts`` times.
        IdempotencyMismatch: the key was used for another request.
        Exception: whatever the decision itself raises; nothing is written then.
    """
    decider = decider_of(kind) if isinstance(kind, type) else kind
    order = Order(stream, command, key, request, expected, fence, metadata, attempts)
    desk = Desk(_StoreLedger(store, pause), decider, order, snapshots)
    async with owner.of(stream) as lease:
        return await desk.work(lease)


class _StoreLedger:
    """An event store as a command's ledger."""

    def __init__(self, store: EventStore, pause: Pause) -> None:
        self._store, self._pause = store, pause
        self.tenant, self.reader, self.clock = store.tenant, store.reader, store.clock

    async def identity(self) -> UUID:
        return self._store.store_id

    async def read(self, operation: Operation[T]) -> T:
        return await self._store.database.read_one(operation)

    async def open_sealed(self, page: Page) -> Page:
        return await self._store.open_sealed(page)

    async def open_state(self, state: bytes) -> tuple[bytes, frozenset[str]] | None:
        return await open_state(self._store.sealer, self.tenant, state)

    async def seal_state(self, subjects: frozenset[str], state: bytes) -> bytes | None:
        return await seal_state(self._store.sealer, self.tenant, subjects, state)

    async def append(
        self,
        writes: Sequence[tuple[str, ExpectedVersion, Sequence[object]]],
        *,
        key: str | None,
        fence: Fence | None,
        metadata: Metadata | None,
        fingerprint: bytes | None,
    ) -> Appended:
        return await self._store.append_all(
            writes, key=key, fence=fence, metadata=metadata, fingerprint=fingerprint
        )

    async def keep(self, operation: Operation[None]) -> None:
        await self._store.database.transact(operation)

    async def pause(self, attempt: int) -> None:
        await self._pause(attempt)
