"""Given these events, when this happens or time passes, then these commands leave. No database.

A step that is a call is not made: the scenario says how it ended. Time is a number that the
scenario moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from goldseam.events.event import Metadata
from goldseam.resilience.clock import MICROSECONDS_PER_SECOND
from goldseam.sagas.happenings import (
    Answered,
    Began,
    Failed,
    Happened,
    Refused,
    Succeeded,
    TimePassed,
)
from goldseam.sagas.saga import Saga
from goldseam.sagas.state import SagaState
from goldseam.sagas.transitions import Transition, doing, follow

_KEY = "scenario"


def saga_scenario(saga: type[Saga[Any]] | Saga[Any], data: object) -> SagaScenario:
    """Begin a scenario: a saga that has just been started with ``data``.

    Example::

        saga_scenario(Fulfilment, OrderReceived("17")).given(InventoryReserved()).when(
            PaymentRefused()
        ).then(InventoryReleaseRequested("17")).then_status("compensating")
    """
    made = saga() if isinstance(saga, type) else saga
    return SagaScenario(made, data)


class SagaScenario:
    """A saga under way. Every step changes it and gives it back."""

    def __init__(self, saga: Saga[Any], data: object) -> None:
        self._saga, self._now_us, self._heard = saga, 0, 0
        self._id = f"{saga.name}/{_KEY}"
        self.state = SagaState()
        """Where it stands."""
        self._story: list[str] = []
        self._commands: list[object] = []
        self._follow(Began(data), f"started with {data!r}")

    # ------------------------------------------------------------------ given and when

    def given(self, *answers: object) -> SagaScenario:
        """Services have answered with these, one after the other."""
        for answer in answers:
            self.when(answer)
        return self

    def when(self, answer: object) -> SagaScenario:
        """A service answers. A step that is a call is first taken as done."""
        self._calls_done()
        self._heard += 1
        return self._follow(Answered(answer, UUID(int=self._heard)), f"answered {answer!r}")

    def when_done(self, step: str, result: Any = None) -> SagaScenario:
        """The call ``step``, or its compensation, has returned."""
        undoing = self._at(step)
        return self._follow(Succeeded(step, result, undoing=undoing), f"{step} done")

    def when_refused(self, step: str, reason: str = "no") -> SagaScenario:
        """The service of ``step`` has said no."""
        undoing = self._at(step)
        return self._follow(Refused(step, reason, undoing), f"{step} refused")

    def when_failed(self, step: str, times: int = 1) -> SagaScenario:
        """The call ``step``, or its compensation, has failed so many times, at its due times."""
        for _ in range(times):
            undoing = self._at(step)
            self._follow(Failed(step, "failed", undoing), f"{step} failed")
            self._now_us = max(self._now_us, self.state.due_us)
        return self

    def when_seconds_pass(self, seconds: float) -> SagaScenario:
        """So much later, with nothing heard."""
        self._now_us += int(seconds * MICROSECONDS_PER_SECOND)
        return self._follow(TimePassed(), f"{seconds:g} s passed")

    # ------------------------------------------------------------------ then

    def then(self, *commands: object) -> SagaScenario:
        """Exactly these commands have left since the last happening."""
        __tracebackhide__ = True
        if tuple(self._commands) != commands:
            raise AssertionError(
                f"expected commands {_lines(commands)}\nbut there left {_lines(self._commands)}"
                f"\n{self._told()}"
            )
        return self

    def then_nothing(self) -> SagaScenario:
        """No command has left since the last happening."""
        __tracebackhide__ = True
        return self.then()

    def then_status(self, status: str) -> SagaScenario:
        """It is running, compensating, parked, completed or compensated."""
        __tracebackhide__ = True
        if self.state.status != status:
            raise AssertionError(f"expected {status}, it is {self.state.status}\n{self._told()}")
        return self

    def then_doing(self, step: str) -> SagaScenario:
        """It is at ``step``, forwards or backwards."""
        __tracebackhide__ = True
        current = self.state.doing(self._saga)
        if current != step:
            raise AssertionError(f"expected to be at {step}, it is at {current}\n{self._told()}")
        return self

    def then_waits_seconds(self, seconds: float) -> SagaScenario:
        """It waits for an answer, or for its next attempt, so much longer at most."""
        __tracebackhide__ = True
        left = (self.state.due_us - self._now_us) / MICROSECONDS_PER_SECOND
        if not 0 < left <= seconds:
            raise AssertionError(
                f"expected to wait {seconds:g} s, it is {left:g} s\n{self._told()}"
            )
        return self

    # ------------------------------------------------------------------ parts

    def _follow(self, happened: Happened, words: str) -> SagaScenario:
        to = Transition(self._saga, self._id, self.state, self._now_us, _longest, Metadata())
        follow(to, happened)
        self.state = to.state
        self._commands = [asking.command.event for asking in to.commands]
        self._story.append(words)
        return self

    def _calls_done(self) -> None:
        """Take calls before the next awaited answer as done, so that answers can be told."""
        while self.state.open and not self.state.asked:
            name, action = doing(self._saga, self.state)
            if action.asks:
                self._now_us = max(self._now_us, self.state.due_us)
                self._follow(TimePassed(), f"{name} asked again")
            else:
                self.when_done(name)

    def _at(self, step: str) -> bool:
        """Whether it is undoing ``step``; it must be at it.

        Raises:
            AssertionError: it is at something else.
        """
        current = self.state.doing(self._saga)
        if current != step or self.state.asked:
            raise AssertionError(f"it is at {current}, not calling {step}\n{self._told()}")
        return self.state.status == "compensating"

    def _told(self) -> str:
        return "\n  ".join(["the story:", *self._story])


def _lines(commands: Sequence[object]) -> str:
    return "".join(f"\n    {one!r}" for one in commands) or "none"


def _longest() -> float:
    return 1.0
