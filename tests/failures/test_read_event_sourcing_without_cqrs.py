"""read/event-sourcing-without-cqrs: state straight from the log, never behind, no read model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from examples.event_sourcing_without_cqrs.__main__ import current, history, main
from examples.event_sourcing_without_cqrs.loan import BookLent, Loan
from goldseam import Goldseam, Projection, Recorded, handle, handles, open_store
from goldseam.projections.connection import ProjectionConnection
from tests.projections.bank import Outside

ROOT = Path(__file__).resolve().parents[2]


class Lent(Projection):
    """A read model of loans, for the control."""

    name = "lent"
    tables = "CREATE TABLE {lent} (book TEXT PRIMARY KEY)"

    @handles(BookLent)
    async def lent(self, fact: Recorded[BookLent], db: ProjectionConnection) -> None:
        await db.execute("INSERT INTO {lent} VALUES (:book)", {"book": fact.data.book})


async def test_the_state_is_folded_from_the_stream_and_needs_no_table(store_url: str) -> None:
    """After every command the loan is as the command left it; the database has no read model."""
    loan = await main(store_url)
    assert ("Dune", 21, True) == (loan.book, loan.days, loan.is_returned)
    assert [(3,)] == Outside(store_url).query("SELECT count(*) FROM goldseam_events")
    async with await open_store(store_url) as store:
        assert [
            "1. library.BookLent",
            "2. library.LoanExtended",
            "3. library.BookReturned",
        ] == await history(store, "loan-1")
        with pytest.raises(ValueError, match="back already"):
            await handle(store, Loan, "loan-1", lambda one: one.give_back(21))


async def test_control_a_projection_of_the_same_log_may_lag(store_url: str) -> None:
    """What is spared: a read model that stands still is old, the folded stream is not."""
    async with Goldseam(store_url, [Lent()], run=False) as app:
        await app.handle(Loan, "loan-9", lambda one: one.lend("Emma", "bob", 14))
        assert [] == await app.fetch("lent", "SELECT * FROM lent")
        assert "Emma" == (await current(app.store, "loan-9")).book


def test_the_example_runs_as_a_program() -> None:
    """``python -m examples.event_sourcing_without_cqrs`` needs nothing but itself."""
    done = subprocess.run(
        [sys.executable, "-m", "examples.event_sourcing_without_cqrs"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (0, "") == (done.returncode, done.stderr)
    assert "ada may keep Dune for 21 days" in done.stdout
