"""A clock that stands still until a test moves it."""

from __future__ import annotations


class HandClock:
    """Both readings move together, by hand."""

    def __init__(self, seconds: float = 1_000.0) -> None:
        self.seconds = seconds

    def now_us(self) -> int:
        """Microseconds since the epoch of this clock."""
        return int(self.seconds * 1_000_000)

    def monotonic(self) -> float:
        """The same in seconds."""
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """Let that much time pass at once."""
        self.seconds += seconds
