"""Handle a command: load, decide, append; when somebody was faster, load and decide again."""

from __future__ import annotations

import copy
from contextlib import suppress
from hashlib import sha256
from random import Random
from typing import Any, Generic, NamedTuple, TypeVar, overload

import msgspec

from goldseam.commands.aggregate import Aggregate, Decision, decider_of
from goldseam.commands.decider import Decider
from goldseam.commands.load import Loaded, load
from goldseam.commands.ownership import NOBODY, Owner
from goldseam.commands.snapshots import SnapshotPolicy, StateCodec, state_codec
from goldseam.errors import GoldseamError, VersionConflict
from goldseam.events.event import Metadata
from goldseam.events.positions import encode_token
from goldseam.leadership.fencing import Fence
from goldseam.store.batch import Appended
from goldseam.store.connection import Connection
from goldseam.store.event_store import EventStore
from goldseam.store.snapshots import Snapshot, SnapshotPlace, write_snapshot

C = TypeVar("C")
S = TypeVar("S")
A = TypeVar("A", bound=Aggregate)

ATTEMPTS = 5
"""How often a command is decided before a conflict is told to the caller."""

PAUSE_SECONDS = 0.005
"""The first pause after a conflict; it doubles, and each is drawn at random below it."""


class Handled(NamedTuple, Generic[S]):
    """What a command has done.

    ``events`` is empty when there was nothing to do; ``position`` is then where the stream stood,
    so a read after it still sees what the decision saw. ``replayed`` says that the idempotency
    key was used before: this is the first answer, and ``state`` is as it is now.
    """

    position: int
    token: str
    version: int
    events: tuple[object, ...]
    state: S
    replayed: bool = False


@overload
async def handle(
    store: EventStore,
    kind: type[A],
    stream: str,
    command: Decision[A],
    *,
    key: str | None = None,
    request: bytes | None = None,
    expected: int | None = None,
    fence: Fence | None = None,
    metadata: Metadata | None = None,
    snapshots: SnapshotPolicy | None = None,
    owner: Owner = NOBODY,
    attempts: int = ATTEMPTS,
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
    expected: int | None = None,
    fence: Fence | None = None,
    metadata: Metadata | None = None,
    snapshots: SnapshotPolicy | None = None,
    owner: Owner = NOBODY,
    attempts: int = ATTEMPTS,
) -> Handled[S]: ...


async def handle(
    store: EventStore,
    kind: Any,
    stream: str,
    command: Any,
    *,
    key: str | None = None,
    request: bytes | None = None,
    expected: int | None = None,
    fence: Fence | None = None,
    metadata: Metadata | None = None,
    snapshots: SnapshotPolicy | None = None,
    owner: Owner = NOBODY,
    attempts: int = ATTEMPTS,
) -> Handled[Any]:
    """Decide ``command`` on ``stream`` and append the facts.

    Args:
        kind: an :class:`Aggregate` class or a :class:`Decider`.
        command: for an aggregate a call on it (``lambda account: account.deposit(50)``), for a
            decider whatever its ``decide`` takes.
        key: idempotency key: a second call with it is not decided again, it gets the first answer.
        request: what the key stands for, for example the body of the HTTP request; the same key
            with another one is refused. Without it, a decider's command is compared.
        expected: the version the caller has seen (``If-Match``); a conflict is then the caller's
            and is not tried again.
        fence: the fencing token of the lease under which this is written.
        snapshots: keep and use snapshots by this policy.
        owner: makes this node the stream's writer meanwhile; the seam for single writers.
        attempts: how often to decide when others keep being faster.

    Raises:
        VersionConflict: ``expected`` does not hold, or others were faster ``attempts`` times.
        IdempotencyMismatch: the key was used for another request.
        Exception: whatever the decision itself raises; nothing is written then.
    """
    decider = decider_of(kind) if isinstance(kind, type) else kind
    fingerprint = _fingerprint(decider, stream, command, request)
    desk = _Desk(store, decider, stream, snapshots)
    async with owner.of(stream) as lease:
        for attempt in range(1, attempts + 1):
            if key is not None:
                first = await store.first_result(key, fingerprint, stream)
                if first is not None:
                    return await desk.answer_again(first)
            loaded = await desk.load()
            if expected is not None and expected != loaded.version:
                raise VersionConflict(stream, expected, loaded.version)
            events = tuple(decider.decide(command, loaded.state))
            if not events:
                return await desk.answer_nothing(loaded)
            try:
                done = await store.append_all(
                    [(stream, loaded.version, events)],
                    key=key,
                    fence=fence or lease,
                    metadata=metadata,
                    fingerprint=fingerprint,
                )
            except VersionConflict:
                if expected is not None or attempt == attempts:
                    raise
                await store.pause(_random.uniform(0, PAUSE_SECONDS * 2**attempt))
                continue
            return await desk.answer(loaded, events, done)
    raise AssertionError("attempts must be at least 1")


class _Desk(Generic[S]):
    """Where one command is worked on: loads its state, keeps its snapshot, words its answer."""

    def __init__(
        self,
        store: EventStore,
        decider: Decider[Any, S, Any],
        stream: str,
        snapshots: SnapshotPolicy | None,
    ) -> None:
        self._store, self._decider, self._stream = store, decider, stream
        self._snapshots = snapshots
        self._codec: StateCodec[S] | None = state_codec(decider) if snapshots else None
        self._place = (
            SnapshotPlace(store.tenant, stream, decider.name, self._codec.schema_hash)
            if self._codec
            else None
        )

    async def load(self) -> Loaded[S]:
        def operation(connection: Connection) -> Any:
            return load(
                connection,
                self._store.reader,
                self._decider,
                self._stream,
                self._place,
                self._codec,
            )

        return await self._store.database.read_one(operation)

    async def answer(
        self, loaded: Loaded[S], events: tuple[object, ...], done: Appended
    ) -> Handled[S]:
        state = self._decider.fold(events, copy.deepcopy(loaded.state))
        await self._keep_snapshot(loaded.replayed + len(events), state, done.version)
        return Handled(done.position, done.token, done.version, events, state, done.replayed)

    async def answer_again(self, first: Appended) -> Handled[S]:
        loaded = await self.load()
        return Handled(first.position, first.token, first.version, (), loaded.state, replayed=True)

    async def answer_nothing(self, loaded: Loaded[S]) -> Handled[S]:
        position = loaded.position or await self._store.head()
        token = encode_token(self._store.store_id, position)
        return Handled(position, token, loaded.version, (), loaded.state)

    async def _keep_snapshot(self, replayed: int, state: S, version: int) -> None:
        """Never load-bearing: a snapshot that cannot be written fails no command."""
        codec, place = self._codec, self._place
        if codec is None or place is None or not (self._snapshots or _NEVER).wants(replayed):
            return
        snapshot, now_us = Snapshot(version, codec.encode(state)), self._store.clock.now_us()

        def operation(connection: Connection) -> Any:
            return write_snapshot(connection, place, snapshot, now_us)

        with suppress(GoldseamError):
            await self._store.database.transact(operation)


def _fingerprint(
    decider: Decider[Any, Any, Any], stream: str, command: object, request: bytes | None
) -> bytes:
    """What a second use of the key is compared with."""
    if request is None:
        try:
            request = b"" if callable(command) else msgspec.json.encode(command)
        except (TypeError, NotImplementedError):
            request = b""
    head = f"{decider.name}\0{stream}\0{type(command).__name__}\0".encode()
    return sha256(head + request).digest()


_random = Random()  # noqa: S311 -- a pause, not a secret
_NEVER = SnapshotPolicy(every=2**63)
