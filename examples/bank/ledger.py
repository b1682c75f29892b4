"""The proof from outside: what was acknowledged, what is stored, what is shown, by plain SQL.

Nothing of goldseam is imported: the files are opened with sqlite3, as an auditor would.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from pathlib import Path
from typing import NamedTuple


class Acknowledged(NamedTuple):
    """A write that the bank has answered with 201."""

    account: str
    kind: str
    amount: int
    position: int


class Ledger(NamedTuple):
    """The three columns that must agree, and what was found wrong."""

    acknowledged: int
    stored: int
    projected: int
    acknowledged_cents: int
    stored_cents: int
    projected_cents: int
    positions: int
    missing_positions: int
    problems: list[str]


def balance(path: Path, acknowledged: list[Acknowledged]) -> Ledger:
    """Compare the three columns account by account."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as raw:
        events = raw.execute(
            "SELECT position, stream, type, CAST(payload AS TEXT) FROM goldseam_events"
        ).fetchall()
        rows = raw.execute("SELECT account, balance, movements FROM balances").fetchall()
    stored, stored_cents = Counter[str](), Counter[str]()
    at: dict[int, tuple[str, str, int]] = {}
    for position, stream, kind, payload in events:
        amount = _cents(json.loads(payload))
        at[position] = (stream, kind, amount)
        stored[stream] += kind in _MOVEMENTS
        stored_cents[stream] += _SIGNS.get(kind, 0) * amount
    shown = {account: (movements, cents) for account, cents, movements in rows}
    problems = _acknowledged_but_not_stored(acknowledged, at)
    sent = Counter(one.account for one in acknowledged if one.kind in _MOVEMENTS)
    sent_cents = Counter[str]()
    for one in acknowledged:
        sent_cents[one.account] += _SIGNS.get(one.kind, 0) * one.amount
    accounts = {one for one in {*stored, *shown, *sent} if one.startswith("account-")}
    for account in sorted(accounts):
        columns = {
            "acknowledged": (sent[account], sent_cents[account]),
            "stored": (stored[account], stored_cents[account]),
            "projected": shown.get(account, (0, 0)),
        }
        if len(set(columns.values())) != 1:
            problems.append(f"{account}: {columns}")
    return Ledger(
        sum(sent.values()),
        sum(stored.values()),
        sum(movements for movements, _ in shown.values()),
        sum(sent_cents.values()),
        sum(stored_cents.values()),
        sum(cents for _, cents in shown.values()),
        len(at),
        max(at, default=0) - len(at),
        problems,
    )


def _acknowledged_but_not_stored(
    acknowledged: list[Acknowledged], at: dict[int, tuple[str, str, int]]
) -> list[str]:
    wrong = [one for one in acknowledged if at.get(one.position) != (one[0], one[1], one[2])]
    return [f"acknowledged at {one.position} but not stored there: {one}" for one in wrong]


def _cents(fields: dict[str, int]) -> int:
    """An amount as three years wrote it: amount, then totalAmount; of a correction, the change."""
    if "correctedAmount" in fields:
        return fields["correctedAmount"] - fields["originalAmount"]
    return fields.get("totalAmount", fields.get("amount", 0))


_MOVEMENTS = ("DepositApplied", "MoneyWithdrawn")
_SIGNS = {"DepositApplied": 1, "MoneyWithdrawn": -1, "DepositCorrected": 1}
