"""Decisions as methods of a class: for those who like to write it so. A Decider underneath."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar, get_type_hints

from goldseam.commands.decider import Decider
from goldseam.errors import InvalidName

A = TypeVar("A", bound="Aggregate")


class Aggregate:
    """One thing that decides: methods check and ``record`` facts, ``evolve`` takes them in.

    Annotated class attributes are its state::

        class Account(Aggregate):
            balance: int = 0

            def withdraw(self, amount: int) -> None:
                if amount > self.balance:
                    raise InsufficientFunds(self.balance)
                self.record(MoneyWithdrawn(amount))

            def evolve(self, fact: object) -> None:
                match fact:
                    case MoneyWithdrawn(amount=amount):
                        self.balance -= amount

    ``snapshot_version`` is raised when ``evolve`` changes its meaning: older snapshots are then
    ignored.
    """

    snapshot_version: ClassVar[int] = 1
    _state: ClassVar[dict[str, Any]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        hints = get_type_hints(cls)
        mine = [name for name in hints if not _is_class_variable(cls, name)]
        missing = [name for name in mine if not hasattr(cls, name)]
        if missing:
            rule = "give it a value: an aggregate without facts has a state too"
            raise InvalidName("state of an aggregate", f"{cls.__name__}.{missing[0]}", rule)
        cls._state = {name: getattr(cls, name) for name in mine}

    def __init__(self) -> None:
        self._recorded: list[object] = []
        for name, value in self._state.items():
            setattr(self, name, copy.copy(value))

    def record(self, fact: object) -> None:
        """Something has happened: the state takes it in at once, the store afterwards."""
        self.evolve(fact)
        self._recorded.append(fact)

    def taken(self) -> tuple[object, ...]:
        """The facts recorded since the last call."""
        facts, self._recorded = tuple(self._recorded), []
        return facts

    def evolve(self, fact: object) -> None:
        """Take in one fact; must accept every fact ever recorded for this kind of thing."""
        raise TypeError(f"{type(self).__name__} has no evolve(fact) method; write one")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.state() == state_of(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.state().items())
        return f"{type(self).__name__}({fields})"

    def state(self) -> dict[str, Any]:
        """The annotated attributes and their values."""
        return {name: getattr(self, name) for name in self._state}


def state_of(aggregate: object) -> dict[str, Any]:
    """The state of an aggregate, for comparing."""
    assert isinstance(aggregate, Aggregate)
    return aggregate.state()


def _is_class_variable(kind: type, name: str) -> bool:
    if name.startswith("_"):
        return True
    for base in kind.__mro__:
        if name in getattr(base, "__annotations__", {}):
            return "ClassVar" in str(base.__annotations__[name])
    return False


Decision = Callable[[A], object]
"""What is to be done with an aggregate: ``lambda account: account.withdraw(50)``."""


def decider_of(kind: type[A]) -> Decider[Decision[A], A, object]:
    """The decider underneath an aggregate class: a command is a call on the aggregate."""

    def decide(decision: Decision[A], aggregate: A) -> Sequence[object]:
        working = copy.deepcopy(aggregate)
        decision(working)
        return working.taken()

    def evolve(aggregate: A, fact: object) -> A:
        aggregate.evolve(fact)
        return aggregate

    return Decider(
        kind(), decide, evolve, name=kind.__name__, snapshot_version=kind.snapshot_version
    )
