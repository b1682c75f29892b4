"""How long to wait before trying again: doubled each time, bounded, jittered."""

from __future__ import annotations

from goldseam.resilience.clock import Clock

ATTEMPTS_MAX = 3
"""Times a batch is tried as a whole before its failing records are parked."""

RETRY_PAUSE_SECONDS = 0.05
RETRY_PAUSE_SECONDS_MAX = 5.0


def pause_seconds(
    clock: Clock, attempt: int, first: float, most: float = RETRY_PAUSE_SECONDS_MAX
) -> float:
    """Seconds before the attempt after ``attempt``, jittered by the clock's last digits."""
    jitter = 0.5 + (clock.now_us() % 1_000) / 1_000
    return float(min(first * 2 ** min(attempt - 1, 16), most) * jitter)
