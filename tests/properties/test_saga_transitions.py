"""Whatever happens to a saga, in whatever order: its facts tell its state, and it keeps its rules.

Hypothesis draws happenings that fit and happenings that do not: stale results, answers twice, late
or to an older command, humans at the wrong moment. No database: `transitions.py` is pure.
"""

from __future__ import annotations

import copy
from typing import Any
from uuid import UUID, uuid5

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goldseam import Saga, asks, event, step
from goldseam.events.event import Metadata
from goldseam.sagas.errors import SagaConflict
from goldseam.sagas.facts import (
    AnswerCameLate,
    CompensationRequested,
    SagaRetried,
    StepAttemptFailed,
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
from goldseam.sagas.saga import Call, Retry
from goldseam.sagas.state import ENDED, SagaState, evolve
from goldseam.sagas.transitions import Transition, doing, follow

TWICE = Retry(attempts=2, first_seconds=1, longest_seconds=4)
SPACE = UUID(int=17)
EVENTS_MAX = 60


@event(name="test.transitions.Begun")
class Begun:
    """What the saga is about."""

    note: str


@event(name="test.transitions.Ask")
class Ask:
    """Every command."""

    key: str


@event(name="test.transitions.Yes")
class Yes:
    """Every service's yes."""


@event(name="test.transitions.No")
class No:
    """Every service's no."""


class Mixed(Saga[Begun]):
    """Calls and commands, with every kind of way back."""

    name = "mixed"

    @step(retry=TWICE)
    async def first(self, data: Begun, call: Call) -> int:
        return 1

    @first.compensation(retry=TWICE)
    async def un_first(self, data: Begun, call: Call) -> None: ...

    @asks("to", done=Yes, refused=No, timeout_seconds=3, retry=TWICE)
    def second(self, data: Begun, call: Call) -> Ask:
        return Ask(call.key)

    @second.compensation(done=Yes, refused=No, timeout_seconds=3, retry=TWICE)
    def un_second(self, data: Begun, call: Call) -> Ask:
        return Ask(call.key)

    @step(nothing_to_undo=True, retry=TWICE)
    async def third(self, data: Begun, call: Call) -> Yes:
        return Yes()

    @asks("to", done=Yes, refused=No, timeout_seconds=3)
    def fourth(self, data: Begun, call: Call) -> Ask:
        return Ask(call.key)

    @fourth.compensation(retry=TWICE)
    async def un_fourth(self, data: Begun, call: Call) -> None: ...


SAGA = Mixed()
ACTIONS = [one for steps in SAGA.steps.values() for one in (steps.act, steps.undo) if one]

_steps = st.sampled_from(SAGA.step_names)
_happenings = st.lists(
    st.one_of(
        st.just(("succeed",)),
        st.just(("succeed", "said")),
        st.just(("fail",)),
        st.just(("refuse",)),
        st.just(("fail", "twice")),
        st.tuples(st.just("stale"), _steps, st.booleans()),
        st.tuples(st.just("answer"), st.booleans(), st.integers(0, 6), st.integers(-2, 6)),
        st.tuples(st.just("wait"), st.sampled_from([0, 1, 3, 10])),
        st.sampled_from([("compensate",), ("retry",), ("by hand",)]),
    ),
    min_size=1,
    max_size=EVENTS_MAX,
)


class History:
    """One saga, moved by happenings; its facts as they would be stored."""

    def __init__(self) -> None:
        self.state = SagaState()
        self.now_us = 1
        self.stored: list[tuple[object, UUID]] = []
        self.commands: list[tuple[UUID, str]] = []
        self.move(Began(Begun("x"), ("thing",)))

    def move(self, happened: Happened) -> None:
        """One transition, and what must hold after each."""
        before = copy.deepcopy(self.state)
        to = Transition(SAGA, "mixed/1", self.state, self.now_us, lambda: 0.5, Metadata())
        try:
            follow(to, happened)
        except SagaConflict:
            assert [] == to.facts
            return
        assert before == self.state, "a transition has changed the state that it was given"
        self.state = to.state
        for fact, event_id in to.facts:
            self.stored.append((_as_stored(fact), event_id or uuid5(SPACE, f"{len(self.stored)}")))
        self.commands += [(one.event_id, one.key) for one in to.commands]
        self._check(before, [fact for fact, _ in to.facts])

    def draw(self, one: tuple[Any, ...]) -> None:
        """Make a happening of what was drawn; some do not fit, and must change nothing."""
        match one:
            case ("wait", seconds):
                self.now_us += seconds * 1_000_000
                self.move(TimePassed())
            case ("answer", yes, number, cause):
                self.move(Answered(Yes() if yes else No(), UUID(int=number), self._cause(cause)))
            case ("stale", name, undoing):
                self.move(Succeeded(name, 2, undoing=undoing))
            case ("compensate",):
                self.move(AskedToCompensate("ann", "why"))
            case ("retry",):
                self.move(AskedToRetry("ann", "why"))
            case ("by hand",):
                self.move(DoneByHand("ann", "why"))
            case (how, *more):
                self._call(how, bool(more))

    def _call(self, how: str, more: bool) -> None:
        """The call that is due has ended; nothing when none is."""
        if not self.state.open or self.state.asked or doing(SAGA, self.state)[1].asks:
            return
        self.now_us = max(self.now_us, self.state.due_us)
        (name, _), undoing = doing(SAGA, self.state), self.state.status == "compensating"
        if how == "succeed":
            said = more and not undoing
            self.move(Succeeded(name, Yes() if said else 1, said, undoing))
        elif how == "refuse":
            self.move(Refused(name, "no", undoing))
        else:
            failed = Failed(name, "failed", undoing, self.state.attempt + 1)
            self.move(failed)
            once = copy.deepcopy(self.state)
            if more:  # told twice, it is one failure
                self.move(failed)
                assert once == self.state

    def _cause(self, number: int) -> str | None:
        if number == -1:
            return str(UUID(int=99))
        if not 0 <= number < len(self.commands):
            return None
        return str(self.commands[-1 - number][0])

    # ------------------------------------------------------------------ what must hold

    def _check(self, before: SagaState, facts: list[object]) -> None:
        assert self.folded() == _without_heard(self.state)
        if before.status in ENDED:
            assert all(isinstance(one, AnswerCameLate | Yes | No) for one in facts), facts
            assert before.status == self.state.status
        ids = [event_id for event_id, _ in (*self.commands, *((i, "") for _, i in self.stored))]
        assert len(set(ids)) == len(ids), "the id of a command or of a fact was used twice"
        if facts and isinstance(facts[-1], StepAttemptFailed):
            assert not self.state.asked, "nothing is out, and it would wait for an answer"
        if self.state.open:
            assert self.state.asked == doing(SAGA, self.state)[1].asks or self.state.due_us
        self._check_attempts()
        self._check_way_back()

    def folded(self) -> SagaState:
        """The state from the stored facts alone."""
        state = SagaState()
        for fact, event_id in self.stored:
            evolve(SAGA, state, fact, event_id)
        return _without_heard(state)

    def _check_attempts(self) -> None:
        """Between two retries a step fails less often than it has attempts."""
        counts: dict[tuple[str, bool], int] = {}
        for fact, _ in self.stored:
            if isinstance(fact, SagaRetried):
                counts.clear()
            elif isinstance(fact, StepAttemptFailed):
                key = fact.step, fact.undoing
                counts[key] = counts.get(key, 0) + 1
                assert counts[key] < TWICE.attempts

    def _check_way_back(self) -> None:
        """Undone in reverse order; what was refused is not, what may have happened is."""
        done, undone, due = [], [], None
        for fact, _ in self.stored:
            match fact:
                case StepUndone(name):
                    undone.append(name)
                case StepGivenUp() | CompensationRequested():
                    due = SAGA.step_names[: len(done) + 1]
                case StepWasRefused(name):
                    due = SAGA.step_names[: len(done)]
                    assert name not in due
                case _ if type(fact).__name__ == "StepCompleted":
                    done.append(fact.step)  # type: ignore[attr-defined]
        assert list(SAGA.step_names[: len(done)]) == done
        if due is None:
            assert [] == undone
            return
        wanted = [name for name in reversed(due) if SAGA.steps[name].undo is not None]
        assert wanted[: len(undone)] == undone
        assert wanted[len(undone) :] == self.state.undo
        assert ("compensated" == self.state.status) == (undone == wanted)


def _as_stored(fact: object) -> object:
    return msgspec.json.decode(msgspec.json.encode(fact), type=type(fact))


def _without_heard(state: SagaState) -> SagaState:
    """In memory only what was told is heard; the stream has its other events' ids besides."""
    found = copy.deepcopy(state)
    found.heard = {one for one in found.heard if one.int < EVENTS_MAX}
    return found


@given(happenings=_happenings)
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_the_facts_tell_the_state_and_the_rules_hold(happenings: list[tuple[Any, ...]]) -> None:
    """After every single happening; and from wherever it is, the saga can still end."""
    history = History()
    for one in happenings:
        history.draw(one)
    _end(history)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@given(happenings=_happenings)
@settings(max_examples=20_000, suppress_health_check=[HealthCheck.too_slow])
def test_the_same_for_many_histories(happenings: list[tuple[Any, ...]]) -> None:
    """The quick test, longer."""
    history = History()
    for one in happenings:
        history.draw(one)
    _end(history)


def _end(history: History) -> None:
    """When services are well again and a human does the rest, every saga ends."""
    for number in range(50):
        if history.state.status in ENDED:
            return
        if history.state.status == "parked":
            history.draw(("by hand",))
        elif history.state.asked:
            cause = str(history.commands[-1][0])
            history.move(Answered(Yes(), uuid5(SPACE, f"end {number}"), cause))
        else:
            history.now_us = max(history.now_us, history.state.due_us)
            history.draw(("wait", 0))
            history.draw(("succeed",))
    raise AssertionError(f"it never ends: {history.state}")


def test_an_answer_to_an_older_command_of_its_own_is_not_taken() -> None:
    """All services say the same word: only the one that was asked last is heard."""
    history = History()
    history.draw(("succeed",))
    history.draw(("answer", True, 1, 0))
    history.draw(("succeed", "said"))
    assert "fourth" == history.state.doing(SAGA)
    history.draw(("answer", True, 2, 1))
    assert "fourth" == history.state.doing(SAGA)
    history.draw(("answer", True, 3, 0))
    assert "completed" == history.state.status


def test_a_command_that_is_sent_after_a_retry_is_a_new_one() -> None:
    """The way back of the second step gets no answer, twice; somebody wants it tried again."""
    history = History()
    for one in (("succeed",), ("compensate",)):
        history.draw(one)
    sent = len(history.commands)
    for _ in range(TWICE.attempts):
        history.draw(("wait", 10))
        history.draw(("wait", 10))
    assert "parked" == history.state.status
    history.draw(("retry",))
    assert "compensating" == history.state.status
    assert sent + 2 == len(history.commands)
    ids, keys = zip(*history.commands, strict=True)
    assert len(ids) == len(set(ids))
    assert {"mixed/1/second", "mixed/1/second/undo"} == set(keys)


def test_control_without_the_facts_order_the_rules_are_found_broken() -> None:
    """The checks above can fail: facts in another order are no such saga."""
    history = History()
    for one in (("succeed",), ("answer", True, 1, 0), ("compensate",), ("succeed",)):
        history.draw(one)
    undone = [n for n, (fact, _) in enumerate(history.stored) if isinstance(fact, StepUndone)]
    history.draw(("answer", True, 2, 0))
    assert not undone
    history.stored.reverse()
    with pytest.raises(AssertionError):
        history._check_way_back()
