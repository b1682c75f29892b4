"""A database that is away for a while is asked again; what is asked must bear being asked twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from goldseam.errors import CommitUnknown, StoreFull, StoreUnavailable
from goldseam.resilience.clock import Clock

RETRY_SECONDS = 30.0
"""How long an unreachable store is tried again before a command ends; another one goes on."""

RETRY_PAUSE_SECONDS = 0.2

T = TypeVar("T")


class Patience:
    """Asks again while a store cannot be reached, at most ``seconds`` in a row."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock, self._seconds = clock, seconds
        self._lost_since: float | None = None

    def well(self) -> None:
        """The store has answered."""
        self._lost_since = None

    async def wait(self, error: Exception) -> None:
        """Wait a little after ``error``; raises it again where waiting does not help."""
        now = self._clock.monotonic()
        if self._lost_since is None:
            self._lost_since = now
        late = now + RETRY_PAUSE_SECONDS > self._lost_since + self._seconds
        if isinstance(error, StoreFull) or late:
            raise error
        await asyncio.sleep(RETRY_PAUSE_SECONDS)

    async def __call__(self, work: Callable[[], Awaitable[T]]) -> T:
        """The answer to ``work``, however often it has to be asked.

        Raises:
            StoreUnavailable, CommitUnknown: nobody answered in all the time.
            StoreFull: at once; waiting makes no room.
        """
        while True:
            try:
                found = await work()
            except (StoreUnavailable, CommitUnknown) as error:
                await self.wait(error)
            else:
                self.well()
                return found
