"""One partition in the hands of this member: what waits, what is done, whether it goes on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from goldseam.broker.record import Partition, Received
from goldseam.consumers.claims import UNKNOWN_OFFSET, Claim


class Lane:
    """The records of one partition between the poll and the effect."""

    def __init__(self, place: Partition) -> None:
        self.place = place
        self.claim: Claim | None = None
        """What the target database says; None before it is claimed, or where none is needed."""
        self.open = False
        """Whether records are taken: the offset to begin at is known."""
        self.paused = False
        self.seek_to: int | None = None
        """Where the broker is to deliver from, once the present poll has returned."""
        self.done = UNKNOWN_OFFSET
        """The next offset that is not done; what may be committed at the broker."""
        self.committed = UNKNOWN_OFFSET
        self.busy = False
        self.ask_at = 0.0
        """When the partition may be asked for (again), on the monotonic clock."""
        self.redrive = False
        """Whether letters of this partition wait for their redrive."""
        self.saved_at = 0.0
        self.task: asyncio.Task[None] | None = None
        self.closing = asyncio.Event()
        self._queue: deque[Received] = deque()
        self._expected = UNKNOWN_OFFSET
        self._missed = UNKNOWN_OFFSET
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def label(self) -> str:
        """For messages."""
        return f"{self.place.topic}/{self.place.number}"

    def begin(self, offset: int) -> None:
        """Take records from ``offset`` on; -1: from wherever the broker begins."""
        if offset == UNKNOWN_OFFSET:
            offset = self._missed
        self._queue.clear()
        self._expected, self.seek_to = offset, None if offset == UNKNOWN_OFFSET else offset
        self.done = self.committed = offset
        self.open = True

    def put(self, records: Sequence[Received]) -> int:
        """Queue ``records``; how many of them are below what is expected: delivered again."""
        if not self.open or self.seek_to is not None:
            if self._missed == UNKNOWN_OFFSET:
                self._missed = records[0].offset
            return 0
        again = 0
        for record in records:
            if record.offset < self._expected:
                again += 1
            else:
                self._queue.append(record)
                self._expected = record.offset + 1
        if self._queue:
            self._news.set()
        return again

    def take(self, limit: int) -> list[Received]:
        """The next records, at most ``limit``."""
        queue = self._queue
        if len(queue) <= limit:
            taken = list(queue)
            queue.clear()
            return taken
        return [queue.popleft() for _ in range(limit)]

    def wake(self) -> None:
        """There is something to do besides records."""
        self._news.set()

    async def news(self) -> None:
        """Until there are records, a wake, or the lane closes."""
        if not self._queue and not self.redrive and not self.closing.is_set():
            self._news.clear()
            await self._news.wait()

    def forget(self) -> None:
        """Drop what waits: somebody else applies it, or it is delivered again."""
        self._queue.clear()
        self.open = False
        self._missed = UNKNOWN_OFFSET

    def close(self, *, finish: bool) -> None:
        """End after the batch that is being applied, or (``finish``) after all that waits."""
        self.closing.set()
        if not finish:
            self._queue.clear()
        self._news.set()

    @property
    def over(self) -> bool:
        """Whether it is closed and nothing waits any more."""
        return self.closing.is_set() and not self._queue

    async def rest(self, seconds: float) -> bool:
        """Wait, but no longer than until the lane closes; whether it may go on."""
        try:
            async with asyncio.timeout(seconds):
                await self.closing.wait()
        except TimeoutError:
            return True
        return False
