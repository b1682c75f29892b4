"""A pause before trying again: grows with each attempt, drawn at random so that rivals spread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

PAUSE_FIRST_SECONDS = 0.01
"""The longest first pause after a conflict; it doubles with each attempt."""

PAUSE_MAX_SECONDS = 0.5
"""The longest pause of all."""

Pause = Callable[[int], Awaitable[None]]
"""Waits before the attempt after the given one (counted from 1)."""


def pause_seconds(attempt: int, random: Random) -> float:
    """Full jitter: anything from nothing to a bound that doubles with each ``attempt``."""
    return random.uniform(0, min(PAUSE_FIRST_SECONDS * 2 ** (attempt - 1), PAUSE_MAX_SECONDS))


async def jittered_pause(attempt: int) -> None:
    """Wait a random while after ``attempt`` has failed."""
    await asyncio.sleep(pause_seconds(attempt, _random))


async def no_pause(attempt: int) -> None:
    """Go on at once: where waiting would only hold a lock longer."""


_random = Random()  # noqa: S311 -- a pause, not a secret
