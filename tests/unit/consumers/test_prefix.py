"""Commit only what is done without a hole."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from goldseam.consumers.prefix import Prefix


def test_a_hole_holds_the_commit_back() -> None:
    """Offset 5 is not done: nothing above it is committed until it is."""
    prefix = Prefix()
    for offset in (4, 5, 6, 9):
        prefix.begin(offset)
    prefix.done(4)
    prefix.done(6)
    prefix.done(9)
    assert 5 == prefix.next
    prefix.done(5)
    assert 10 == prefix.next
    assert 0 == len(prefix)


@given(st.lists(st.integers(0, 10_000), unique=True, min_size=1, max_size=60), st.integers())
def test_whatever_the_order_nothing_undone_lies_below(offsets: list[int], seed: int) -> None:
    """After each record that finishes, every offset below the committed one is finished."""
    prefix, order = Prefix(), sorted(offsets)
    for offset in order:
        prefix.begin(offset)
    finished: set[int] = set()
    shuffled = order.copy()
    Random(seed).shuffle(shuffled)
    for offset in shuffled:
        prefix.done(offset)
        finished.add(offset)
        if prefix.next is not None:
            assert {one for one in order if one < prefix.next} <= finished
    assert order[-1] + 1 == prefix.next
