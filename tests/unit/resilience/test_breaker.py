"""The circuit breaker: opens by the failure rate, tries exactly N calls, closes again."""

from __future__ import annotations

import asyncio

import pytest

from goldseam.errors import InvalidInput
from goldseam.resilience.breaker import BUCKETS, Breaker, BreakerLimits, State
from goldseam.resilience.errors import BreakerOpen
from goldseam.telemetry.signals import signals
from tests.support.hand_clock import HandClock

LIMITS = BreakerLimits(minimum_calls=4, open_seconds=5, trial_calls=3)


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(OSError, match="gone"), breaker.guard():
            raise OSError("gone")


def succeed(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        with breaker.guard():
            pass


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def breaker(clock: HandClock) -> Breaker:
    return Breaker("broker", clock, LIMITS, (OSError,))


def test_too_few_calls_do_not_open(breaker: Breaker) -> None:
    """Fewer failures than the minimum of calls say nothing."""
    fail(breaker, 3)
    assert State.CLOSED is breaker.state


def test_opens_at_the_ratio(breaker: Breaker) -> None:
    """When half of four calls have failed it opens, and says for how long."""
    succeed(breaker, 2)
    fail(breaker, 2)
    assert State.OPEN is breaker.state
    with pytest.raises(BreakerOpen) as refused:
        succeed(breaker)
    assert refused.value.retry_after_seconds == 5
    assert signals.value("goldseam_breaker_state", breaker="broker") == 2


def test_below_the_ratio_it_stays_closed(breaker: Breaker) -> None:
    """Two failures in five calls are less than half."""
    succeed(breaker, 3)
    fail(breaker, 2)
    assert State.CLOSED is breaker.state


def test_old_failures_are_forgotten(breaker: Breaker, clock: HandClock) -> None:
    """Failures that have left the window do not open it."""
    fail(breaker, 3)
    clock.seconds += LIMITS.window_seconds
    fail(breaker)
    assert State.CLOSED is breaker.state


def test_memory_is_bounded(breaker: Breaker, clock: HandClock) -> None:
    """A thousand calls over a long time leave no more parts than the window has."""
    for _ in range(1_000):
        succeed(breaker)
        clock.seconds += 0.37
    assert len(breaker._buckets) <= BUCKETS + 1


def test_errors_that_are_answers_do_not_count(breaker: Breaker) -> None:
    """A refusal shows that the other side is there."""
    for _ in range(10):
        with pytest.raises(ValueError, match="no"), breaker.guard():
            raise ValueError("no")
    assert State.CLOSED is breaker.state


async def test_exactly_n_trials(breaker: Breaker, clock: HandClock) -> None:
    """Of twenty calls at the moment it turns half-open, three are made, seventeen refused."""
    fail(breaker, 4)
    clock.seconds += 5
    made, go = 0, asyncio.Event()

    async def call() -> None:
        nonlocal made
        made += 1
        await go.wait()

    calls = [asyncio.create_task(breaker.call(call)) for _ in range(20)]
    await asyncio.sleep(0)
    go.set()
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert made == 3
    assert sum(isinstance(end, BreakerOpen) for end in ends) == 17
    assert State.CLOSED is breaker.state


def test_one_failed_trial_opens_it_again(breaker: Breaker, clock: HandClock) -> None:
    """After two good trials a bad one opens it for the whole time again."""
    fail(breaker, 4)
    clock.seconds += 5
    succeed(breaker, 2)
    fail(breaker)
    clock.seconds += 4.9
    assert State.OPEN is breaker.state


@pytest.mark.parametrize("error", [None, OSError("late")])
def test_late_results_do_not_count(
    breaker: Breaker, clock: HandClock, error: OSError | None
) -> None:
    """A call that began before it opened neither closes it nor opens it again."""
    before = breaker.guard()
    before.__enter__()
    fail(breaker, 4)
    clock.seconds += 5
    assert State.HALF_OPEN is breaker.state
    if error is None:
        before.__exit__(None, None, None)
    else:
        assert not before.__exit__(type(error), error, None)
    succeed(breaker, 2)
    trials = [breaker.state]
    succeed(breaker)
    assert [State.HALF_OPEN, State.CLOSED] == [*trials, breaker.state]


async def test_a_cancelled_trial_gives_its_slot_back(breaker: Breaker, clock: HandClock) -> None:
    """Three cancelled trials leave room for three more, which close it."""
    fail(breaker, 4)
    clock.seconds += 5
    never = asyncio.Event()
    calls = [asyncio.create_task(breaker.call(never.wait)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(BreakerOpen):
        succeed(breaker)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    succeed(breaker, 3)
    assert State.CLOSED is breaker.state


@pytest.mark.parametrize("name", ["failure_ratio", "trial_calls", "open_seconds", "minimum_calls"])
def test_senseless_limits_are_refused(name: str) -> None:
    """Limits with which it would never open or close are refused with their value."""
    with pytest.raises(InvalidInput, match=f"{name} is 0; give"):
        BreakerLimits(**{name: 0})
