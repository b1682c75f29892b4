"""``make demo`` on the first purchases of the file, and its judge's own control."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from examples.shop.demo import wrong_order
from examples.shop.ledger import Ledger, balance, look
from examples.shop.purchases import purchases
from examples.shop.settings import Settings

ROOT = Path(__file__).parents[2]
ORDERS = 250
CHAPTERS = (
    "Killed:", "Poison:", "Rebuild:", "Healing:", "Read your own write:", "503", "Forgetting:",
    "answers were lost", "Refusals:", f"orders in {ORDERS} = completed",
    "lost 0, effects doubled 0", "The ledger balances, to the cent.",
)  # fmt: skip


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The demo's folder, and what it said."""
    home = tmp_path_factory.mktemp("shop")
    done = subprocess.run(
        [sys.executable, "-m", "examples.shop.demo", "--once", "--orders", str(ORDERS)],
        cwd=home, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False, timeout=170,
    )  # fmt: skip
    assert 0 == done.returncode, done.stdout + done.stderr
    return home / "demo" / "shop", done.stdout


@pytest.fixture
def folder(played: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of the demo's folder that a test may damage."""
    copy = tmp_path / "copy"
    shutil.copytree(played[0], copy)
    return copy


def judged(folder: Path) -> Ledger:
    settings, bought = Settings(folder=folder), purchases(ORDERS)
    return balance(settings, bought, acknowledged(folder), wrong_order(bought))


def acknowledged(folder: Path) -> dict[str, int]:
    found = look(Settings(folder=folder)).by_order
    placed = [one for of in found.values() for one in of if one.type == "OrderPlaced"]
    return {one.data["order_id"]: one.position for one in placed}


@pytest.mark.timeout(180)
def test_the_demo_balances_its_ledger(played: tuple[Path, str]) -> None:
    """Every chapter told, every order accounted for, to the cent."""
    for chapter in CHAPTERS:
        assert chapter in played[1]
    assert judged(played[0]).balances


DOUBLE = """
INSERT INTO goldseam_events SELECT (SELECT max(position) FROM goldseam_events) + 1, {columns}
FROM goldseam_events WHERE type = 'PaymentProcessed' LIMIT 1
"""
LAST = """
DELETE FROM goldseam_events
WHERE position = (SELECT max(position) FROM goldseam_events WHERE type = '{kind}')
"""
DAMAGES = {
    "an effect doubled": ("payments", DOUBLE, "doubled"),
    "an order lost": ("orders", LAST.format(kind="OrderPlaced"), "lost"),
    "an answer lost": ("shipping", LAST.format(kind="ShipmentCreated"), "lost"),
    "a sum doubled": ("payments", "UPDATE takings SET cents_in = cents_in * 2", "problems"),
    "a count doubled": ("shipping", "UPDATE carriers SET parcels = parcels * 2", "problems"),
}
"""What somebody did to which service's books, and which figure must say so."""


def other_columns(raw: sqlite3.Connection) -> str:
    """Those of an event besides its position, for a copy with an id and a version of its own."""
    fresh = {"id": "randomblob(16)", "version": "version + 100"}
    names = [row[1] for row in raw.execute("PRAGMA table_info(goldseam_events)")]
    return ", ".join(fresh.get(name, name) for name in names if name != "position")


@pytest.mark.parametrize("damage", DAMAGES)
def test_control_the_ledger_sees_the_damage(folder: Path, damage: str) -> None:
    """The same judge on the same books, after somebody changed them."""
    service, statement, said = DAMAGES[damage]
    promised = acknowledged(folder)
    with sqlite3.connect(folder / f"{service}.db") as raw:
        triggers = raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (trigger,) in triggers:  # they keep events from being changed
            raw.execute(f"DROP TRIGGER {trigger}")
        raw.execute(statement.format(columns=other_columns(raw)))
    bought = purchases(ORDERS)
    ledger = balance(Settings(folder=folder), bought, promised, wrong_order(bought))

    assert not ledger.balances
    assert getattr(ledger, said)


def test_the_demo_empties_no_folder_of_yours(tmp_path: Path) -> None:
    """A folder that it did not make is left alone."""
    (tmp_path / "thesis.txt").write_text("years of work")
    done = subprocess.run(
        [sys.executable, "-m", "examples.shop.demo", "--folder", str(tmp_path)],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert 1 == done.returncode
    assert "no earlier demo made it" in done.stderr
    assert (tmp_path / "thesis.txt").exists()
