"""The lint of handlers: it warns on adding to what is there, and only on that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from goldseam.cli.consumer_lint import lint
from goldseam.governance.handler_lint import RULE_PYTHON, RULE_SQL, RULE_WAIVER, lint_source

HANDLER = """
ADD = "UPDATE accounts SET balance = balance + :n WHERE id = :id"

class Balances:
    @handles(DepositApplied)
    async def deposited(self, event, rows):
        {body}
"""


def rules(body: str) -> list[str]:
    """The rules that a handler with this body breaks."""
    return [each.rule for each in lint_source(HANDLER.format(body=body)).found]


@pytest.mark.parametrize(
    "body",
    [
        'await rows.run("UPDATE accounts SET balance = balance - 50")',
        'await rows.run("update a set x = 1, balance = a.balance + :n where id = :id")',
        'await rows.run(f"UPDATE {table} SET n = n * 2")',
        "await rows.run(ADD)",
        'await rows.run("INSERT INTO a VALUES (1) ON CONFLICT (id) DO UPDATE SET n = a.n + 1")',
        'await rows.run("UPDATE a SET n = coalesce(n, 0) + 1")',
    ],
)
def test_sql_that_adds(body: str) -> None:
    """SQL that computes a column from itself is found wherever the text stands."""
    assert [RULE_SQL] == rules(body)


@pytest.mark.parametrize(
    "body",
    ["row.balance -= event.amount", "row['n'] += 1", "row.n = row.n + 1", "row.n = 1 + row.n"],
)
def test_python_that_adds(body: str) -> None:
    """Attributes and items that change by a difference are found."""
    assert [RULE_PYTHON] == rules(body)


@pytest.mark.parametrize(
    "body",
    [
        'await rows.run("UPDATE accounts SET balance = 450 WHERE id = 123")',
        'await rows.run("UPDATE accounts SET balance = :balance, version = :version")',
        'await rows.run("SELECT a FROM b WHERE balance = balance - 1")',
        "total += 1",
        "row.balance = event.balance_after",
    ],
)
def test_setting_the_result_is_fine(body: str) -> None:
    """What gives the same result twice is not found."""
    assert [] == rules(body)


def test_other_functions_are_not_judged() -> None:
    """Only handlers see an event twice."""
    report = lint_source("def add(row):\n    row.n += 1\n")
    assert (0, ()) == (report.handlers, report.found)


def test_a_waiver_needs_a_reason() -> None:
    """A comment with a reason waives its line; one without is a finding of its own."""
    (waived,) = lint_source(
        HANDLER.format(body="row.n += 1  # goldseam: not-idempotent because inbox dedups")
    ).found
    assert "inbox dedups" == waived.waived
    assert [RULE_WAIVER] == rules("row.n += 1  # goldseam: not-idempotent")


def test_command(tmp_path: Path) -> None:
    """Exit 1 and JSON or SARIF with findings, 0 when clean, 2 without handlers."""
    bad, good, none = (tmp_path / f"{name}.py" for name in ("bad", "good", "none"))
    bad.write_text(HANDLER.format(body="row.n += 1"))
    good.write_text(HANDLER.format(body="row.n = event.n"))
    none.write_text("x = 1\n")
    runner = CliRunner()
    found = runner.invoke(lint, [str(bad), "--json"])
    assert found.exit_code == 1
    assert [(RULE_PYTHON, 7)] == [
        (one["rule"], one["line"]) for one in json.loads(found.stdout)["findings"]
    ]
    sarif = runner.invoke(lint, [str(bad), "--sarif", "-"])
    assert "2.1.0" == json.loads(sarif.stdout)["version"]
    assert [0, 2, 2] == [
        runner.invoke(lint, [str(each)]).exit_code for each in (good, none, tmp_path / "gone.py")
    ]
