"""The bank: its decisions, its HTTP application, and the demo that breaks it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from examples.bank.account import (
    BankRefused,
    CloseAccount,
    Deposit,
    OpenAccount,
    Withdraw,
    account,
)
from examples.bank.app import create_bank
from examples.bank.events import AccountClosed, AccountOpened, DepositApplied, MoneyWithdrawn
from examples.bank.ledger import Acknowledged, balance
from goldseam.testing import scenario

ROOT = Path(__file__).parents[2]
OPEN = AccountOpened(owner="Ann")


def test_an_account_is_opened_once() -> None:
    """And takes nothing before."""
    scenario(account).given().when(OpenAccount(owner="Ann")).then(OPEN)
    scenario(account).given(OPEN).when(OpenAccount(owner="Bob")).then_raises(BankRefused)
    scenario(account).given().when(Deposit(amount=5)).then_raises(BankRefused, match="no such open")


def test_money_comes_in_and_goes_out_within_the_balance() -> None:
    """The rule is checked against the facts, not against a number somebody stored."""
    history = (OPEN, DepositApplied(total_amount=50))
    scenario(account).given(*history).when(Withdraw(amount=50)).then(MoneyWithdrawn(amount=50))
    scenario(account).given(*history).when(Withdraw(amount=51)).then_raises(
        BankRefused, match="balance is 50, 51 was asked for"
    )
    for command in (Deposit(amount=0), Withdraw(amount=-1)):
        scenario(account).given(*history).when(command).then_raises(BankRefused, match="positive")


def test_a_closed_account_is_empty_and_stays_closed() -> None:
    """Closing needs a balance of nothing, and is for ever."""
    closed = AccountClosed(reason="moved away")
    scenario(account).given(OPEN).when(CloseAccount(reason="moved away")).then(closed)
    scenario(account).given(OPEN, DepositApplied(total_amount=1)).when(
        CloseAccount(reason="moved away")
    ).then_raises(BankRefused, match="must be 0")
    scenario(account).given(OPEN, closed).when(Deposit(amount=1)).then_raises(BankRefused)


@pytest.fixture
def bank(store_url: str) -> Iterator[TestClient]:
    with TestClient(create_bank(store_url), "http://localhost") as client:
        yield client


def test_the_application_honours_its_contract(bank: TestClient) -> None:
    """201 with a position, its own rules 409, 412, 422, 404, and reads of one's own writes."""
    opened = bank.post("/accounts/account-1/open", json={"owner": "<b>Ann</b>"})
    deposited = bank.post("/accounts/account-1/deposit", json={"amount": 500})
    seen = bank.get(
        "/accounts/account-1",
        params={"after": deposited.json()["token"]},
        headers={"Prefer": "wait=20"},
    )

    assert (201, 201) == (opened.status_code, deposited.status_code)
    assert (200, 500) == (seen.status_code, seen.json()["balance"])
    poor = bank.post("/accounts/account-1/withdraw", json={"amount": 501})
    stale = bank.post(
        "/accounts/account-1/deposit", json={"amount": 1}, headers={"If-Match": '"1"'}
    )
    wrong = bank.post("/accounts/account-1/deposit", json={"amount": "much"})
    more = bank.post("/accounts/account-1/deposit", json={"amount": 1, "tip": 2})
    verb = bank.post("/accounts/account-1/plunder", json={})
    statuses = [reply.status_code for reply in (poor, stale, wrong, more, verb)]
    assert [409, 412, 422, 422, 404] == statuses
    assert 404 == bank.get("/accounts/account-2").status_code


def test_the_page_shows_hostile_text_as_text(bank: TestClient) -> None:
    """An owner's name that is a script is shown, not run; the policy allows no script at all."""
    bank.post("/accounts/account-1/open", json={"owner": "<script>alert(1)</script>"})
    page = bank.get("/")

    assert "<script>" not in page.text
    assert "&lt;script&gt;" in page.text
    assert "script-src" not in page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_a_key_makes_a_command_safe_to_repeat(bank: TestClient) -> None:
    """One deposit, whatever happens to its answer."""
    bank.post("/accounts/account-1/open", json={"owner": "Ann"})
    key = {"Idempotency-Key": '"one"'}
    answers = [
        bank.post("/accounts/account-1/deposit", json={"amount": 5}, headers=key) for _ in range(3)
    ]
    other = bank.post("/accounts/account-1/deposit", json={"amount": 6}, headers=key)

    assert [2, 2, 2] == [answer.json()["position"] for answer in answers]
    assert 422 == other.status_code


@pytest.mark.timeout(180)
def test_the_demo_balances_its_ledger(tmp_path: Path) -> None:
    """``make demo`` in an empty folder: exit 0, every chapter told, the three columns equal."""
    done = subprocess.run(
        [sys.executable, "-m", "examples.bank.demo"],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False, timeout=170,
    )  # fmt: skip

    assert 0 == done.returncode, done.stdout + done.stderr
    for chapter in ("412", "Retry:", "503", "Rebuild:", "SIGKILL", "0 damaged", "browser"):
        assert chapter in done.stdout
    assert "The ledger balances: acknowledged = stored = projected." in done.stdout


def test_control_the_ledger_sees_a_loss(tmp_path: Path) -> None:
    """The same judge on a bank that forgot one acknowledged deposit says so."""
    import sqlite3

    path = tmp_path / "bank.db"
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE goldseam_events (position, stream, type, payload)")
        raw.execute("CREATE TABLE balances (account, balance, movements)")
        raw.execute(
            "INSERT INTO goldseam_events VALUES (1, 'account-1', 'DepositApplied', ?)",
            (b'{"amount": 5}',),
        )
        raw.execute("INSERT INTO balances VALUES ('account-1', 5, 1)")
    told = [Acknowledged("account-1", "DepositApplied", 5, 1)]

    assert [] == balance(path, told).problems
    assert balance(path, [*told, Acknowledged("account-1", "DepositApplied", 7, 2)]).problems
