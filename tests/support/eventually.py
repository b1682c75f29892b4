"""Wait for what must happen sooner or later: a bound for a broken program, not a measurement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

SECONDS_MAX = 60.0
LOOK_SECONDS = 0.02


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], seconds: float = SECONDS_MAX
) -> None:
    """Return when ``condition`` holds.

    Raises:
        TimeoutError: it never did.
    """
    async with asyncio.timeout(seconds):
        while True:
            holds = condition()
            if holds if isinstance(holds, bool) else await holds:
                return
            await asyncio.sleep(LOOK_SECONDS)
