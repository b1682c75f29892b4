"""The only readers of time and randomness, so that a simulation can replace both."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import uuid_utils

MICROSECONDS_PER_SECOND = 1_000_000


class Clock(Protocol):
    """Where the time comes from."""

    def now_us(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_us(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()


IdFactory = Callable[[], bytes]
"""Gives the 16 bytes of a new event id; UUID version 7, so ids grow with time."""


def uuid7_bytes() -> bytes:
    """Sixteen bytes of a fresh UUID version 7 (monotonic within one process)."""
    return uuid_utils.uuid7().bytes
