"""What becomes of a lag, and how many members it takes."""

from __future__ import annotations

import pytest

from goldseam.consumers.lag import Lag, PartitionLag, Watch, trend
from goldseam.telemetry.signals import signals


def _lag(at: float, applied: int, produced: int, members: int = 1, partitions: int = 8) -> Lag:
    behind = produced - applied
    each = tuple(PartitionLag("t", n, 0, 0, 0, 0.0) for n in range(partitions))
    return Lag("billing", at, behind, 1.0 if behind else 0.0, applied, produced, members, each)


def test_a_growing_lag_never_ends_by_itself() -> None:
    """300 arrive, 100 are applied by one member: four are needed, with headroom."""
    found = trend(_lag(0, 0, 0), _lag(10, 1_000, 3_000))
    assert ("growing", None) == (found.direction, found.catch_up_seconds)
    assert (300.0, 100.0) == (found.arriving, found.applying)
    assert 4 == found.members_advised
    assert "scale out to 4" in found.advice


def test_never_more_members_than_partitions() -> None:
    """The ninth member of eight partitions would have nothing to do."""
    found = trend(_lag(0, 0, 0, partitions=2), _lag(10, 1_000, 30_000, partitions=2))
    assert 2 == found.members_advised
    assert "2 partition(s)" in found.advice


def test_a_shrinking_lag_says_when_it_is_gone() -> None:
    """1,000 behind, gaining 100 a second: ten seconds."""
    found = trend(_lag(0, 0, 2_000), _lag(10, 2_000, 3_000))
    assert ("shrinking", 10.0) == (found.direction, found.catch_up_seconds)
    assert 1 == found.members_advised


def test_without_lag_there_is_nothing_to_catch_up() -> None:
    """Whatever arrives is applied."""
    found = trend(_lag(0, 0, 0), _lag(10, 500, 500))
    assert ("steady", 0.0) == (found.direction, found.catch_up_seconds)


@pytest.mark.parametrize(("members", "words"), [(0, "no member"), (2, "nothing is applied")])
def test_more_members_do_not_help_what_stands_still(members: int, words: str) -> None:
    """A consumer that applies nothing has another illness."""
    found = trend(_lag(0, 0, 0, members), _lag(10, 0, 3_000, members))
    assert words in found.advice
    assert max(1, members) == found.members_advised


def test_the_watch_shows_the_time_to_catch_up() -> None:
    """In the signals; -1 says never."""
    watch = Watch()
    watch.see(_lag(0, 0, 0))
    watch.see(_lag(10, 1_000, 3_000))
    assert -1 == signals.value("goldseam_consumer_catch_up_seconds", consumer="billing")
