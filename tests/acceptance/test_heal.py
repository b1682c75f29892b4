"""``goldseam heal`` as a user's script meets it, and its rows seen from outside."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from goldseam import NewEvent, open_store
from goldseam.resilience.clock import uuid7_bytes
from tests.crashes.outside import query
from tests.unit.healing.shop import Deposited, app

ROOT = Path(__file__).resolve().parents[2]
WHY = ("--reason", "Data entry error", "--ticket", "JIRA-567")
APP = ("--app", "tests.unit.healing.shop:app")
COUNT = "SELECT count(*) FROM goldseam_events"


def goldseam(*arguments: str, store: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "goldseam", *arguments, "--store", store],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def answered(*arguments: str, store: str) -> Any:
    done = goldseam(*arguments, *APP, "--json", store=store)
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


async def _filled(url: str, streams: int) -> list[UUID]:
    ids = [UUID(bytes=uuid7_bytes()) for _ in range(streams)]
    async with await open_store(url) as store:
        for n, one in enumerate(ids):
            await store.append(f"account-{n}", [NewEvent(Deposited(50), one)], expected=0)
    async with app.steering(url) as opened:
        for hosted in opened.projections.values():
            await hosted.runner.catch_up()
    return ids


def filled(url: str, streams: int = 1) -> list[str]:
    return [str(one) for one in asyncio.run(_filled(url, streams))]


def test_a_heal_shows_first_and_then_appends(store_url: str) -> None:
    """Old and new values of the event, the state, the rows of both projections; then the report."""
    (wrong,) = filled(store_url)
    command = ("heal", wrong, "--set", "amount=100", *WHY, "--by", "ada")
    account = ("--aggregate", "tests.unit.healing.shop:Account")
    looked = goldseam(*command, *APP, *account, "--dry-run", store=store_url)

    assert 0 == looked.returncode, looked.stderr
    for line in (
        "amount: 50 -> 100", "state of Account", "balance: 50 -> 100",
        "projection heal_totals (applied)", "projection heal_balances (re-projected)",
        "account=account-0: balance: 50 -> 100", "none registered",
    ):  # fmt: skip
        assert line in looked.stdout
    assert [(1,)] == query(store_url, COUNT)

    done = answered(*command, "--yes", store=store_url)
    assert ["heal_balances"] == done["reprojecting"]
    assert [{"field": "amount", "before": 50, "after": 100}] == done["healing"]["changes"]
    again = answered(*command, "--yes", store=store_url)
    assert again["healing"]["replayed"]
    assert [(2,)] == query(store_url, COUNT)
    (entry,) = answered("heal", "report", store=store_url)
    assert ("ada", "JIRA-567", wrong) == (
        entry["corrected_by"], entry["ticket"], entry["original_id"]
    )  # fmt: skip


def test_refusals_have_their_exit_codes(store_url: str) -> None:
    """4 refused, 2 what cannot be meant; nothing is appended and no trace is shown."""
    (wrong,) = filled(store_url)
    by = (*WHY, "--by", "ada", "--yes")
    missing = str(UUID(bytes=uuid7_bytes()))

    def heal(*arguments: str) -> subprocess.CompletedProcess[str]:
        return goldseam("heal", *arguments, *APP, store=store_url)

    for code, arguments in (
        (4, (missing, "--set", "amount=1", *by)),
        (4, (wrong, "--set", "amount=50", *by)),
        (2, (wrong, "--set", "amount=many", *by)),
        (2, (wrong, "--set", "amount", *by)),
        (2, (wrong, "--set", "colour=red", *by)),
        (2, ("evt-123", "--set", "amount=1", *by)),
        (2, (wrong, "--set", "amount=1", *WHY, "--by", "ada")),
        (2, (wrong, "--set", "amount=1", "--reason", "x", "--yes")),
        (2, (wrong, "--set", "amount=1", "--reason", " ", "--ticket", "J", "--yes")),
    ):
        done = heal(*arguments)
        assert code == done.returncode, (arguments, done.stderr)
        assert "Traceback" not in done.stderr
    assert [(1,)] == query(store_url, COUNT)
    assert 0 == heal(wrong, "--set", "amount=100", *by).returncode
    second = heal(wrong, "--set", "amount=60", *by)
    assert 4 == second.returncode
    assert "corrects it already" in second.stderr


def test_two_people(store_url: str) -> None:
    """propose, pending, approve by the same person (4), approve by another, decline."""
    (wrong,) = filled(store_url)
    made = answered(
        "heal", "propose", wrong, "--set", "amount=100", *WHY, "--by", "ada", store=store_url
    )
    (waiting,) = answered("heal", "pending", store=store_url)
    assert made == waiting
    same = goldseam("heal", "approve", made["id"], "--by", "Ada", *APP, store=store_url)
    assert 4 == same.returncode
    done = answered("heal", "approve", made["id"], "--by", "grace", store=store_url)
    assert "grace" == done["healing"]["approved_by"]
    assert [] == answered("heal", "pending", store=store_url)
    assert 4 == goldseam(
        "heal", "decline", made["id"], "--by", "ada", *APP, store=store_url
    ).returncode  # fmt: skip


@pytest.mark.parametrize("form", ["lines", "columns"])
def test_a_file_of_corrections(store_url: str, tmp_path: Path, form: str) -> None:
    """Dry run, run, run again; a refused row is exit code 1 and does not stop the rest."""
    ids = filled(store_url, 5)
    file = tmp_path / "wrong.csv"
    header, row = {
        "lines": ("event_id,field,value,reason,ticket", "{},amount,100,typo,JIRA-1"),
        "columns": ("event_id,reason,ticket,amount", "{},typo,JIRA-1,100"),
    }[form]
    file.write_text("\n".join([header, *(row.format(one) for one in ids)]), encoding="utf-8")
    bulk = ("heal", "bulk", str(file), "--by", "ada")

    assert {"would heal"} == {
        one["outcome"] for one in answered(*bulk, "--dry-run", store=store_url)
    }
    assert {"healed"} == {one["outcome"] for one in answered(*bulk, store=store_url)}
    assert {"already done"} == {one["outcome"] for one in answered(*bulk, store=store_url)}
    assert [(10,)] == query(store_url, COUNT)
    missing = row.format(UUID(bytes=uuid7_bytes()))
    file.write_text("\n".join([header, missing, row.format(ids[0])]), encoding="utf-8")
    done = goldseam(*bulk, *APP, store=store_url)
    assert 1 == done.returncode
    assert ["refused", "already done"] == [line.split("\t")[2] for line in done.stdout.splitlines()]


def test_the_application_carries_the_reprojection_out(store_url: str) -> None:
    """Both read models equal a recomputation once the application has run."""
    ids = filled(store_url, 3)
    for one in ids[:2]:
        answered("heal", one, "--set", "amount=100", *WHY, "--yes", store=store_url)

    async def carried_out() -> None:
        async with app.steering(store_url) as opened:
            await opened.projections["heal_balances"].rebuild()
            await opened.projections["heal_totals"].runner.catch_up()

    asyncio.run(carried_out())
    expected = [("account-0", 100), ("account-1", 100), ("account-2", 50)]
    for table in ("heal_totals", "heal_balances"):
        assert expected == sorted(query(store_url, f"SELECT account, balance FROM {table}"))
