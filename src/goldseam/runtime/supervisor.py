"""Keep long-running jobs alive: what ends is started again, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from goldseam.resilience.clock import Clock

RESTART_PAUSE_SECONDS = 0.1
RESTART_PAUSE_SECONDS_MAX = 5.0
STABLE_SECONDS = 30.0
"""A job that ran so long before it failed begins with the shortest pause again."""

_log = logging.getLogger("goldseam.runtime")

Job = Callable[[], Coroutine[Any, Any, None]]


class Supervisor:
    """Runs jobs side by side; one that fails neither ends nor delays the others."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping = asyncio.Event()
        self.failures: dict[str, str] = {}
        """The last failure of each job that is not running well."""

    @property
    def stopping(self) -> asyncio.Event:
        """Set when jobs should end by themselves."""
        return self._stopping

    @property
    def jobs(self) -> tuple[str, ...]:
        """The names of what was started."""
        return tuple(self._tasks)

    def start(self, name: str, job: Job) -> None:
        """Run ``job`` under ``name``."""
        assert name not in self._tasks, name
        self._tasks[name] = asyncio.create_task(self._keep(name, job), name=f"goldseam-{name}")

    async def _keep(self, name: str, job: Job) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = self._clock.monotonic()
            try:
                await job()
            except asyncio.CancelledError as error:
                if self._is_cancelled():
                    raise
                self._say(name, error)
            except Exception as error:
                self._say(name, error)
            else:
                self.failures.pop(name, None)
                return
            stable = self._clock.monotonic() - began > STABLE_SECONDS
            failures = 1 if stable else failures + 1
            await self.rest(self._pause(failures))

    def _is_cancelled(self) -> bool:
        """Whether this task is cancelled, or something inside it only raised as if it were."""
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0

    def _pause(self, failures: int) -> float:
        jitter = 0.5 + (self._clock.now_us() % 1_000) / 1_000
        doubled = RESTART_PAUSE_SECONDS * 2.0 ** min(failures - 1, 16)
        return float(min(doubled, RESTART_PAUSE_SECONDS_MAX) * jitter)

    async def rest(self, seconds: float) -> None:
        """Sleep, but no longer than until it is time to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def unless_stopped(self, work: Coroutine[Any, Any, object]) -> None:
        """Do ``work``, which changes nothing, but give it up when it is time to stop."""
        working = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            for one in (working, stopping):
                one.cancel()
            await asyncio.gather(working, stopping, return_exceptions=True)

    def _say(self, name: str, error: BaseException) -> None:
        self.failures[name] = f"{type(error).__name__}: {error}"
        _log.error("%s failed and is started again: %s", name, type(error).__name__)

    async def close(self, deadline_seconds: float) -> bool:
        """Let jobs end by themselves, cancel them at the deadline; whether all ended in time."""
        self._stopping.set()
        tasks = list(self._tasks.values())
        if not tasks:
            return True
        _, late = await asyncio.wait(tasks, timeout=deadline_seconds)
        if late:
            names = ", ".join(sorted(task.get_name().removeprefix("goldseam-") for task in late))
            _log.warning("cut off after %s s: %s", deadline_seconds, names)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()
        return not late
