"""What is due when: durable timers, kept in memory for the near future only.

The times are facts in the sagas' streams; the index knows them all. This holds those that this
process has seen, and sleeps exactly until the next one.
"""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush

from goldseam.resilience.clock import MICROSECONDS_PER_SECOND, Clock

LONGEST_SLEEP_SECONDS = 1.0
"""A clock that was set, or a machine that was suspended, is noticed after so long."""


class DueTimes:
    """Sagas by the time at which they go on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[int, str]] = []
        self._due: dict[str, int] = {}
        self._news = asyncio.Event()

    def __contains__(self, saga: str) -> bool:
        return saga in self._due

    def __len__(self) -> int:
        return len(self._due)

    def put(self, saga: str, due_us: int) -> None:
        """``saga`` goes on at ``due_us``, whatever was said of it before."""
        if self._due.get(saga) != due_us:
            self._due[saga] = due_us
            heappush(self._heap, (due_us, saga))
            self._news.set()

    def drop(self, saga: str) -> None:
        """``saga`` waits for no time."""
        self._due.pop(saga, None)

    def pop(self) -> list[tuple[str, int]]:
        """The sagas that are due by now, each with its time; they wait no longer."""
        now_us, found = self._clock.now_us(), []
        while self._heap and self._heap[0][0] <= now_us:
            due_us, saga = heappop(self._heap)
            if self._due.get(saga) == due_us:
                del self._due[saga]
                found.append((saga, due_us))
        return found

    async def sleep(self) -> None:
        """Return when something may be due, or something was put in."""
        seconds = LONGEST_SLEEP_SECONDS
        if self._heap:
            ahead_us = self._heap[0][0] - self._clock.now_us()
            seconds = min(max(ahead_us / MICROSECONDS_PER_SECOND, 0.0), LONGEST_SLEEP_SECONDS)
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()

    def wake(self) -> None:
        """Let a sleeper look again."""
        self._news.set()
