"""The judge of the fault tests bites: each kind of damage is named, and peace is silent."""

from __future__ import annotations

import pytest

from tests.faults.ledger import Sent, Stored, problems


def _sent(**changed: object) -> dict[str, Sent]:
    one = Sent("one", "s-1", ["a", "b"], ["1", "2"], answers=[(1, 2)])
    for name, value in changed.items():
        setattr(one, name, value)
    return {"one": one}


LOG = [Stored(1, "s-1", 1, "a"), Stored(2, "s-1", 2, "b")]


def test_a_log_that_keeps_every_promise_has_no_problem() -> None:
    """Also when an answer was never given."""
    assert [] == problems(_sent(), LOG)
    assert [] == problems(_sent(answers=[]), LOG)
    assert [] == problems(_sent(answers=[]), [])


@pytest.mark.parametrize(
    ("kind", "sent", "log"),
    [
        ("lost", _sent(), []),
        ("torn", _sent(), LOG[:1]),
        ("torn", _sent(), [LOG[0], Stored(2, "s-2", 1, "x"), Stored(3, "s-1", 2, "b")]),
        ("misplaced", _sent(answers=[(5, 6)]), LOG),
        ("misplaced", _sent(answers=[(1, 2), (3, 4)]), LOG),
        ("phantom", _sent(refused=True, answers=[]), LOG),
        ("phantom", _sent(doomed=True, answers=[]), LOG),
        ("phantom", {}, LOG),
        ("duplicate", _sent(), [*LOG, Stored(3, "s-1", 3, "a")]),
        ("gap", _sent(), [LOG[0], Stored(3, "s-1", 2, "b")]),
        ("version", _sent(), [LOG[0], Stored(2, "s-1", 3, "b")]),
    ],
)
def test_control_each_damage_is_named(kind: str, sent: dict[str, Sent], log: list[Stored]) -> None:
    """Lost, torn, misplaced, phantom, duplicate, a gap in the log, a hole in a stream."""
    assert kind in {problem.partition(":")[0] for problem in problems(sent, log)}
