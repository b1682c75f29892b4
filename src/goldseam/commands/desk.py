"""The desk where one command is worked on: load, decide, append, and decide again on a conflict.

Colourless: it awaits only its ledger, so the same steps run in an asyncio store and inside a
caller's own blocking transaction.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

import msgspec

from goldseam.commands.decider import Decider
from goldseam.commands.load import Loaded, Shelf, load
from goldseam.commands.snapshots import SnapshotPolicy, StateCodec, state_codec
from goldseam.database.connection import Connection, Operation
from goldseam.database.statements import statements
from goldseam.errors import InvalidName, VersionConflict
from goldseam.events.event import Metadata, NewEvent
from goldseam.events.positions import encode_token
from goldseam.leadership.fencing import Fence
from goldseam.resilience.clock import Clock
from goldseam.store.batch import Appended
from goldseam.store.expected import ExpectedVersion, holds, shown_expected
from goldseam.store.idempotency import find_first_result
from goldseam.store.sealing import personal_subjects
from goldseam.store.snapshots import Snapshot, SnapshotPlace, write_snapshot
from goldseam.telemetry.signals import signals

S = TypeVar("S")
T = TypeVar("T")

ATTEMPTS = 5
"""How often a command is decided before a conflict is told to the caller."""


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


class Ledger(Shelf, Protocol):
    """Where a command reads and writes: an event store, or a caller's own transaction."""

    tenant: str
    clock: Clock

    async def identity(self) -> UUID:
        """The store's own id, for position tokens."""
        ...

    async def seal_state(self, subjects: frozenset[str], state: bytes) -> bytes | None:
        """A snapshot's bytes, sealed if they are about somebody; None if one is forgotten."""
        ...

    async def append(
        self,
        writes: Sequence[tuple[str, ExpectedVersion, Sequence[object]]],
        *,
        key: str | None,
        fence: Fence | None,
        metadata: Metadata | None,
        fingerprint: bytes | None,
    ) -> Appended:
        """Append, or raise what refuses it."""
        ...

    async def keep(self, operation: Operation[None]) -> None:
        """Write something that must not harm the command when it fails."""
        ...

    async def pause(self, attempt: int) -> None:
        """Wait after a conflict, before attempt ``attempt + 1``."""
        ...


class Order(NamedTuple):
    """One command and everything its caller said about it."""

    stream: str
    command: Any
    key: str | None = None
    request: bytes | None = None
    expected: ExpectedVersion | None = None
    fence: Fence | None = None
    metadata: Metadata | None = None
    attempts: int = ATTEMPTS


class Desk(Generic[S]):
    """Where one command is worked on.

    Args:
        ledger: where it reads and writes.
        decider: how it is decided.
        order: the command and its conditions.
        snapshots: when to keep a snapshot; None uses and keeps none.
    """

    def __init__(
        self,
        ledger: Ledger,
        decider: Decider[Any, S, Any],
        order: Order,
        snapshots: SnapshotPolicy | None,
    ) -> None:
        if order.attempts < 1:
            raise InvalidName("attempts", order.attempts, "it must be at least 1")
        self._ledger, self._decider, self._order = ledger, decider, order
        self._snapshots = snapshots
        self._codec: StateCodec[S] | None = state_codec(decider) if snapshots else None
        self._fingerprint = fingerprint(decider, order)
        self._place = _place(ledger.tenant, order.stream, decider, self._codec)

    async def work(self, lease: Fence | None = None) -> Handled[S]:
        """Do it; ``lease`` is the fence of whoever owns the stream meanwhile."""
        attempt = 0
        while True:
            attempt += 1
            handled = await self._first_answer() or await self._attempt(attempt, lease)
            if handled is not None:
                return handled
            await self._ledger.pause(attempt)

    async def _first_answer(self) -> Handled[S] | None:
        """The answer to the first use of the key: asked for before deciding, never decided again.

        The state may have moved on since, and would decide otherwise.
        """
        key, stream = self._order.key, self._order.stream
        if key is None:
            return None
        tenant = self._ledger.tenant
        first = await self._ledger.read(
            lambda c: find_first_result(c, tenant, key, self._fingerprint, stream)
        )
        if first is None:
            return None
        position, _, versions = first
        return await self._answer_again(position, versions[stream])

    async def _attempt(self, attempt: int, lease: Fence | None) -> Handled[S] | None:
        """One decision; None when somebody was faster and there is an attempt left."""
        order = self._order
        started = self._ledger.clock.monotonic()
        loaded = await self._load()
        seconds = self._ledger.clock.monotonic() - started
        if order.expected is not None and not holds(order.expected, loaded.version):
            raise VersionConflict(order.stream, shown_expected(order.expected), loaded.version)
        events = tuple(self._decider.decide(order.command, loaded.state))
        if not events:
            return await self._answer_nothing(loaded)
        try:
            done = await self._ledger.append(
                [(order.stream, loaded.version, events)],
                key=order.key,
                fence=order.fence or lease,
                metadata=order.metadata,
                fingerprint=self._fingerprint,
            )
        except VersionConflict:
            if order.expected is not None or attempt >= order.attempts:
                raise
            return None
        if done.replayed and (order.key or done.version != loaded.version + len(events)):
            # Stored before, by a faster call with the key or with these ids: its answer counts.
            return await self._answer_again(done.position, done.version)
        facts = tuple(e.data if isinstance(e, NewEvent) else e for e in events)
        state = copy.deepcopy(loaded.state)
        for fact in facts:
            state = self._decider.evolve(state, fact)
        replayed = loaded.replayed + len(facts)
        about = personal_subjects(self._ledger.reader.decoder.registry, facts)
        subjects = loaded.subjects | (about or set())
        await self._keep_snapshot(replayed, seconds, state, done.version, subjects)
        return Handled(done.position, done.token, done.version, facts, state, done.replayed)

    async def _load(self) -> Loaded[S]:
        return await load(self._ledger, self._decider, self._order.stream, self._place, self._codec)

    async def _answer_again(self, position: int, version: int) -> Handled[S]:
        loaded = await self._load()
        token = encode_token(await self._ledger.identity(), position)
        return Handled(position, token, version, (), loaded.state, replayed=True)

    async def _answer_nothing(self, loaded: Loaded[S]) -> Handled[S]:
        position = loaded.position or await self._ledger.read(_head)
        token = encode_token(await self._ledger.identity(), position)
        return Handled(position, token, loaded.version, (), loaded.state)

    async def _keep_snapshot(
        self, replayed: int, seconds: float, state: S, version: int, subjects: frozenset[str]
    ) -> None:
        """Never load-bearing: the facts are stored, so no snapshot may fail the command now."""
        codec, place, policy = self._codec, self._place, self._snapshots
        if codec is None or place is None or policy is None or not policy.wants(replayed, seconds):
            return
        now_us = self._ledger.clock.now_us()
        try:
            encoded = await self._ledger.seal_state(subjects, codec.encode(state))
            if encoded is None:
                return
            snapshot = Snapshot(version, encoded)
            await self._ledger.keep(lambda c: write_snapshot(c, place, snapshot, now_us))
        except Exception:  # whatever it was: the next load replays the events
            signals.count("goldseam_snapshots_ignored_total")


def _place(
    tenant: str, stream: str, decider: Decider[Any, S, Any], codec: StateCodec[S] | None
) -> SnapshotPlace | None:
    if codec is None:
        return None
    return SnapshotPlace(tenant, stream, decider.name, codec.schema_hash)


async def _head(connection: Connection) -> int:
    sql = statements("goldseam.store", connection.dialect)["head"]
    return int((await connection.fetch(sql))[0][0])


def fingerprint(decider: Decider[Any, Any, Any], order: Order) -> bytes:
    """What a second use of the key is compared with."""
    request = order.request
    if request is None:
        try:
            request = b"" if callable(order.command) else msgspec.json.encode(order.command)
        except (TypeError, NotImplementedError):
            request = b""
    head = f"{decider.name}\0{order.stream}\0{type(order.command).__name__}\0".encode()
    return sha256(head + request).digest()
