"""Given these facts, when this command comes, then these facts follow. No database, no clock."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from difflib import ndiff
from typing import Any, Generic, TypeVar, overload

from goldseam.commands.aggregate import Aggregate, Decision, decider_of
from goldseam.commands.decider import Decider
from goldseam.events.event import NewEvent

C = TypeVar("C")
S = TypeVar("S")
A = TypeVar("A", bound=Aggregate)


@overload
def scenario(kind: type[A]) -> Scenario[Decision[A], A]: ...


@overload
def scenario(kind: Decider[C, S, Any]) -> Scenario[C, S]: ...


def scenario(kind: Any) -> Scenario[Any, Any]:
    """Begin a scenario of an :class:`Aggregate` class or a :class:`Decider`.

    Example::

    scenario(Account).given(MoneyDeposited(50)).when(
        lambda account: account.withdraw(20)
    ).then(MoneyWithdrawn(20)).then_state(balance=30)
    """
    return Scenario(decider_of(kind) if isinstance(kind, type) else kind)


class Scenario(Generic[C, S]):
    """A stream as it stands before the command. Each step gives a new scenario."""

    def __init__(self, decider: Decider[C, S, Any], facts: Sequence[object] = ()) -> None:
        self._decider, self._facts = decider, tuple(facts)

    def given(self, *facts: object) -> Scenario[C, S]:
        """What has happened before, in order; may be called again to add more."""
        return Scenario(self._decider, (*self._facts, *facts))

    def when(self, command: C) -> Outcome[S]:
        """Decide ``command``. A decision that raises is kept for :meth:`Outcome.then_raises`.

        Raises:
            AssertionError: deciding has changed the state it was given: it could not be repeated.
        """
        __tracebackhide__ = True
        state = self._decider.fold(self._facts)
        before = copy.deepcopy(state)
        facts: tuple[object, ...] = ()
        error: Exception | None = None
        try:
            decided = tuple(self._decider.decide(command, state))
            facts = tuple(f.data if isinstance(f, NewEvent) else f for f in decided)
        except Exception as raised:
            error = raised
        if state != before:
            raise AssertionError(
                f"deciding {_shown_command(command)} has changed the state itself; decide must "
                f"only return facts\n{_difference([before], [state])}"
            )
        return Outcome(self._decider.evolve, _Story(self._facts, command), state, facts, error)

    def then_state(self, state: S | None = None, /, **fields: object) -> Scenario[C, S]:
        """The given facts lead to this state, or to a state with these attributes."""
        __tracebackhide__ = True
        _check_state(self._decider.fold(self._facts), state, fields, _Story(self._facts))
        return self


class Outcome(Generic[S]):
    """What the decision gave: facts, nothing, or a refusal."""

    def __init__(
        self,
        evolve: Callable[[S, Any], S],
        story: _Story,
        state: S,
        facts: tuple[object, ...],
        error: Exception | None,
    ) -> None:
        self._evolve, self._story, self._state = evolve, story, state
        self._facts, self._error = facts, error

    def then(self, *facts: object) -> Outcome[S]:
        """Exactly these facts follow, in this order."""
        __tracebackhide__ = True
        self._must_not_raise()
        if self._facts != facts:
            shown = _difference(facts, self._facts)
            raise AssertionError(f"other facts followed than expected\n{shown}\n{self._story}")
        return self

    def then_nothing(self) -> Outcome[S]:
        """The command is accepted and there is nothing to do."""
        __tracebackhide__ = True
        return self.then()

    def then_raises(self, kind: type[Exception], match: str | None = None) -> Outcome[S]:
        """The decision refuses with ``kind``; ``match`` is searched for in its words."""
        __tracebackhide__ = True
        if self._error is None:
            shown = _difference([], self._facts)
            raise AssertionError(
                f"{kind.__name__} was expected, but it was decided\n{shown}\n{self._story}"
            )
        if not isinstance(self._error, kind):
            raise AssertionError(  # noqa: TRY004 -- what a test framework reports
                f"{kind.__name__} was expected, {self._error!r} was raised\n{self._story}"
            ) from self._error
        if match is not None and re.search(match, str(self._error)) is None:
            raise AssertionError(
                f"{kind.__name__} says {str(self._error)!r}, which does not match {match!r}\n"
                f"{self._story}"
            ) from self._error
        return self

    def then_state(self, state: S | None = None, /, **fields: object) -> Outcome[S]:
        """After the facts the state is this one, or has these attributes."""
        __tracebackhide__ = True
        self._must_not_raise()
        after = copy.deepcopy(self._state)
        for fact in self._facts:
            after = self._evolve(after, fact)
        _check_state(after, state, fields, self._story)
        return self

    def _must_not_raise(self) -> None:
        __tracebackhide__ = True
        if self._error is not None:
            raise AssertionError(
                f"the decision raised {self._error!r}\n{self._story}"
            ) from self._error


class _Story:
    """What was given and what came, for messages."""

    def __init__(self, facts: Sequence[object], command: object | None = None) -> None:
        self._facts, self._command = facts, command

    def __str__(self) -> str:
        given = "\n".join(f"    {fact!r}" for fact in self._facts) or "    nothing"
        when = "" if self._command is None else f"\nwhen\n    {_shown_command(self._command)}"
        return f"given\n{given}{when}"


def _shown_command(command: object) -> str:
    """A lambda by the line it was written in; anything else as it shows itself."""
    code = getattr(command, "__code__", None)
    return f"the call at {code.co_filename}:{code.co_firstlineno}" if code else repr(command)


def _check_state(
    actual: object, expected: object | None, fields: dict[str, object], story: _Story
) -> None:
    __tracebackhide__ = True
    if expected is None and not fields:
        raise TypeError("then_state needs a state, or the attributes it must have")
    if expected is not None and actual != expected:
        raise AssertionError(
            f"another state than expected\n{_difference([expected], [actual])}\n{story}"
        )
    missing = object()
    found = {name: getattr(actual, name, missing) for name in fields}
    if found != fields:
        shown = _difference(
            [f"{name} = {value!r}" for name, value in fields.items()],
            [
                f"{name} is missing" if value is missing else f"{name} = {value!r}"
                for name, value in found.items()
            ],
        )
        raise AssertionError(f"another state than expected\n{shown}\n{story}")


def _difference(expected: Sequence[object], actual: Sequence[object]) -> str:
    """``-`` was expected and is missing, ``+`` is there and was not expected."""
    lines = ndiff([_line(one) for one in expected], [_line(one) for one in actual])
    return "\n".join(f"  {line.rstrip()}" for line in lines) or "  (nothing)"


def _line(value: object) -> str:
    return value if isinstance(value, str) else repr(value)
