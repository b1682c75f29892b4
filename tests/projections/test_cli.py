"""``goldseam projections``: what an operator sees and steers, with exit codes and JSON."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from goldseam import ANY, Goldseam
from goldseam.cli.nouns import cli
from tests.projections.bank import POISON, Balances, DepositApplied, Movements, Outside

MENDED = [Balances, Movements]


class Broken(Balances):
    """The same projection with its bug."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = True


def run(url: str, *words: str, app: str = "MENDED") -> Result:
    """``goldseam projections`` with these words, on this store."""
    noun, *rest = words
    where = ["--app", f"tests.projections.test_cli:{app}", "--store", url]
    return CliRunner().invoke(cli, ["projections", noun, *rest, *where])


def shown(url: str, *words: str) -> Any:
    """The JSON that a command prints, if it ends well."""
    result = run(url, *words, "--json")
    assert 0 == result.exit_code, result.output
    return json.loads(result.stdout)


@pytest.fixture
def poisoned(store_url: str) -> str:
    """A store whose balances have parked two events of account-1."""

    async def fill() -> None:
        async with Goldseam(store_url, [Broken(), Movements()]) as app:
            for amount in (1, POISON, 2):
                await app.store.append("account-1", [DepositApplied(amount)], expected=ANY)
            done = await app.store.append("account-2", [DepositApplied(3)], expected=ANY)
            for name in ("balances", "movements"):
                await app.fetch(name, "SELECT 1", after=done.token, wait=20, sequence="account-2")

    asyncio.run(fill())
    return store_url


def test_list_and_status_say_where_projections_stand(poisoned: str) -> None:
    """Position, lag in events and seconds, what is parked; as a table and as JSON."""
    found = {one["name"]: one for one in shown(poisoned, "list")}
    assert [4, 4] == [found[name]["lag"]["position"] for name in ("balances", "movements")]
    assert [2, 0] == [found[name]["lag"]["parked_events"] for name in ("balances", "movements")]
    table = run(poisoned, "list").stdout.splitlines()
    assert ["projection", "state", "position"] == table[0].split()[:3]
    status = shown(poisoned, "status", "balances")
    assert ("running", 1, False) == (
        status["state"],
        status["generation"],
        status["can_roll_back"],
    )


def test_parked_events_are_listed_retried_and_given_up(poisoned: str) -> None:
    """Exit code 1 while a sequence is stopped, 0 when it flows again."""
    parked = run(poisoned, "parked", "balances", "--json")
    assert 1 == parked.exit_code
    assert [2, 3] == [one["position"] for one in json.loads(parked.stdout)]
    assert 1 == run(poisoned, "retry", "balances", app="Broken").exit_code
    discarded = run(poisoned, "discard", "balances", "--sequence", "account-9", "--reason", "x")
    assert 1 == discarded.exit_code
    assert [2] == [one["applied"] for one in shown(poisoned, "retry", "balances")]
    assert [] == shown(poisoned, "parked", "balances")
    rows = Outside(poisoned).query("SELECT balance FROM balances WHERE account = 'account-1'")
    assert [(3 + POISON,)] == rows


def test_discard_keeps_the_reason(poisoned: str) -> None:
    """What is given up stays on record."""
    words = ["discard", "balances", "--sequence", "account-1", "--reason", "asked"]
    assert 2 == shown(poisoned, *words)["discarded"]
    kept = Outside(poisoned).query("SELECT resolution, reason FROM goldseam_parked")
    assert [("discarded", "asked")] * 2 == kept


def test_pause_resume_rebuild_rollback_reset(poisoned: str) -> None:
    """Every verb does what it says, seen from outside."""
    assert "paused" == shown(poisoned, "pause", "balances")["state"]
    assert "running" == shown(poisoned, "resume", "balances")["state"]
    result = run(poisoned, "rebuild", "movements", "--progress")
    assert 0 == result.exit_code, result.output
    assert "100.0 %" in result.stderr
    assert 2 == shown(poisoned, "status", "movements")["generation"]
    assert 3 == shown(poisoned, "rollback", "movements")["generation"]
    assert {"aborted": False} == shown(poisoned, "rebuild", "movements", "--abort")
    assert 2 == run(poisoned, "reset", "movements").exit_code
    assert 0 == shown(poisoned, "reset", "movements", "--yes")["position"]
    assert [(0,)] == Outside(poisoned).query("SELECT count(*) FROM movements")


def test_exit_codes_tell_what_is_wrong(poisoned: str) -> None:
    """2 for what was typed wrong, 1 for a checkpoint that cannot be trusted, 3 for no database."""
    assert 2 == run(poisoned, "status", "nobody").exit_code
    assert 2 == run(poisoned, "list", app="nobody").exit_code
    assert 2 == run(poisoned, "list", app="POISON").exit_code
    assert 3 == run("postgresql://nobody@127.0.0.1:1/none", "list").exit_code
    Outside(poisoned).query("UPDATE goldseam_checkpoints SET position = 1 WHERE position = 4")
    assert 1 == run(poisoned, "list").exit_code
    assert 1 == run(poisoned, "status", "balances").exit_code
    assert 0 == run(poisoned, "rebuild", "balances").exit_code
    assert 0 == run(poisoned, "status", "balances").exit_code
