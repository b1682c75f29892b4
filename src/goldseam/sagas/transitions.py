"""What follows from what: pure decisions over a saga's state. No I/O, no clock, no randomness.

Every change of a saga is one call of :func:`follow`: from the state and what happened to the
facts, and the commands that leave with them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from goldseam.consumers.why import without_values_of
from goldseam.events.event import Metadata, NewEvent
from goldseam.resilience.clock import MICROSECONDS_PER_SECOND
from goldseam.sagas.errors import SagaConflict
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
from goldseam.sagas.happenings import (
    Answered,
    AskedToCompensate,
    AskedToRetry,
    Began,
    DoneByHand,
    Failed,
    Happened,
    Refused,
    Succeeded,
    TimePassed,
)
from goldseam.sagas.saga import Action, Call, Command, Retry, Saga
from goldseam.sagas.state import SagaState, evolve

NO_ANSWER = "no answer in time"
KEY = "idempotency_key"
"""Where in a command's metadata.extra its service finds the key: the same on every attempt."""

DOUBLINGS_MAX = 60
"""A pause has reached any bound by then, and the number is still one."""


class Asking(msgspec.Struct, frozen=True):
    """A command that leaves, the id of its event, and the idempotency key for the service."""

    command: Command
    event_id: UUID
    key: str

    def event(self, saga_id: str, cause: str) -> NewEvent:
        """The command as it is appended; its service finds the key beside it."""
        extra = {"saga": saga_id, KEY: self.key}
        metadata = Metadata(correlation=saga_id, causation=cause, extra=extra)
        return NewEvent(self.command.event, self.event_id, metadata)


class Transition:
    """The facts and commands that follow from one happening, and the state after them.

    ``unsendable``: why the command that would leave now cannot be stored; its attempt has failed.
    """

    def __init__(
        self,
        saga: Saga[Any],
        saga_id: str,
        state: SagaState,
        now_us: int,
        jitter: Callable[[], float],
        metadata: Metadata,
        unsendable: Exception | None = None,
    ) -> None:
        self.saga, self.id, self.now_us = saga, saga_id, now_us
        self.state = copy.copy(state)
        self.state.results, self.state.heard = dict(state.results), set(state.heard)
        self.facts: list[tuple[object, UUID | None]] = []
        """With the id that an event must have, where it matters."""
        self.commands: list[Asking] = []
        self._jitter, self._metadata = jitter, metadata
        self._unsendable = unsendable

    def record(self, *facts: object) -> None:
        """These have happened."""
        for fact in facts:
            self.facts.append((fact, None))
            evolve(self.saga, self.state, fact)

    def hear(self, fact: Any, said: Answered) -> None:
        """``fact``, and behind it what a service has said."""
        if not said.kept:
            if not isinstance(fact, AnswerCameLate):
                self.record(msgspec.structs.replace(fact, said=False))
            return
        self.record(fact)
        self.facts.append((said.data, said.event_id))
        evolve(self.saga, self.state, said.data, said.event_id)

    # ------------------------------------------------------------------ what follows by itself

    def settle(self) -> None:
        """Send the command that is due, or end."""
        state = self.state
        if not state.open or state.asked or state.due_us > self.now_us:
            return
        if state.status == "running" and state.step == len(self.saga.step_names):
            self.record(SagaCompleted())
        elif state.status == "compensating" and not state.undo:
            self.record(SagaCompensated())
        else:
            self._ask_if_it_asks()

    def _ask_if_it_asks(self) -> None:
        name, action = doing(self.saga, self.state)
        if not action.asks:
            return
        attempt = self.state.attempt + 1
        undoing = self.state.status == "compensating"
        call = call_of(self.saga, self.id, self.state, self._metadata)
        if self._unsendable is not None:  # what follows from it is for the next transition
            self.attempt_failed(failure_text(self._unsendable, self.state))
            return
        try:
            command = action.command(self.saga, self.state.data, call)
        except Exception as error:  # nothing has left; what can be, is tried again
            self.attempt_failed(failure_text(error, self.state))
            self.settle()
            return
        due_us = self.now_us + int(action.timeout_seconds * MICROSECONDS_PER_SECOND)
        event_id = command_id(call.key, attempt, self.state.retried)
        self.commands.append(Asking(command, event_id, call.key))
        self.record(StepAsked(name, attempt, due_us, undoing))

    # ------------------------------------------------------------------ what failed

    def attempt_failed(self, error: str) -> None:
        """Try again later, or give up: turn back, or park."""
        name, action = doing(self.saga, self.state)
        attempt = self.state.attempt + 1
        undoing = self.state.status == "compensating"
        if attempt < action.retry.attempts:
            due_us = self.now_us + self._pause_us(action.retry, attempt)
            self.record(StepAttemptFailed(name, attempt, error, due_us, undoing))
        elif undoing:
            self.record(SagaParked(name, error))
        else:
            self.record(StepGivenUp(name, error))

    def _pause_us(self, retry: Retry, attempt: int) -> int:
        doublings = min(attempt - 1, DOUBLINGS_MAX)
        longest = min(retry.first_seconds * 2**doublings, retry.longest_seconds)
        return int(longest * (0.5 + 0.5 * self._jitter()) * MICROSECONDS_PER_SECOND)


def doing(saga: Saga[Any], state: SagaState) -> tuple[str, Action]:
    """What an open saga is at: the step, and the action, forwards or backwards."""
    name = state.doing(saga)
    assert name is not None, state
    one = saga.steps[name]
    action = one.act if state.status == "running" else one.undo
    assert action is not None, name
    return name, action


def call_of(saga: Saga[Any], saga_id: str, state: SagaState, metadata: Metadata) -> Call:
    """What the step that is due is told about itself."""
    name, _ = doing(saga, state)
    undoing = state.status == "compensating"
    key = f"{saga_id}/{name}/undo" if undoing else f"{saga_id}/{name}"
    return Call(saga_id, name, key, state.attempt + 1, state.results, metadata)


def failure_text(error: BaseException, state: SagaState) -> str:
    """What went wrong, without any value of the saga's data: errors are read by many."""
    said = [state.data, *state.results.values()]
    return f"{type(error).__name__}: {without_values_of(error, said)}".rstrip(": ")


def command_id(key: str, attempt: int, retried: int = 0) -> UUID:
    """The id of a command's event: made again, it is the same event.

    Attempts count from 1 again after each retry that a human asked for; those are new commands.
    """
    number = f"{retried}.{attempt}" if retried else f"{attempt}"
    return uuid5(NAMESPACE_URL, f"goldseam:saga-command:{key}#{number}")


def follow(transition: Transition, happened: Happened) -> None:
    """Let ``happened`` take its course.

    Raises:
        SagaConflict: a human asks for something that does not fit the state.
    """
    _COURSES[type(happened)](transition, happened)
    transition.settle()


def _began(to: Transition, happened: Began) -> None:
    if to.state.status == "new":
        started = SagaStarted(to.saga.name, to.saga.version, happened.locks)
        to.record(started, happened.data)


def _is_awaited(to: Transition, call: Succeeded | Refused | Failed) -> bool:
    """Whether the outcome of a call still counts: a human may have turned the saga back."""
    status = "compensating" if call.undoing else "running"
    return to.state.status == status and to.state.doing(to.saga) == call.step


def _succeeded(to: Transition, happened: Succeeded) -> None:
    if not _is_awaited(to, happened):
        return
    said = [happened.result] if happened.said else []
    if happened.undoing:
        to.record(StepUndone(happened.step))
    else:
        result = None if happened.said else happened.result
        to.record(StepCompleted(happened.step, result, happened.said), *said)


def _refused(to: Transition, happened: Refused) -> None:
    if not _is_awaited(to, happened):
        return
    if happened.undoing:  # a definite no: to try again is of no use
        to.record(SagaParked(happened.step, f"refused: {happened.reason}"))
    else:
        to.record(StepWasRefused(happened.step, happened.reason))


def _failed(to: Transition, happened: Failed) -> None:
    is_current = happened.attempt in (0, to.state.attempt + 1)
    if is_current and _is_awaited(to, happened):
        to.attempt_failed(happened.error)


def _answered(to: Transition, happened: Answered) -> None:
    if happened.event_id in to.state.heard:
        return
    if to.state.open and (to.state.asked or to.state.attempt):  # late is better than once more
        name, action = doing(to.saga, to.state)
        if _is_answer(to, happened, action):
            _take_answer(to, name, action, happened)
            return
    to.hear(AnswerCameLate(type(happened.data).__name__), happened)


def _is_answer(to: Transition, happened: Answered, action: Action) -> bool:
    """Whether it is what the saga waits for, and not the answer to an older command of its own."""
    if not isinstance(happened.data, (*action.done, *action.refused)):
        return False
    if happened.cause is None:
        return True
    own = _ids(call_of(to.saga, to.id, to.state, Metadata()).key, action, to.state.retried)
    return happened.cause in own or happened.cause not in _commands_of(to)


def _commands_of(to: Transition) -> set[str]:
    """The ids of all commands that this saga may have sent."""
    found: set[str] = set()
    for name, one in to.saga.steps.items():
        found |= _ids(f"{to.id}/{name}", one.act, to.state.retried)
        if one.undo is not None:
            found |= _ids(f"{to.id}/{name}/undo", one.undo, to.state.retried)
    return found


def _ids(key: str, action: Action, retried: int) -> set[str]:
    if not action.asks:
        return set()
    attempts, rounds = range(1, action.retry.attempts + 1), range(retried + 1)
    return {str(command_id(key, n, round_)) for n in attempts for round_ in rounds}


def _take_answer(to: Transition, name: str, action: Action, said: Answered) -> None:
    yes, kind = isinstance(said.data, action.done), type(said.data).__name__
    if to.state.status == "running" and yes:
        to.hear(StepCompleted(name, said=True), said)
    elif to.state.status == "running":
        to.hear(StepWasRefused(name, kind, said=True), said)
    elif yes:
        to.hear(StepUndone(name, said=True), said)
    else:  # a definite no: to try again is of no use
        to.hear(AnswerCameLate(kind), said)
        to.record(SagaParked(name, f"refused: {kind}"))


def _time_passed(to: Transition, _: TimePassed) -> None:
    if to.state.open and to.state.asked and to.state.due_us <= to.now_us:
        to.attempt_failed(NO_ANSWER)


def _asked_to_compensate(to: Transition, happened: AskedToCompensate) -> None:
    if to.state.status != "running":
        raise SagaConflict(to.id, to.state.status, "only a running saga can be turned back")
    to.record(CompensationRequested(happened.by, happened.reason))


def _asked_to_retry(to: Transition, happened: AskedToRetry) -> None:
    waiting = to.state.open and not to.state.asked and to.state.attempt > 0
    if to.state.status != "parked" and not waiting:
        raise SagaConflict(to.id, to.state.status, "there is nothing in it that has failed")
    to.record(SagaRetried(happened.by, happened.reason))


def _done_by_hand(to: Transition, happened: DoneByHand) -> None:
    if to.state.status != "parked":
        raise SagaConflict(
            to.id, to.state.status, "only what parks a saga can be taken as undone by hand"
        )
    to.record(StepUndone(to.state.undo[0], by=happened.by, reason=happened.reason))


_COURSES: dict[type, Callable[[Transition, Any], None]] = {
    Began: _began,
    Succeeded: _succeeded,
    Refused: _refused,
    Failed: _failed,
    Answered: _answered,
    TimePassed: _time_passed,
    AskedToCompensate: _asked_to_compensate,
    AskedToRetry: _asked_to_retry,
    DoneByHand: _done_by_hand,
}
