"""Clients that append and read at once through several stores, and the history of what they saw."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import NamedTuple
from uuid import UUID, uuid5

from goldseam import ANY, EventStore, NewEvent, StoreUnavailable, VersionConflict
from goldseam.errors import CommitUnknown
from goldseam.testing.linearizability import Operation
from tests.faults.ledger import ParcelScanned

STREAMS = 3
NAMESPACE = UUID("8c0c4f0e-6f5c-4f70-9d3e-1a6f6a3a2f11")
CONNECTED_AGAIN_SECONDS = 0.02


class Put(NamedTuple):
    """Append one event to a stream that is expected to have a version (ANY: whatever it has)."""

    stream: str
    mark: str
    expected: int


class Look(NamedTuple):
    """Read the whole log."""


Log = tuple[tuple[str, str], ...]
"""The sequential model's state: stream and mark of every event, in the order of the log."""

Input = Put | Look
Output = tuple[str, int] | Log
Seen = Operation[Input, Output]


def step(log: Log, given: Input) -> tuple[Log, Output]:
    """The store, done one operation after another."""
    if isinstance(given, Look):
        return log, log
    one = given.stream, given.mark
    if one in log:
        return log, ("at", log.index(one) + 1)
    version = sum(stream == given.stream for stream, _ in log)
    if given.expected not in (ANY, version):
        return log, ("conflict", version)
    return (*log, one), ("at", len(log) + 1)


class Recorder:
    """One run: clients draw operations from a seed, and write down call, return and answer."""

    def __init__(self, stores: list[EventStore], seed: object) -> None:
        self.history: list[Seen] = []
        self.lost = 0
        self._stores, self._rng = stores, random.Random(f"{seed}")

    async def run(
        self, clients: int, operations: int, fault: Callable[[], Awaitable[None]]
    ) -> None:
        """``operations`` operations by ``clients`` clients at once; sometimes a fault."""
        numbers = iter(range(operations))

        async def client(n: int) -> None:
            for number in numbers:
                if self._rng.random() < 0.05:
                    await fault()
                if self._rng.random() < 0.3:
                    await self._look(self._stores[n % len(self._stores)])
                else:
                    await self._put(f"m{number}")

        await asyncio.gather(*(client(n) for n in range(clients)))

    async def _put(self, mark: str) -> None:
        """One append; where its answer is lost, the same one again, through another store."""
        stream = f"parcel-{self._rng.randrange(STREAMS)}"
        known = sum(
            1
            for one in self.history
            if isinstance(one.input, Put)
            and one.input.stream == stream
            and one.output is not None
            and one.output[0] == "at"
        )
        put = Put(stream, mark, self._rng.choice([int(ANY), known, known, known + 1]))
        while not await self._answered(put):  # noqa: ASYNC110 -- the network has no bell
            await asyncio.sleep(CONNECTED_AGAIN_SECONDS)

    async def _answered(self, put: Put) -> bool:
        event = NewEvent(ParcelScanned(mark=put.mark), id=uuid5(NAMESPACE, put.mark))
        called = perf_counter()
        try:
            store = self._rng.choice(self._stores)
            done = await store.append(put.stream, [event], expected=put.expected)
        except VersionConflict as conflict:
            output: Output = ("conflict", conflict.actual)
        except CommitUnknown:
            self.lost += 1
            self.history.append(Operation(put, None, called))
            return self._rng.random() < 0.3  # some callers never ask again
        except StoreUnavailable:
            return False  # nothing was written: it is no part of the history
        else:
            output = ("at", done.position)
        self.history.append(Operation(put, output, called, perf_counter()))
        return True

    async def end(self, store: EventStore) -> None:
        """A last read, after everything: what is not in it has not happened."""
        while not await self._look(store):  # noqa: ASYNC110 -- the network has no bell
            await asyncio.sleep(CONNECTED_AGAIN_SECONDS)

    async def _look(self, store: EventStore) -> bool:
        called = perf_counter()
        try:
            events = await store.read_all()
        except StoreUnavailable:
            return False
        log = tuple((event.stream, event.data.mark) for event in events)
        self.history.append(Operation(Look(), log, called, perf_counter()))
        return True
