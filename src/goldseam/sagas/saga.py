"""Declare a saga: its steps in order, and beside each the compensation that undoes it.

From the guide, "Saga Pattern: Cross-Service Transactions".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from goldseam.events.event import Metadata
from goldseam.events.names import checked_name, stream_name
from goldseam.sagas.errors import SagaDefinitionError

D = TypeVar("D")

TIMEOUT_SECONDS = 30.0
ATTEMPTS = 5
UNDO_ATTEMPTS = 10
NAME_LENGTH_MAX = 60
STEPS_MAX = 100

RESERVED = frozenset({"name", "version", "steps", "step_names", "answers"})
"""What no step can be called: a saga has it already."""

Kinds = type | tuple[type, ...]


class Retry(msgspec.Struct, frozen=True):
    """How often a failed attempt is made again, and after which pause.

    The pause doubles from ``first_seconds`` to ``longest_seconds``; the half of it is drawn at
    random, so that many sagas that failed together do not come back together.
    """

    attempts: int = ATTEMPTS
    first_seconds: float = 0.1
    longest_seconds: float = 30.0


class Call(msgspec.Struct, frozen=True):
    """What a step is told about itself.

    ``key`` is the idempotency key of everything this step asks of its service: the same on every
    attempt, in every process. ``results`` has what the steps before have given, by their names.
    """

    saga: str
    step: str
    key: str
    attempt: int
    results: Mapping[str, Any]
    metadata: Metadata


class Command(msgspec.Struct, frozen=True):
    """An event that asks a service for something, and the stream it is written to."""

    stream: str
    event: Any


class Action(msgspec.Struct, frozen=True):
    """What is done, forwards or backwards: a call that is awaited, or a command with an answer."""

    method: Callable[..., Any]
    timeout_seconds: float
    retry: Retry
    refused: tuple[type, ...] = ()
    done: tuple[type, ...] = ()
    to: str = ""

    @property
    def asks(self) -> bool:
        """Whether it sends a command and waits for the answer."""
        return bool(self.done)

    def command(self, saga: Saga[Any], data: Any, call: Call) -> Command:
        """The command that it sends, with its stream."""
        made = self.method(saga, data, call)
        if isinstance(made, Command):
            return made
        return Command(stream_name(self.to, call.saga), made)


class Step:
    """One declared step: made by :func:`step` or :func:`asks`."""

    def __init__(self, act: Action, *, nothing_to_undo: bool) -> None:
        self.name, self.act = act.method.__name__, act
        self.undo: Action | None = None
        self.nothing_to_undo = nothing_to_undo

    def compensation(
        self,
        *,
        done: Kinds = (),
        refused: Kinds = (),
        to: str = "",
        timeout_seconds: float = TIMEOUT_SECONDS,
        retry: Retry | None = None,
    ) -> Callable[[Callable[..., Any]], Step]:
        """Mark the method that undoes this step.

        It must be idempotent, and harmless when the step never took effect: a step whose outcome
        is unknown is undone, too. ``done`` makes it a command whose answer is awaited.
        """
        retry = retry or Retry(attempts=UNDO_ATTEMPTS)

        def mark(method: Callable[..., Any]) -> Step:
            self.undo = Action(
                method,
                timeout_seconds,
                retry,
                _kinds(refused),
                _kinds(done),
                to or self.act.to,
            )
            return self

        return mark


def step(
    *,
    timeout_seconds: float = TIMEOUT_SECONDS,
    retry: Retry | None = None,
    refused: Kinds = (),
    nothing_to_undo: bool = False,
) -> Callable[[Callable[..., Awaitable[Any]]], Step]:
    """Mark a coroutine method as the next step: ``async def reserve(self, data, call)``.

    Args:
        timeout_seconds: how long one attempt may take.
        retry: attempts and pauses; five attempts unless said.
        refused: exceptions that mean no; besides :class:`StepRefused`. Any other exception, and
            the end of time, leave open whether the step took effect.
        nothing_to_undo: the step has no effect that would have to be compensated.
    """
    retry = retry or Retry()

    def mark(method: Callable[..., Awaitable[Any]]) -> Step:
        act = Action(method, timeout_seconds, retry, _kinds(refused))
        return Step(act, nothing_to_undo=nothing_to_undo)

    return mark


def asks(
    to: str,
    *,
    done: Kinds,
    refused: Kinds = (),
    timeout_seconds: float = TIMEOUT_SECONDS,
    retry: Retry | None = None,
    nothing_to_undo: bool = False,
) -> Callable[[Callable[..., Any]], Step]:
    """Mark a method as the next step, which sends a command: ``def reserve(self, data, call)``.

    The method returns the command, a registered event. It is appended with the saga's own facts
    to a stream of the category ``to``, and from there the relay takes it to the service.

    Args:
        to: category of the commands' streams (or return a :class:`Command` with its stream).
        done, refused: the events that answer it.
        timeout_seconds: how long an answer is awaited.
        retry: the command is sent once unless said: the outbox does not lose it.
    """
    retry = retry or Retry(attempts=1)

    def mark(method: Callable[..., Any]) -> Step:
        act = Action(method, timeout_seconds, retry, _kinds(refused), _kinds(done), to)
        return Step(act, nothing_to_undo=nothing_to_undo)

    return mark


class Saga(Generic[D]):
    """Steps across services, run by a coordinator. Subclass it; see docs/howto/sagas.md.

    ``name``: stable. ``version``: raise it when steps are added, removed, renamed or reordered,
    and keep the class of the older version while such sagas are open: each ends as it began.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    steps: ClassVar[Mapping[str, Step]] = {}
    """The steps by name, in order."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = {one.name: one for one in vars(cls).values() if isinstance(one, Step)}
        cls.steps = {**cls.steps, **own}

    def __init__(self) -> None:
        title = type(self).__name__
        if not isinstance(getattr(self, "name", None), str):
            raise SagaDefinitionError(f"{title} needs a name: name = 'fulfilment'")
        checked_name("saga", self.name, NAME_LENGTH_MAX)
        if "/" in self.name:
            raise SagaDefinitionError(f"saga {self.name!r}: a name has no '/' in it")
        if self.version < 1:
            raise SagaDefinitionError(f"saga {self.name!r}: version must be 1 or more")
        if not 1 <= len(self.steps) <= STEPS_MAX:
            raise SagaDefinitionError(
                f"saga {self.name!r} has {len(self.steps)} steps, not 1 to {STEPS_MAX}; mark its "
                "methods with @step() or @asks(...)"
            )
        for one in self.steps.values():
            self._check(one)
        self.step_names = tuple(self.steps)
        """The names of the steps in their order."""

    def _check(self, one: Step) -> None:
        where = f"saga {self.name!r}, step {one.name!r}"
        if one.name in RESERVED:
            raise SagaDefinitionError(f"{where}: the name is taken by Saga itself; take another")
        if one.undo is None and not one.nothing_to_undo:
            raise SagaDefinitionError(
                f"{where} has no compensation; mark one with @{one.name}.compensation(), or say "
                "nothing_to_undo=True"
            )
        for action in (one.act, one.undo):
            if action is None:
                continue
            if action.timeout_seconds <= 0 or action.retry.attempts < 1:
                raise SagaDefinitionError(f"{where}: timeout and attempts must be above 0")
            if action.asks and not action.to:
                raise SagaDefinitionError(f"{where}: say where its command goes, to='inventory'")

    def answers(self) -> frozenset[type]:
        """The classes of the answers that it waits for."""
        actions = [a for one in self.steps.values() for a in (one.act, one.undo) if a is not None]
        return frozenset(k for a in actions if a.asks for k in (*a.done, *a.refused))


def by_version(definitions: Sequence[Saga[Any]]) -> Mapping[str, Mapping[int, Saga[Any]]]:
    """The definitions by name and version.

    Raises:
        SagaDefinitionError: two have the same name and version.
    """
    found: dict[str, dict[int, Saga[Any]]] = {}
    for one in definitions:
        if one.version in found.setdefault(one.name, {}):
            raise SagaDefinitionError(
                f"two sagas are {one.name!r} version {one.version}; raise the version of the newer"
            )
        found[one.name][one.version] = one
    return found


def _kinds(given: Kinds) -> tuple[type, ...]:
    return given if isinstance(given, tuple) else (given,)
