"""One saga in a world without background tasks: a store, services, a post, a clock moved by hand.

The coordinator is the real one (`SagaRunner`), moved step by step, so that a crash at a numbered
await is the same crash in every run.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any
from uuid import uuid5

from goldseam import ANY, EventStore, open_store
from goldseam.events.event import NewEvent, Recorded
from goldseam.sagas.desk import Instance, Sagas
from goldseam.sagas.runner import SagaRunner
from goldseam.sagas.saga import Saga
from goldseam.testing.faults import CrashingDatabase, CrashPoint, until_crash
from tests.support.hand_clock import HandClock
from tests.unit.sagas.definitions import TOPICS, Asked, Called, Denied, Granted, OrderReceived
from tests.unit.sagas.services import Services

LEASE_SECONDS = 1_000.0
ROUNDS_MAX = 200
"""A saga that is moved so often and has not ended never ends."""

STYLES = {"called": Called, "asked": Asked}


async def no_pause(attempt: int) -> None:
    """Between attempts at the store nothing is waited for."""


class Post:
    """Brings commands to the services, and their answers back."""

    def __init__(self, store: EventStore, services: Services, saga: str) -> None:
        self._store, self._services, self._saga = store, services, saga
        self._read: dict[str, int] = {}
        self._kept: dict[str, list[Recorded[Any]]] = {}

    async def carry(self, desk: Sagas) -> int:
        """Deliver every command that is out and every answer; how many there were."""
        count = 0
        for topic in TOPICS:
            stream = f"{topic}-{self._saga}"
            for command in await self._store.read_stream(stream, after=self._read.get(stream, 0)):
                await self._serve(desk, command)
                self._read[stream] = command.version
                count += 1
        return count

    async def _serve(self, desk: Sagas, command: Recorded[Any]) -> None:
        action, key = command.data.action, command.data.key
        kind = self._services.take(action, key)
        yes = Denied(action) if kind == "refuse" else Granted(action)
        if kind in ("error", "timeout", "lost"):
            return
        answer = await self._answer(command, yes)
        if kind in ("late", "stale"):
            self._kept.setdefault(kind, []).append(answer)
            return
        for _ in range(2 if kind == "duplicate" else 1):
            await desk.tell(answer)

    async def _answer(self, command: Recorded[Any], said: object) -> Recorded[Any]:
        """The service's own event, caused by the command; written once for each command."""
        stream = f"answers-{command.id}"
        if not await self._store.read_stream(stream):
            one = NewEvent(said, uuid5(command.id, "answer"), command.caused())
            await self._store.append(stream, [one], expected=ANY)
        return (await self._store.read_stream(stream))[0]

    async def late_ones_arrive(self, desk: Sagas, kind: str) -> None:
        """Answers that came too late, or far too late, are there now."""
        self._services.late_ones_arrive(kind)
        for one in self._kept.pop(kind, []):
            await desk.tell(one)


class Process:
    """A coordinator: its desk and its runner, over a database that may crash."""

    def __init__(self, store: EventStore, definitions: list[Saga[Any]], clock: HandClock) -> None:
        self.store = store
        self.desk = Sagas(store, definitions, pause=no_pause)
        self.runner = SagaRunner(
            self.desk,
            store.database,
            clock,
            holder="a",
            lease_seconds=LEASE_SECONDS,
            pause=no_pause,
        )
        self.desk.on_change = None  # no task of its own: what it does, it does when it is moved

    async def lead(self) -> None:
        """Take the lease, as a process of this name does when it is started again."""
        await self.runner.ownership._leases.prepare()
        await self.runner.ownership._round()

    async def move(self, saga: str) -> Instance:
        """Let the runner do whatever is due, and give what the stream tells then."""
        await self.runner._advance(saga)
        return await self.desk.load(saga)

    def end(self) -> None:
        """The process is gone."""
        group_commit = self.store._commits._task
        if group_commit is not None:
            group_commit.cancel()


class World:
    """Everything around one saga, which outlives every coordinator."""

    def __init__(
        self,
        store: EventStore,
        clock: HandClock,
        style: str,
        services: Services,
        key: str = "17",
    ) -> None:
        self.store, self.clock, self.services, self.key = store, clock, services, key
        self.definition: Saga[Any] = STYLES[style](services)
        self.saga = f"{style}/{key}"
        self.post = Post(store, services, self.saga)

    def process(self, point: CrashPoint | None = None) -> Process:
        """A coordinator that dies at ``point``."""
        store = self.store
        if point is not None:
            base = CrashingDatabase(store.database, point)
            store = EventStore(base, store.store_id, clock=self.clock)
        return Process(store, [self.definition], self.clock)

    async def run(self, point: CrashPoint | None = None) -> str:
        """Start it and move it to its end or to ``point``, as a client would; its status."""
        process = self.process(point)
        self.services.pass_ = point.pass_ if point is not None else _plain  # type: ignore[assignment]
        try:
            work = self._to_the_end(process)
            return await (until_crash(point, work) if point is not None else work)
        finally:
            if point is not None:
                process.end()

    async def begin(self, process: Process) -> Instance:
        """Start it, or find it as it was started."""
        data = OrderReceived(self.key)
        return await process.desk.start(type(self.definition), data, key=self.key)

    async def _to_the_end(self, process: Process) -> str:
        await process.lead()
        instance = await self.begin(process)
        for _ in range(ROUNDS_MAX):
            instance = await process.move(self.saga)
            if await self.post.carry(process.desk):
                continue
            await self.post.late_ones_arrive(process.desk, "late")
            instance = await process.desk.load(self.saga)
            if not instance.state.open:
                return instance.state.status
            self.clock.seconds = max(self.clock.seconds, instance.state.due_us / 1e6 + 1e-3)
        raise AssertionError(f"it never ends: {instance.state}")

    async def later(self) -> str:
        """After its end: what was late arrives, and changes nothing; its status."""
        process = self.process()
        await self.post.late_ones_arrive(process.desk, "stale")
        return (await process.move(self.saga)).state.status


async def open_world_store(url: str, clock: HandClock) -> EventStore:
    """A store whose time is the test's."""
    return await open_store(url, clock=clock)


def _plain(work: Any) -> Awaitable[None]:
    made: Awaitable[None] = work()
    return made
