"""projection/crash-between-rows-and-checkpoint: killed at any moment, all is applied once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from goldseam import ANY, Goldseam
from goldseam.projections.checkpoint import load
from goldseam.projections.source import Page
from goldseam.projections.transaction import PageTransaction
from tests.projections.bank import DepositApplied, Movements, Outside

ROOT = Path(__file__).resolve().parents[2]
EVENTS = 2_000
KILLS = 6
KILL_SECONDS_MAX = 0.12
SEED = 11


async def _fill(url: str) -> None:
    async with Goldseam(url, [Movements()], run=False) as app:
        for n in range(10):
            facts = [DepositApplied(1)] * (EVENTS // 10)
            await app.store.append(f"account-{n}", facts, expected=ANY)


def _run_and_kill(work: str, url: str, random: Random | None) -> bool:
    """Run the child; kill it a moment after it has begun. Whether it was killed."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.projections.child", work, url],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    with child:
        assert "begun\n" == child.stdout.readline()
        if random is not None:
            time.sleep(random.random() * KILL_SECONDS_MAX)
            child.send_signal(signal.SIGKILL)
        child.wait(60)
    return child.returncode == -signal.SIGKILL


def _prove(url: str) -> None:
    """Every event has one row, in the order of the log, and the checkpoint is at its end."""
    outside = Outside(url)
    rows = outside.query("SELECT position FROM movements ORDER BY n")
    assert [(position,) for position in range(1, EVENTS + 1)] == rows
    where = "SELECT position FROM goldseam_checkpoints WHERE role = 'live'"
    assert [(EVENTS,)] == outside.query(where)


async def test_killed_while_it_applies_it_goes_on_without_loss_or_repetition(
    store_url: str,
) -> None:
    """SIGKILL at random moments; at each of them rows and checkpoint agree, seen from outside."""
    print(f"seed {SEED}")
    random = Random(SEED)
    await _fill(store_url)
    killed = 0
    for _ in range(KILLS):
        killed += _run_and_kill("follow", store_url, random)
        outside = Outside(store_url)
        position = outside.query("SELECT position FROM goldseam_checkpoints")[0][0]
        assert [(position,)] == outside.query("SELECT count(*) FROM movements")
    assert killed > 0
    assert not _run_and_kill("follow", store_url, None)
    _prove(store_url)


async def test_killed_during_a_rebuild_the_live_rows_stay_and_the_rebuild_goes_on(
    store_url: str,
) -> None:
    """Readers see complete rows at every moment; the next driver finishes what was begun."""
    print(f"seed {SEED}")
    random = Random(SEED)
    await _fill(store_url)
    assert not _run_and_kill("follow", store_url, None)
    killed, positions = 0, [0]
    for _ in range(KILLS):
        killed += _run_and_kill("rebuild", store_url, random)
        outside = Outside(store_url)
        assert [(EVENTS,)] == outside.query("SELECT count(*) FROM movements")
        building = outside.query(
            "SELECT position FROM goldseam_checkpoints WHERE role = 'building'"
        )
        if not building:
            break
        positions.append(building[0][0])
    assert killed > 0
    assert sorted(positions) == positions
    assert not _run_and_kill("rebuild", store_url, None)
    _prove(store_url)


async def _crash_after_the_rows(url: str, *, together: bool) -> list[tuple[Any, ...]]:
    """A crash after a page's rows and before its checkpoint, then a restart; the row count."""

    class Crash(BaseException):
        """The process ends here."""

    async with Goldseam(url, [Movements()], run=False) as app:
        await app.store.append("account-1", [DepositApplied(1)] * 5, expected=ANY)
        hosted = app.projections["movements"]
        one = (await hosted.database.read(lambda c: load(c, "movements")))["live"]
        page = Page(await app.store.read_all(), 5)
        apply = PageTransaction(hosted.applier.job, one, page)

        async def rows_only(connection: Any) -> None:
            await apply._apply(connection, apply._db(connection, page), page.events)

        async def rows_then_crash(connection: Any) -> None:
            await apply(connection)
            raise Crash

        if together:
            with pytest.raises(Crash):
                await hosted.database.transact(rows_then_crash)
        else:
            await hosted.database.transact(rows_only)  # and the process ends before the checkpoint
        await hosted.runner.catch_up()
    return Outside(url).query("SELECT count(*) FROM movements")


async def test_rows_and_checkpoint_go_together(store_url: str) -> None:
    """One transaction: after the crash the page is applied once."""
    assert [(5,)] == await _crash_after_the_rows(store_url, together=True)


async def test_control_rows_in_a_transaction_of_their_own_are_applied_twice(
    store_url: str,
) -> None:
    """The same crash when the checkpoint is written afterwards: the damage shows."""
    assert [(10,)] == await _crash_after_the_rows(store_url, together=False)
