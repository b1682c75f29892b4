"""saga/half-done-transaction: the coordinator is killed at any step, and every order ends whole."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.faults.processes import program
from tests.faults.saga import Books

ORDERS = 3
REQUESTS = 4 + 4 + 6
"""Of two orders that are shipped, and one that is refused at the last step and undone."""

QUICK = (2, 4, 9)
LEASE_SECONDS = "0.5"


def _killed(what: str, url: str, books: Path, number: int, side: str) -> bool:
    """Run it with a SIGKILL at one request; whether that came."""
    of = (what, url, str(books), str(ORDERS), str(number), side, "SIGKILL", LEASE_SECONDS)
    with program("saga", *of) as one:
        words = one.line()
        return words != "done" and one.ended() == -signal.SIGKILL


def _ends(what: str, url: str, books: Path) -> None:
    with program("saga", what, url, str(books), str(ORDERS), "0", "before", "SIGKILL",
                 LEASE_SECONDS) as one:  # fmt: skip
        assert "done" == one.line()


async def _kill_at(url: str, folder: Path, number: int, side: str) -> None:
    books = folder / f"books-{side}{number}.db"
    assert await asyncio.to_thread(_killed, "saga", url, books, number, side)
    await asyncio.to_thread(_ends, "saga", url, books)
    Books(books).judge(ORDERS)


@pytest.mark.parametrize("number", QUICK)
async def test_killed_at_a_step_every_order_ends_whole(tmp_path: Path, number: int) -> None:
    """SIGKILL right after a service has acted; the next process goes on with the same key."""
    await _kill_at(f"sqlite:///{tmp_path}/store.db", tmp_path, number, "after")


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("number", range(1, REQUESTS + 1))
async def test_killed_at_every_request_on_each_database(
    store_url: str, tmp_path: Path, number: int, side: str
) -> None:
    """Before and after each of them."""
    await _kill_at(store_url, tmp_path, number, side)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
async def test_killed_again_and_again_it_still_ends(store_url: str, tmp_path: Path) -> None:
    """Each process lives until one of its sagas has moved on by a step, and not longer."""
    number = ORDERS + 1  # all of them ask at once, so the next request follows a stored answer
    books = tmp_path / "books.db"
    kills = 0
    while await asyncio.to_thread(_killed, "saga", store_url, books, number, "after"):
        kills += 1
        assert kills < 2 * REQUESTS
    assert kills >= ORDERS
    Books(books).judge(ORDERS)


@pytest.mark.parametrize("number", [2, 13])
async def test_control_without_a_saga_the_orders_are_half_done(tmp_path: Path, number: int) -> None:
    """One call after the other and undo in an `except`: killed, it leaves an order half done."""
    books = tmp_path / "books.db"
    assert await asyncio.to_thread(_killed, "naive", "none", books, number, "after")
    with pytest.raises(AssertionError, match="half done"):
        Books(books).judge(ORDERS)


async def test_control_without_its_keys_a_restart_does_it_twice(tmp_path: Path) -> None:
    """The same program, started again from the beginning."""
    books = tmp_path / "books.db"
    assert await asyncio.to_thread(_killed, "naive", "none", books, 3, "after")
    await asyncio.to_thread(_ends, "naive", "none", books)
    with pytest.raises(AssertionError, match="doubled"):
        Books(books).judge(ORDERS)
