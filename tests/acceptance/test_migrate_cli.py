"""``goldseam migrate`` as an operator's script meets it: output, exit codes, nothing written."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.crashes.outside import query
from tests.migration.conftest import Pair, pair
from tests.migration.outside import check, events, log_rows, objects

__all__ = ["pair"]

ROOT = Path(__file__).resolve().parents[2]
RENAMED = "tests.migration.transforms:renamed"
MIXED = "tests.migration.transforms:mixed"


def goldseam(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    return subprocess.run(
        [sys.executable, "-m", "goldseam", *arguments], env=environment, cwd=ROOT,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def answered(*arguments: str) -> Any:
    done = goldseam(*arguments, "--json")
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def filled(pair: Pair) -> Pair:
    """A source with ten events."""
    assert 0 == goldseam("store", "apply", "--store", pair.source).returncode
    for n in range(2):
        for writer in range(5):
            data = json.dumps({"writer": writer, "number": n * 5 + writer, "note": "n"})
            command = ("stream", "append", f"tick-{writer}", "Ticked", data, "--expected", str(n))
            assert 0 == goldseam(*command, "--store", pair.source).returncode
    return pair


def test_from_a_dry_run_to_the_new_store(filled: Pair) -> None:
    """Dry run, run, status, verify, cutover, token: with --json each."""
    before = log_rows(filled.source), objects(filled.source)
    dry = answered("migrate", *filled, "--transform", MIXED, "--dry-run")
    assert {"Ticked v1": 10} == dry["before"]
    assert {"Counted v1": 2, "HalfTicked v1": 2, "OtherHalfTicked v1": 2, "Ticked v1": 4} == dry[
        "after"
    ]
    assert (10, 10, 2) == (dry["source_events"], dry["target_events"], dry["unchanged"])
    assert 3 == len(dry["sample"])

    copied = answered("migrate", *filled, "--transform", MIXED)
    assert (True, 0, None) == (copied["verified"], copied["lag"], copied["source_moved_to"])
    status = answered("migrate", "status", *filled)
    assert ("copying", 10, 10) == (
        status["migration"]["phase"], status["lag"] + 10, status["migration"]["source_position"],
    )  # fmt: skip
    assert answered("migrate", "verify", *filled, "--transform", MIXED)["ok"]
    assert before == (log_rows(filled.source), objects(filled.source))

    done = answered("migrate", "cutover", *filled, "--transform", MIXED)
    assert 0 < done["pause_seconds"] < 30
    again = answered("migrate", "cutover", *filled, "--transform", MIXED)
    assert done["target_position"] == again["target_position"]
    check(filled.source, filled.target, _mixed)

    old = json.loads(
        goldseam("stream", "read", "tick-1", "--store", filled.source, "--json").stdout
    )
    assert old
    refused = goldseam("migrate", "abort", *filled)
    assert 4 == refused.returncode
    assert "the target is the store" in refused.stderr


def _mixed(event: Any) -> Any:
    from tests.migration.outside import mixed

    return mixed(event)


def test_a_dry_run_shows_each_change_and_does_not_even_open_the_target(filled: Pair) -> None:
    """Before and after, line by line, as a diff is read; the target need not exist."""
    nowhere = "postgresql://nobody:hunter2@127.0.0.1:1/nothing"
    done = goldseam("migrate", filled.source, nowhere, "--transform", RENAMED, "--dry-run")

    assert 0 == done.returncode, done.stderr
    lines = done.stdout.splitlines()
    assert "10 events become 10; 0 stay as they are" == lines[0]
    assert '- tick-0 Ticked v1 {"writer":0,"number":0,"note":"n"}' in lines
    assert '+ tick-0 Counted v2 {"writer":0,"number":0,"note":"n","unit":"tick"}' in lines


def test_a_token_of_the_old_store_becomes_one_of_the_new(filled: Pair) -> None:
    """A foreign token is exit code 1, a forged one 2."""
    assert 0 == goldseam("migrate", *filled).returncode
    assert 0 == goldseam("migrate", "cutover", *filled).returncode
    store = query(filled.source, "SELECT id FROM goldseam_store")[0][0]
    from uuid import UUID

    from goldseam.events.positions import encode_token, parse_token

    old = encode_token(UUID(str(store)), 7)
    fresh = answered("migrate", "token", old, filled.target)
    target = UUID(str(query(filled.target, "SELECT id FROM goldseam_store")[0][0]))
    assert (7, 7) == (fresh["position"], parse_token(fresh["token"], target))
    assert 1 == goldseam("migrate", "token", fresh["token"], filled.target).returncode
    assert 2 == goldseam("migrate", "token", old[:-1] + "z", filled.target).returncode


def test_an_abort_opens_what_a_killed_cut_over_has_closed(filled: Pair) -> None:
    """The source refuses writes after the kill, and takes them after the abort."""
    before = log_rows(filled.source), objects(filled.source)
    assert 0 == goldseam("migrate", *filled).returncode
    _close(filled)
    write = ("stream", "append", "tick-9", "Ticked", "{}", "--expected", "any")
    assert 0 != goldseam(*write, "--store", filled.source).returncode
    done = goldseam("migrate", "abort", *filled)
    assert (0, "aborted; the source takes writes\n") == (done.returncode, done.stdout)
    assert before == (log_rows(filled.source), objects(filled.source))
    assert 0 == goldseam(*write, "--store", filled.source).returncode


def test_a_source_whose_target_is_lost_can_be_opened(filled: Pair) -> None:
    """Nobody can ask the target any more; the operator says so."""
    assert 0 == goldseam("migrate", *filled).returncode
    _close(filled)
    nowhere = "sqlite:////no/such/folder/x.db"
    assert 2 == goldseam("migrate", "abort", filled.source, nowhere).returncode
    lost = goldseam("migrate", "abort", filled.source, nowhere, "--target-is-lost")
    assert 0 == lost.returncode, lost.stderr
    assert 10 == len(events(filled.source))


def _close(filled: Pair) -> None:
    """What a cut-over that is killed in its pause leaves behind."""
    import asyncio
    from uuid import UUID

    from goldseam import open_store
    from goldseam.migration import fence

    async def close() -> None:
        target = UUID(str(query(filled.target, "SELECT id FROM goldseam_store")[0][0]))
        async with await open_store(filled.source) as source:
            await source.database.transact(lambda c: fence.put_up(c, target, "dead", 1))

    asyncio.run(close())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--transform", "no.such:thing"), 2, "cannot be imported"),
        (("--transform", "tests.migration.transforms:nothing"), 2, "cannot be imported"),
        (("--sample", "-1"), 2, "Invalid value"),
    ],
)
def test_usage_is_exit_2(arguments: tuple[str, ...], code: int, words: str, tmp_path: Path) -> None:
    """The line says what is wrong."""
    source = f"sqlite:///{tmp_path / 'a.db'}"
    goldseam("store", "apply", "--store", source)
    done = goldseam("migrate", source, f"sqlite:///{tmp_path / 'b.db'}", *arguments)
    assert code == done.returncode
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_target_in_use_is_refused_with_exit_4(filled: Pair) -> None:
    """Its own events are not mixed with those of another store."""
    goldseam("store", "apply", "--store", filled.target)
    write = ("stream", "append", "a-1", "Ticked", "{}", "--expected", "any")
    goldseam(*write, "--store", filled.target)
    done = goldseam("migrate", *filled)

    assert (4, "") == (done.returncode, done.stdout)
    assert "the target has events already" in done.stderr


def test_the_bar_is_for_terminals_only(tmp_path: Path) -> None:
    """On a terminal something moves on stderr; stdout is the same either way."""
    source = f"sqlite:///{tmp_path / 'a.db'}"
    goldseam("store", "apply", "--store", source)
    write = ("stream", "append", "a-1", "Ticked", "{}", "--expected", "any")
    goldseam(*write, "--store", source)
    command = [sys.executable, "-m", "goldseam", "migrate", source]
    quiet = goldseam("migrate", source, f"sqlite:///{tmp_path / 'b.db'}")
    assert "copying" not in quiet.stderr
    own, other = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "TERM": "xterm"}
    done = subprocess.run(
        [*command, f"sqlite:///{tmp_path / 'c.db'}"], stdout=subprocess.PIPE, stderr=other,
        env=environment, text=True, check=True, timeout=60,
    )  # fmt: skip
    os.close(other)
    assert b"copying" in os.read(own, 65_536)
    assert quiet.stdout == done.stdout
