"""Drive a coroutine that never waits: one transactional core for async and blocking callers."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from goldseam.errors import BlockedCoroutine

T = TypeVar("T")


def run_blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run ``coroutine`` to its end without an event loop.

    It must await nothing but a blocking connection, whose coroutines never suspend.

    Raises:
        BlockedCoroutine: the coroutine awaited something that suspends.
    """
    try:
        coroutine.send(None)
    except StopIteration as finished:
        return finished.value  # type: ignore[no-any-return]
    coroutine.close()
    raise BlockedCoroutine(getattr(coroutine, "__qualname__", repr(coroutine)))
