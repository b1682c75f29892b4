"""The circuit breaker as a state machine: no more trials than allowed, whatever happens."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from goldseam.resilience.breaker import Breaker, BreakerLimits, State
from goldseam.resilience.errors import BreakerOpen
from tests.support.hand_clock import HandClock

LIMITS = BreakerLimits(minimum_calls=4, open_seconds=5, trial_calls=3)


class Calls(RuleBasedStateMachine):
    """Calls begin, end and are cancelled in any order, while time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock()
        self.breaker = Breaker("model", self.clock, LIMITS, (OSError,))
        self.running: list[tuple[AbstractContextManager[None], int]] = []
        self.era = self.trials = self.passed = 0
        self.before = State.CLOSED

    def watch(self) -> State:
        """The state; a change of it begins a new era with no trials."""
        state = self.breaker.state
        if state is not self.before:
            self.before, self.era, self.trials, self.passed = state, self.era + 1, 0, 0
        return state

    @rule()
    def begin(self) -> None:
        state = self.watch()
        call = self.breaker.guard()
        full = state is State.HALF_OPEN and self.trials == LIMITS.trial_calls
        refused: BreakerOpen | None = None
        try:
            call.__enter__()
        except BreakerOpen as error:
            refused = error
        assert (refused is not None) is (state is State.OPEN or full)
        if refused is not None:
            assert refused.retry_after_seconds > 0
        else:
            self.trials += state is State.HALF_OPEN
            self.running.append((call, self.era))

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 50), how=st.sampled_from(["well", "failed", "cancelled"]))
    def end(self, which: int, how: str) -> None:
        state = self.watch()
        call, era = self.running.pop(which % len(self.running))
        trial = state is State.HALF_OPEN and era == self.era
        if how == "well":
            call.__exit__(None, None, None)
            self.passed += trial
            expected = State.CLOSED if trial and self.passed == LIMITS.trial_calls else state
            assert self.breaker.state is expected
        elif how == "failed":
            with suppress(OSError):
                call.__exit__(OSError, OSError("gone"), None)
            if trial:
                assert self.breaker.state is State.OPEN
            elif state is not State.CLOSED:
                assert self.breaker.state is state
        else:
            with suppress(KeyboardInterrupt):
                call.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
            self.trials -= trial
            assert self.breaker.state is state
        self.watch()

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.9, 5.0, 11.0]))
    def wait(self, seconds: float) -> None:
        state = self.watch()
        self.clock.seconds += seconds
        after = self.watch()
        assert after is state or (state is State.OPEN and after is State.HALF_OPEN)

    @invariant()
    def never_too_many_trials(self) -> None:
        self.watch()
        assert 0 <= self.trials <= LIMITS.trial_calls


TestBreaker = Calls.TestCase
