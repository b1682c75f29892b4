"""A circuit breaker: while most calls fail, it makes none, then a few trials, then all again.

A state machine over the clock it is given; it awaits nothing and starts nothing by itself. From
the guide, "Broker Unreachable".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Final, TypeVar

import msgspec

from goldseam.errors import InvalidInput
from goldseam.resilience.clock import Clock
from goldseam.resilience.errors import BreakerOpen
from goldseam.telemetry.signals import signals

T = TypeVar("T")

BUCKETS: Final = 10
"""Parts of the window; results are forgotten one part at a time, so memory is bounded."""

_NOTHING = 1e-3
"""Shortest retry_after in seconds: never an invitation to a busy loop."""


class State(IntEnum):
    """What a breaker does with calls; the number is its metric."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class BreakerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When a breaker opens and how it closes.

    It opens when, of at least ``minimum_calls`` within ``window_seconds``, ``failure_ratio`` (0 to
    1) or more have failed. After ``open_seconds`` it lets exactly ``trial_calls`` through: all
    must succeed to close it, one failure opens it again.
    """

    failure_ratio: float = 0.5
    window_seconds: float = 10.0
    minimum_calls: int = 10
    open_seconds: float = 5.0
    trial_calls: int = 3

    def __post_init__(self) -> None:
        """Refuse limits with which it would never open or never close."""
        if not 0 < self.failure_ratio <= 1:
            raise InvalidInput(f"failure_ratio is {self.failure_ratio}; give 0 < ratio <= 1")
        for name in ("window_seconds", "minimum_calls", "open_seconds", "trial_calls"):
            if not getattr(self, name) > 0:
                raise InvalidInput(f"{name} is {getattr(self, name)}; give more than 0")


class _Bucket(msgspec.Struct):
    number: int
    calls: int = 0
    failed: int = 0


class Breaker:
    """Guards one thing that may be out of reach; for calls of one thread or event loop.

    Calls must end by themselves (have a timeout): a trial that never ends keeps its slot.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        limits: BreakerLimits | None = None,
        failures: tuple[type[Exception], ...] = (Exception,),
    ) -> None:
        """``failures`` are the errors that count; any other means that the other side answered."""
        self.name, self.limits = name, limits or BreakerLimits()
        self._clock, self._failures = clock, failures
        self._buckets: deque[_Bucket] = deque(maxlen=BUCKETS + 1)
        self._state, self._era = State.CLOSED, 0
        self._opened_at = 0.0
        self._trials_given = self._trials_passed = 0
        signals.gauge("goldseam_breaker_state", State.CLOSED, breaker=name)

    @property
    def state(self) -> State:
        """Now: an open breaker turns half-open by the clock alone."""
        if self._state is State.OPEN and self._waited() >= self.limits.open_seconds:
            self._turn(State.HALF_OPEN)
        return self._state

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Run the block if it may run now, and learn from its end.

        A block that is cancelled teaches nothing and gives its trial slot back; neither does one
        teach that began before the breaker's state last changed.

        Raises:
            BreakerOpen: the block must not run.
        """
        era = self._admit()
        try:
            yield
        except Exception as error:
            self._ended(era, failed=isinstance(error, self._failures))
            raise
        except BaseException:
            self._cancelled(era)
            raise
        self._ended(era, failed=False)

    async def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Await ``function()`` under :meth:`guard`.

        Raises:
            BreakerOpen: it was not called.
        """
        with self.guard():
            return await function()

    def _admit(self) -> int:
        state = self.state
        if state is State.OPEN:
            raise BreakerOpen(self.name, max(self.limits.open_seconds - self._waited(), _NOTHING))
        if state is State.HALF_OPEN:
            if self._trials_given >= self.limits.trial_calls:
                raise BreakerOpen(self.name, self.limits.open_seconds)
            self._trials_given += 1
        return self._era

    def _ended(self, era: int, *, failed: bool) -> None:
        if era != self._era:
            return
        if self._state is State.HALF_OPEN:
            self._trials_passed += not failed
            if failed:
                self._turn(State.OPEN)
            elif self._trials_passed == self.limits.trial_calls:
                self._turn(State.CLOSED)
            return
        self._count(failed=failed)
        calls = sum(bucket.calls for bucket in self._buckets)
        failures = sum(bucket.failed for bucket in self._buckets)
        enough = calls >= self.limits.minimum_calls
        if failed and enough and failures >= self.limits.failure_ratio * calls:
            self._turn(State.OPEN)

    def _cancelled(self, era: int) -> None:
        if era == self._era and self._state is State.HALF_OPEN:
            self._trials_given -= 1

    def _count(self, *, failed: bool) -> None:
        number = int(self._clock.monotonic() / self.limits.window_seconds * BUCKETS)
        while self._buckets and self._buckets[0].number <= number - BUCKETS:
            self._buckets.popleft()
        if not self._buckets or self._buckets[-1].number != number:
            self._buckets.append(_Bucket(number))
        self._buckets[-1].calls += 1
        self._buckets[-1].failed += failed

    def _turn(self, state: State) -> None:
        self._state, self._era = state, self._era + 1
        self._buckets.clear()
        self._trials_given = self._trials_passed = 0
        if state is State.OPEN:
            self._opened_at = self._clock.monotonic()
            signals.count("goldseam_breaker_opened_total", breaker=self.name)
        signals.gauge("goldseam_breaker_state", state, breaker=self.name)

    def _waited(self) -> float:
        return self._clock.monotonic() - self._opened_at
