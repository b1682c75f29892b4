"""Ends calls that take too long, with one timer of the event loop for all of one length.

A timer for each call (`asyncio.timeout`) would cost as much as the decision that follows it, and
nearly all calls end long before.
"""

from __future__ import annotations

import asyncio
from typing import Any


class Deadlines:
    """The tasks that are in a call, by how long the call may take."""

    def __init__(self) -> None:
        self._until: dict[float, dict[asyncio.Task[Any], float]] = {}
        """By length: the tasks and their ends, the next one first."""
        self._armed: set[float] = set()
        self._late: set[asyncio.Task[Any]] = set()

    def begin(self, task: asyncio.Task[Any], seconds: float) -> None:
        """``task`` begins a call that may take ``seconds``; then it is cancelled."""
        loop = task.get_loop()
        end = loop.time() + seconds
        self._until.setdefault(seconds, {})[task] = end
        if seconds not in self._armed:
            self._armed.add(seconds)
            loop.call_at(end, self._look, loop, seconds)

    def end(self, task: asyncio.Task[Any], seconds: float) -> bool:
        """The call of ``task`` is over; whether it had been cancelled for taking too long."""
        self._until[seconds].pop(task, None)
        if task not in self._late:
            return False
        self._late.discard(task)
        task.uncancel()
        return True

    def _look(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._armed.discard(seconds)
        now, waiting = loop.time(), self._until[seconds]
        for task, end in list(waiting.items()):
            if end > now:
                self._armed.add(seconds)
                loop.call_at(end, self._look, loop, seconds)
                return
            del waiting[task]
            self._late.add(task)
            task.cancel()
