"""Who waits for a read model, and how fast it moves: known inside one process only."""

from __future__ import annotations

import asyncio
from math import ceil

RETRY_AFTER_SECONDS_MIN = 1
RETRY_AFTER_SECONDS_MAX = 60

_RATE_ASSUMED = 1_000.0
"""Events per second of a projection that this process has not seen moving."""

_SMOOTHING = 0.2


class Advances:
    """Wakes readers when a projection of this process has committed."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._rates: dict[str, float] = {}

    def moved(self, projection: str, events: int = 0, seconds: float = 0.0) -> None:
        """``projection`` committed ``events`` in ``seconds``, or was steered."""
        if events and seconds > 0:
            known = self._rates.get(projection, events / seconds)
            self._rates[projection] = known + _SMOOTHING * (events / seconds - known)
        for waiting in self._waiting.get(projection, ()):
            waiting.set()

    def rate(self, projection: str) -> float:
        """Events per second lately."""
        return self._rates.get(projection, _RATE_ASSUMED)

    def retry_after_seconds(self, projection: str, behind: int) -> int:
        """When it is worth to ask again, ``behind`` events from now; 1 to 60."""
        seconds = ceil(behind / max(self.rate(projection), 1.0))
        return min(max(seconds, RETRY_AFTER_SECONDS_MIN), RETRY_AFTER_SECONDS_MAX)

    async def wait(self, projection: str, seconds: float) -> None:
        """Return when ``projection`` has moved, or after ``seconds``."""
        waiting = asyncio.Event()
        waiters = self._waiting.setdefault(projection, set())
        waiters.add(waiting)
        try:
            async with asyncio.timeout(seconds):
                await waiting.wait()
        except TimeoutError:
            pass
        finally:
            waiters.discard(waiting)
