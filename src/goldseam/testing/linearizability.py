"""Is a recorded history linearizable? Wing and Gong's search with Lowe's memory of dead ends.

A history is a set of operations that overlapped in real time. It is linearizable if each can be
given one moment between its call and its return so that, done one after another at those moments,
a sequential model gives every answer that was really given. An operation whose answer was lost may
have happened at any moment after its call, or never.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from math import inf
from typing import Generic, NamedTuple, TypeVar

S = TypeVar("S", bound=Hashable)
I = TypeVar("I")  # noqa: E741 -- input and output, as the literature names them
O = TypeVar("O")  # noqa: E741


class Operation(NamedTuple, Generic[I, O]):
    """One call of a client, as the client saw it.

    ``called`` and ``returned`` are moments of one common clock in any unit; ``returned`` is
    infinite and ``output`` None where the answer never came.
    """

    input: I
    output: O | None
    called: float
    returned: float = inf

    @property
    def unknown(self) -> bool:
        """Whether its answer was lost."""
        return self.returned == inf


Step = Callable[[S, I], tuple[S, O]]
"""The sequential model: the state after an input, and the one answer it may give."""


def is_linearizable(history: Iterable[Operation[I, O]], initial: S, step: Step[S, I, O]) -> bool:
    """Whether some order of ``history`` within its real-time bounds satisfies the model.

    The search is exponential at worst; histories of a few hundred operations with a few
    overlapping at a time take milliseconds. Split what is independent (streams) beforehand.
    """
    return order_of(history, initial, step) is not None


def order_of(
    history: Iterable[Operation[I, O]], initial: S, step: Step[S, I, O]
) -> list[Operation[I, O]] | None:
    """An order that explains ``history``, or None if there is none."""
    operations = sorted(history, key=lambda one: one.called)
    known = sum(1 << n for n, one in enumerate(operations) if not one.unknown)
    done, state, dead = 0, initial, {(0, initial)}
    path: list[tuple[int, S]] = []
    tried = iter(_candidates(operations, done))
    while known & ~done:
        n = next(tried, None)
        if n is None:
            if not path:
                return None
            n, state = path.pop()  # the last choice leads nowhere: take the next one
            done ^= 1 << n
            tried = iter([m for m in _candidates(operations, done) if m > n])
            continue
        after, answer = step(state, operations[n].input)
        if operations[n].unknown:
            if after == state:
                continue  # to happen without a trace is not to happen
        elif answer != operations[n].output:
            continue
        mark = (done | 1 << n, after)
        if mark in dead:
            continue
        dead.add(mark)
        path.append((n, state))
        done, state = mark
        tried = iter(_candidates(operations, done))
    return [operations[n] for n, _ in path]


def _candidates(operations: Sequence[Operation[I, O]], done: int) -> list[int]:
    """What may come next: called before anything that is left has returned."""
    found: list[int] = []
    earliest = inf
    for n, one in enumerate(operations):
        if done >> n & 1:
            continue
        if one.called > earliest:
            break  # sorted by call: all later ones were called later still
        earliest = min(earliest, one.returned)
        found.append(n)
    return [n for n in found if operations[n].called <= earliest]
