"""Decisions as pure functions: no I/O, no clock, no database."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E")


@dataclass(frozen=True)
class Decider(Generic[C, S, E]):
    """How one kind of thing decides.

    Args:
        initial: the state before the first fact.
        decide: ``(command, state)`` to the facts that follow, or an exception of your own that
            says why not. No facts means that there is nothing to do.
        evolve: ``(state, fact)`` to the next state. Must accept every fact ever recorded.
        name: names its snapshots; give one and keep it.
        snapshot_version: raise it when ``evolve`` changes its meaning: older snapshots are then
            ignored.
        state_type: the class of the state, needed only to keep snapshots.
    """

    initial: S
    decide: Callable[[C, S], Sequence[E]]
    evolve: Callable[[S, E], S]
    name: str = "decider"
    snapshot_version: int = 1
    state_type: type[S] | None = None

    def fold(self, facts: Iterable[E], state: S | None = None) -> S:
        """The state after ``facts``: from the beginning, or from a ``state`` that it may change."""
        current = copy.deepcopy(self.initial) if state is None else state
        for fact in facts:
            current = self.evolve(current, fact)
        return current
