"""Writers and a follower inside one process, and what they were told: for faults of the server."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from goldseam import ANY, EventStore, NewEvent
from tests.faults.ledger import ParcelScanned, Sent
from tests.faults.writer import new_append

ALIVE_SECONDS_MAX = 90
ALIVE_APPENDS = 10
"""So many new acknowledgements prove that the load lives."""
PAUSE_SECONDS = 0.002


class Load:
    """Tasks that append until they are stopped; any error that reaches them fails the test."""

    def __init__(self, store: EventStore, seed: int) -> None:
        self.store = store
        self.sent: dict[str, Sent] = {}
        self.seen: list[tuple[int, str]] = []
        self.acknowledged = 0
        self._rng = random.Random(seed)
        self._stopped = False
        print(f"seed {seed}")

    async def write(self) -> None:
        """One writer."""
        while not self._stopped:
            one = new_append(self._rng, "w", len(self.sent), 3)
            one.doomed = False
            self.sent[one.name] = one
            pairs = zip(one.ids, one.marks, strict=True)
            events = [NewEvent(ParcelScanned(mark=mark), id=UUID(text)) for text, mark in pairs]
            done = await self.store.append(one.stream, events, expected=ANY)
            one.answers.append((done.first_position, done.position))
            self.acknowledged += 1
            await asyncio.sleep(PAUSE_SECONDS)

    async def follow(self) -> None:
        """A live reader from the beginning."""
        async for event in self.store.follow():
            self.seen.append((event.position, event.data.mark))

    async def alive(self, tasks: list[asyncio.Task[None]]) -> None:
        """Return when writers and follower have got further.

        Raises:
            TimeoutError: they have not.
        """
        goal, seen = self.acknowledged + ALIVE_APPENDS, len(self.seen) + ALIVE_APPENDS
        async with asyncio.timeout(ALIVE_SECONDS_MAX):
            while self.acknowledged < goal or len(self.seen) < seen:
                for task in tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.01)

    async def caught_up(self) -> None:
        """Return when the follower has seen every event that was acknowledged."""
        total = sum(len(one.marks) for one in self.sent.values())
        async with asyncio.timeout(ALIVE_SECONDS_MAX):
            while len(self.seen) < total:  # noqa: ASYNC110 -- the follower has no bell
                await asyncio.sleep(0.01)

    def stop(self) -> None:
        """No new appends."""
        self._stopped = True


@asynccontextmanager
async def running(load: Load, writers: int) -> AsyncIterator[list[asyncio.Task[None]]]:
    """``writers`` writers and a follower run; at the end the last appends are answered.

    What the store holds then must be what the follower has seen; it is given time for that.
    """
    writing = [asyncio.create_task(load.write()) for _ in range(writers)]
    following = asyncio.create_task(load.follow())
    try:
        yield [*writing, following]
        load.stop()
        await asyncio.gather(*writing)
        await load.caught_up()
    finally:
        for task in (*writing, following):
            task.cancel()
        await asyncio.gather(*writing, following, return_exceptions=True)
