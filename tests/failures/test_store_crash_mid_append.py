"""store/crash-mid-append: SIGKILL at random moments under load loses, invents and doubles nothing.

A process with 32 writing tasks is killed again and again; it reports each step to a file before
the next. What it was told is compared with what is stored, from outside.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.faults import naive_writer
from tests.faults.ledger import ledger, problems, stored
from tests.faults.processes import program

KILLS = 8
KILLS_LONG = 200
SEED = 20_260_714
LIFE_SECONDS_MAX = 0.25
"""A life long enough for hundreds of commits; the kill falls anywhere in it."""


def _killed_again_and_again(url: str, path: Path, kills: int) -> list[str]:
    """The problems after ``kills`` kills and one last life in peace."""
    rng = random.Random(SEED)
    for life in range(kills):
        with program("writer", url, str(path), "--life", str(life), "--seed", str(SEED)) as writer:
            assert writer.line() == "ready"
            time.sleep(rng.random() * LIFE_SECONDS_MAX)
            writer.kill()
    last = ("--life", "last", "--seed", str(SEED), "--appends", "50")
    with program("writer", url, str(path), *last) as writer:
        assert 0 == writer.ended()
    sent, log = ledger([path]), stored(url)
    acked = sum(bool(one.answers) for one in sent.values())
    print(f"seed {SEED}: {kills} kills, {len(sent)} appends sent, {acked} acknowledged, {len(log)}")
    assert acked > kills
    assert any(one.refused for one in sent.values())
    assert not [one.name for one in sent.values() if one.open and not one.doomed]
    return problems(sent, log)


@pytest.mark.timeout(120)
def test_sigkill_under_load_loses_invents_and_doubles_nothing(
    store_url: str, tmp_path: Path
) -> None:
    """After every kill the acknowledged is there once, the rejected is not, the log has no hole."""
    assert [] == _killed_again_and_again(store_url, tmp_path / "ledger", KILLS)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_two_hundred_kills(store_url: str, tmp_path: Path) -> None:
    """The same, two hundred times on each store."""
    assert [] == _killed_again_and_again(store_url, tmp_path / "ledger", KILLS_LONG)


@pytest.mark.parametrize(
    ("way", "problem"),
    [
        ("torn", "torn: m has 1 of 2 events"),
        ("early", "lost: m was acknowledged at (1, 2) and is not stored"),
        ("again", "duplicate: m.1 is stored 2 times"),
    ],
)
def test_control_a_writer_without_the_store_is_caught(
    store_url: str, tmp_path: Path, way: str, problem: str
) -> None:
    """Two transactions for one append, an answer before the commit, new ids for a retry."""
    path = tmp_path / "ledger"
    naive_writer.create(store_url)
    with program("naive_writer", store_url, str(path), way) as writer:
        assert (0 if way == "again" else -9) == writer.ended()
    found = problems(ledger([path]), stored(store_url, naive_writer.TABLE))
    assert problem in found
