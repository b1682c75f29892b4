"""Where a saga stands: folded from its stream, and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

import msgspec

from goldseam.events.event import Recorded
from goldseam.sagas.facts import (
    AnswerCameLate,
    CompensationRequested,
    SagaCompensated,
    SagaCompleted,
    SagaParked,
    SagaRetried,
    SagaStarted,
    StepAsked,
    StepAttemptFailed,
    StepCompleted,
    StepGivenUp,
    StepUndone,
    StepWasRefused,
)
from goldseam.sagas.saga import Saga

Status = Literal["new", "running", "compensating", "parked", "completed", "compensated"]
OPEN: frozenset[str] = frozenset({"running", "compensating"})
"""A saga that still has something to do or to wait for."""

ENDED: frozenset[str] = frozenset({"completed", "compensated"})


class SagaState(msgspec.Struct):
    """One saga's standing.

    ``attempt`` counts the failed attempts at what it is doing now. ``asked``: a command is out,
    and ``due_us`` is when its answer is late; otherwise ``due_us`` is when it goes on. ``undo``:
    the steps that are still to be undone, the next one first. ``retried``: how often somebody has
    asked for what failed to be tried again. ``heard``: the ids of what services
    have said: to hear it twice is to hear it once.
    """

    definition: str = ""
    version: int = 0
    status: Status = "new"
    data: Any = None
    results: dict[str, Any] = {}
    step: int = 0
    attempt: int = 0
    asked: bool = False
    due_us: int = 0
    undo: list[str] = []
    error: str = ""
    retried: int = 0
    heard: set[UUID] = set()
    locks: tuple[str, ...] = ()
    awaiting: Literal["", "data", "late"] | tuple[str] = ""
    """What the next event of the stream is, when it is not a fact of the saga itself."""

    @property
    def open(self) -> bool:
        """Whether it has something to do or to wait for."""
        return self.status in OPEN

    def doing(self, saga: Saga[Any]) -> str | None:
        """The step that it is at, forwards or backwards; None when it has ended."""
        if self.status == "running":
            return saga.step_names[self.step] if self.step < len(saga.step_names) else None
        return self.undo[0] if self.undo else None


def fold(saga: Saga[Any], stream: Sequence[Recorded[Any]]) -> SagaState:
    """The state after ``stream``."""
    state = SagaState()
    for one in stream:
        evolve(saga, state, one.data, one.id)
    return state


def evolve(  # noqa: C901, PLR0912 -- one case for each kind of fact
    saga: Saga[Any], state: SagaState, fact: object, event_id: UUID | None = None
) -> None:
    """Take one event of the saga's stream into ``state``; ``event_id`` where a service said it."""
    match fact:
        case SagaStarted(definition, version, locks):
            state.definition, state.version, state.locks = definition, version, locks
            state.status, state.awaiting = "running", "data"
        case StepAsked(_, attempt, due_us):
            state.asked, state.due_us, state.attempt = True, due_us, attempt - 1
        case StepCompleted(step, result, said):
            _go_on(state)
            state.step += 1
            state.results[step] = result
            state.awaiting = (step,) if said else ""
        case StepAttemptFailed(_, attempt, error, due_us):
            state.attempt, state.asked = attempt, False
            state.due_us, state.error = due_us, error
        case StepWasRefused(step, reason, said):
            _turn_back(saga, state, f"{step} refused: {reason}", with_current=False)
            state.awaiting = "late" if said else ""
        case StepGivenUp(step, error):
            _turn_back(saga, state, f"{step} given up: {error}", with_current=True)
        case CompensationRequested(by, reason):
            _turn_back(saga, state, f"undone for {by}: {reason}", with_current=True)
        case StepUndone(_, said):
            _go_on(state)
            state.undo, state.status = state.undo[1:], "compensating"
            state.awaiting = "late" if said else ""
        case AnswerCameLate():
            state.awaiting = "late"
        case SagaParked(_, error):
            _go_on(state)
            state.status, state.error = "parked", error
        case SagaRetried():
            _go_on(state)
            state.retried += 1
            state.status = "compensating" if state.status == "parked" else state.status
        case SagaCompleted():
            state.status = "completed"
        case SagaCompensated():
            state.status = "compensated"
        case _:
            _take_what_was_said(state, fact, event_id)


def _go_on(state: SagaState) -> None:
    state.attempt, state.asked, state.due_us = 0, False, 0


def _turn_back(saga: Saga[Any], state: SagaState, why: str, *, with_current: bool) -> None:
    """Undo what has, or may have, taken effect; the newest first."""
    _go_on(state)
    begun = saga.step_names[: state.step + with_current]
    state.undo = [name for name in reversed(begun) if saga.steps[name].undo is not None]
    state.status, state.error = "compensating", why


def _take_what_was_said(state: SagaState, said: object, event_id: UUID | None) -> None:
    if event_id is not None:
        state.heard.add(event_id)
    if state.awaiting == "data":
        state.data = said
    elif isinstance(state.awaiting, tuple):
        state.results[state.awaiting[0]] = said
    state.awaiting = ""
