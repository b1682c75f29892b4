"""Where sagas are started, told, steered and looked at. Every change is one append.

The state is folded from the saga's own stream and changed under optimistic locking: whoever runs
the steps, whoever hears the answers and whoever steers may be different processes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from random import Random
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from goldseam.errors import CommitUnknown, InvalidInput, VersionConflict
from goldseam.events.event import Metadata, NewEvent, Recorded
from goldseam.events.names import checked_name, stream_name
from goldseam.leadership.fencing import Fence
from goldseam.privacy.errors import SubjectForgotten
from goldseam.resilience.clock import IdFactory, uuid7_bytes
from goldseam.resilience.pause import Pause, jittered_pause
from goldseam.sagas import semantic_locks
from goldseam.sagas.errors import (
    CompensationFailed,
    SagaDefinitionError,
    SagaExists,
    UnknownDefinition,
    UnknownSaga,
)
from goldseam.sagas.facts import CATEGORY, SagaStarted, known_to
from goldseam.sagas.happenings import (
    Answered,
    AskedToCompensate,
    AskedToRetry,
    Began,
    DoneByHand,
    Happened,
)
from goldseam.sagas.saga import Saga, by_version
from goldseam.sagas.state import ENDED, SagaState, fold
from goldseam.sagas.transitions import Transition, follow
from goldseam.store.event_store import EventStore, StreamEvents
from goldseam.store.expected import ANY
from goldseam.telemetry.signals import signals

_log = logging.getLogger("goldseam.sagas")

ATTEMPTS = 20
"""How often a change is decided anew when others keep being faster."""

UNKNOWN_ATTEMPTS = 5
SEPARATOR = "/"
"""Between the definition's name and the rest of a saga's id: ``fulfilment/order-17``."""


class Instance(msgspec.Struct):
    """One saga as it was last seen: its definition, its state, the version of its stream."""

    id: str
    saga: Saga[Any]
    state: SagaState
    version: int
    metadata: Metadata
    position: int = 0


class Sagas:
    """The sagas in one store.

    Args:
        definitions: every class, and every older version that is still open.
        random: draws the pauses between attempts.
    """

    def __init__(
        self,
        store: EventStore,
        definitions: Sequence[Saga[Any]],
        *,
        new_id: IdFactory = uuid7_bytes,
        random: Random | None = None,
        pause: Pause = jittered_pause,
    ) -> None:
        known_to(store.registry)
        self.store, self.clock = store, store.clock
        self.definitions = by_version(definitions)
        self._new_id, self._pause = new_id, pause
        self._random = random or Random()  # noqa: S311 -- a pause, not a secret
        self.on_change: Callable[[Instance], None] | None = None
        """Called after each change that this process has made."""

    # ------------------------------------------------------------------ what callers ask for

    async def start(
        self,
        definition: str | type[Saga[Any]],
        data: object,
        *,
        key: str,
        locks: Sequence[str] = (),
        actor: str | None = None,
        causation: str | None = None,
    ) -> Instance:
        """Begin a saga under ``key``; begun before with the same data, it is found again.

        Args:
            definition: the saga's class or name; the newest version of it is begun.
            data: what it is about, a registered event.
            key: the saga's id behind the name of its definition: best that of the business.
            locks: things that nobody else may change while it is under way.
            causation: the id of the event that led to it.

        Raises:
            SagaExists: it was begun with other data.
            SemanticallyLocked: another saga is under way with one of ``locks``.
        """
        saga = self.newest(definition if isinstance(definition, str) else definition.name)
        full = checked_name("saga", f"{saga.name}{SEPARATOR}{key}")
        metadata = Metadata(correlation=full, causation=causation, actor=actor)
        fresh = Instance(full, saga, SagaState(), 0, metadata)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._attempt(fresh, Began(data, tuple(locks)), None)
            except VersionConflict:
                found = await self._found(full, data)
                if found is not None:
                    return found
                if attempt == ATTEMPTS:
                    raise
                await self._pause(attempt)  # somebody was faster with a lock
        raise AssertionError("unreachable")

    async def _found(self, saga: str, data: object) -> Instance | None:
        try:
            found = await self.load(saga)
        except UnknownSaga:
            return None
        if found.state.data != data:
            raise SagaExists(saga)
        return found

    async def tell(self, event: Recorded[Any]) -> bool:
        """Let the saga that waits for ``event`` hear it; whether it is the answer of any.

        The saga is found by the event's correlation. To tell it twice is to tell it once.
        """
        saga_id = event.metadata.correlation or ""
        if not self.is_answer(saga_id, event.data):
            return False
        try:
            instance = await self.load(saga_id)
        except UnknownSaga:
            return False
        heard = uuid5(NAMESPACE_URL, f"goldseam:saga-heard:{saga_id}:{event.id}")
        said = Answered(event.data, heard, event.metadata.causation)
        try:
            await self.change(instance, said, causation=str(event.id))
        except SubjectForgotten:  # it moves the saga all the same
            unkept = msgspec.structs.replace(said, kept=False)
            await self.change(instance, unkept, causation=str(event.id))
        return True

    def is_event(self, value: object) -> bool:
        """Whether ``value`` is a registered event, to be kept as itself."""
        return self.store.registry.knows(type(value))

    def is_answer(self, saga_id: str, data: object) -> bool:
        """Whether some version of the saga's definition waits for such events."""
        name = saga_id.partition(SEPARATOR)[0]
        versions = self.definitions.get(name, {})
        return any(type(data) in one.answers() for one in versions.values())

    async def compensate(self, saga_id: str, *, by: str, reason: str) -> Instance:
        """Turn a running saga back.

        Raises:
            UnknownSaga: there is none.
            SagaConflict: it is not running.
        """
        return await self.change(await self.load(saga_id), AskedToCompensate(by, reason), actor=by)

    async def retry(self, saga_id: str, *, by: str, reason: str) -> Instance:
        """Try again what has failed: at once, and with all its attempts.

        Raises:
            UnknownSaga: there is none.
            SagaConflict: nothing in it has failed.
        """
        return await self.change(await self.load(saga_id), AskedToRetry(by, reason), actor=by)

    async def resume(self, saga_id: str, *, by: str, reason: str) -> Instance:
        """Go on with a parked saga, after what could not be undone was undone by hand.

        Raises:
            UnknownSaga: there is none.
            SagaConflict: it is not parked.
        """
        return await self.change(await self.load(saga_id), DoneByHand(by, reason), actor=by)

    # ------------------------------------------------------------------ load and change

    def newest(self, name: str) -> Saga[Any]:
        """The newest version of the definition ``name``.

        Raises:
            SagaDefinitionError: there is none of this name.
        """
        versions = self.definitions.get(name)
        if not versions:
            known = ", ".join(sorted(self.definitions)) or "none"
            raise SagaDefinitionError(f"there is no saga {name!r}; there are: {known}")
        return versions[max(versions)]

    async def stream(self, saga_id: str) -> list[Recorded[Any]]:
        """Everything that has happened to a saga, oldest first.

        Raises:
            UnknownSaga: there is none.
        """
        found: list[Recorded[Any]] = []
        name = stream_of(saga_id)
        while page := await self.store.read_stream(name, after=found[-1].version if found else 0):
            found += page
            if not page.full:
                break
        if not found:
            raise UnknownSaga(saga_id)
        return found

    async def load(self, saga_id: str) -> Instance:
        """A saga as its stream tells it.

        Raises:
            UnknownSaga: there is none.
            UnknownDefinition: this program does not have the version it runs on.
        """
        stream = await self.stream(saga_id)
        first = stream[0].data
        assert isinstance(first, SagaStarted), saga_id
        saga = self.definitions.get(first.definition, {}).get(first.version)
        if saga is None:
            versions = self.definitions.get(first.definition, {})
            known = f"versions {', '.join(map(str, sorted(versions)))}" if versions else "none"
            raise UnknownDefinition(saga_id, first.definition, first.version, known)
        state, last = fold(saga, stream), stream[-1]
        metadata = Metadata(correlation=saga_id, actor=stream[0].metadata.actor)
        return Instance(saga_id, saga, state, last.version, metadata, last.position)

    async def change(
        self,
        instance: Instance,
        happened: Happened,
        *,
        fence: Fence | None = None,
        causation: str | None = None,
        actor: str | None = None,
    ) -> Instance:
        """Let ``happened`` take its course; decided anew when somebody else was faster.

        Raises:
            SagaConflict: a human asks for something that does not fit the state.
            Fenced: another process runs this saga now.
            StoreUnavailable, CommitUnknown: not known to be written; call it again.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._attempt(
                    instance, happened, fence, causation=causation, actor=actor
                )
            except VersionConflict:
                if attempt == ATTEMPTS:
                    raise
                await self._pause(attempt)
                instance = await self.load(instance.id)
        raise AssertionError("unreachable")

    async def _attempt(
        self,
        instance: Instance,
        happened: Happened,
        fence: Fence | None,
        *,
        causation: str | None = None,
        actor: str | None = None,
    ) -> Instance:
        metadata, to = instance.metadata, self._follow(instance, happened)
        if not to.facts:
            return instance
        if causation or actor:
            metadata = msgspec.structs.replace(
                metadata,
                causation=causation or metadata.causation,
                actor=actor or metadata.actor,
            )
        locks = await self._locks(instance, to, happened)
        try:
            position = await self._append(self._writes(instance, to, metadata) + locks, fence)
        except (InvalidInput, SubjectForgotten) as error:
            if not to.commands:
                raise
            to = self._follow(instance, happened, unsendable=error)
            position = await self._append(self._writes(instance, to, metadata) + locks, fence)
        self._say(instance, to)
        changed = Instance(
            instance.id,
            instance.saga,
            to.state,
            instance.version + len(to.facts),
            instance.metadata,
            position,
        )
        if self.on_change is not None:
            self.on_change(changed)
        return changed

    def _follow(
        self, instance: Instance, happened: Happened, *, unsendable: Exception | None = None
    ) -> Transition:
        to = Transition(
            instance.saga,
            instance.id,
            instance.state,
            self.clock.now_us(),
            self._random.random,
            instance.metadata,
            unsendable,
        )
        follow(to, happened)
        return to

    def _writes(self, instance: Instance, to: Transition, metadata: Metadata) -> list[StreamEvents]:
        own = [
            NewEvent(fact, event_id or UUID(bytes=self._new_id()), metadata)
            for fact, event_id in to.facts
        ]
        cause = str(own[-1].id) if to.commands else ""
        asked = [(c.command.stream, ANY, [c.event(instance.id, cause)]) for c in to.commands]
        return [(stream_of(instance.id), instance.version, own), *asked]

    async def _locks(
        self, instance: Instance, to: Transition, happened: Happened
    ) -> list[StreamEvents]:
        locks = to.state.locks
        if not locks:
            return []
        if isinstance(happened, Began):
            return await semantic_locks.taken(self.store, locks, instance.id)
        if to.state.status in ENDED and instance.state.status not in ENDED:
            return await semantic_locks.released(self.store, locks, instance.id)
        return []

    async def _append(self, writes: Sequence[StreamEvents], fence: Fence | None) -> int:
        """Append once, however often the answer is lost: the events have their ids."""
        for attempt in range(1, UNKNOWN_ATTEMPTS + 1):
            try:
                return (await self.store.append_all(writes, fence=fence)).position
            except CommitUnknown:
                if attempt == UNKNOWN_ATTEMPTS:
                    raise
                await self._pause(attempt)
        raise AssertionError("unreachable")

    def _say(self, instance: Instance, to: Transition) -> None:
        name, before, after = instance.saga.name, instance.state, to.state
        if before.status == "new":
            signals.count("goldseam_sagas_started_total", saga=name)
        if after.status == before.status:
            return
        if after.status in ENDED:
            signals.count("goldseam_sagas_ended_total", saga=name, how=after.status)
        elif after.status == "parked":
            signals.count("goldseam_sagas_parked_total", saga=name)
            cause = after.error.partition(":")[0]  # the rest may be long, and is in the stream
            _log.error("ALARM: %s", CompensationFailed(instance.id, after.undo[0], cause))


def stream_of(saga_id: str) -> str:
    """The stream of a saga's facts."""
    return stream_name(CATEGORY, saga_id)


def saga_of(stream: str) -> str:
    """The id of the saga whose stream this is."""
    return stream.partition("-")[2]
