"""saga/stuck-saga: no answer, a coordinator that died or froze; every saga still ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from goldseam import EventStore, open_store
from goldseam.sagas.facts import StepCompleted, StepUndone
from tests.faults.processes import Program, program
from tests.faults.saga import Books
from tests.support.hand_clock import HandClock
from tests.unit.sagas.services import ALWAYS, STEPS, Services, Trouble
from tests.unit.sagas.world import STYLES, World

ORDERS = 2
LEASE_SECONDS = "1"


def _frozen(one: Program) -> None:
    """Until it has stopped itself."""
    pid = one._process.pid
    while os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT) is None:
        pass


def _overtaken(url: str, books: Path, number: int) -> str:
    """One coordinator freezes in mid-step; another ends its sagas; then it wakes up."""
    of = ("saga", url, str(books), str(ORDERS))
    with program("saga", *of, str(number), "after", "SIGSTOP", LEASE_SECONDS) as first:
        _frozen(first)
        with program("saga", *of, "0", "after", "SIGKILL", LEASE_SECONDS) as second:
            assert "done" == second.line()
            os.kill(first._process.pid, signal.SIGCONT)
            return first.line()


async def _facts(url: str) -> Counter[tuple[str, str, str]]:
    """How often each step of each saga was completed or undone."""
    async with await open_store(url) as store:
        return Counter(
            (one.stream, type(one.data).__name__, one.data.step)
            for one in await store.read_all()
            if isinstance(one.data, StepCompleted | StepUndone)
        )


@pytest.mark.parametrize("number", [2])
async def test_frozen_past_its_lease_it_is_overtaken_and_fenced(
    store_url: str, tmp_path: Path, number: int
) -> None:
    """SIGSTOP in a step, past the lease; woken up, it writes nothing more and ends as well."""
    books = tmp_path / "books.db"
    assert "done" == await asyncio.to_thread(_overtaken, store_url, books, number)
    Books(books).judge(ORDERS)
    assert {1} == set((await _facts(store_url)).values())


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("number", range(1, 9))
async def test_frozen_at_every_step(store_url: str, tmp_path: Path, number: int) -> None:
    """At each request of the first two orders."""
    books = tmp_path / "books.db"
    assert "done" == await asyncio.to_thread(_overtaken, store_url, books, number)
    Books(books).judge(ORDERS)
    assert {1} == set((await _facts(store_url)).values())


@pytest.fixture
def clock() -> HandClock:
    """Of the store and the sagas."""
    return HandClock()


@pytest.mark.parametrize("style", STYLES)
async def test_a_step_that_never_answers_has_a_deadline(
    tmp_path: Path, clock: HandClock, style: str
) -> None:
    """So often, so long, and then the order is undone: neither confirmed nor cancelled is over."""
    for number, action in enumerate(STEPS):
        store: EventStore = await open_store(f"sqlite:///{tmp_path}/{number}.db", clock=clock)
        async with store:
            world = World(store, clock, style, Services({action: Trouble("timeout", ALWAYS)}))
            assert "compensated" == await world.run()
            world.services.judge("compensated", world.saga)


async def test_control_without_a_deadline_it_waits_for_ever(
    tmp_path: Path, clock: HandClock
) -> None:
    """The answer is lost and nobody looks at the clock: the saga stands where it stood."""
    async with await open_store(f"sqlite:///{tmp_path}/store.db", clock=clock) as store:
        world = World(store, clock, "asked", Services({"charge": Trouble("timeout", ALWAYS)}))
        process = world.process()
        await process.lead()
        await world.begin(process)
        for _ in range(10):
            await world.post.carry(process.desk)
        clock.seconds += 86_400
        for _ in range(10):
            await world.post.carry(process.desk)
        state = (await process.desk.load(world.saga)).state
        assert ("running", "charge") == (state.status, state.doing(world.definition))
        assert ["place", "reserve"] == world.services.standing()


async def test_control_two_that_believe_to_lead_do_it_twice(tmp_path: Path) -> None:
    """Without lease, fence and keys: the frozen one wakes up and charges once more."""
    books = tmp_path / "books.db"

    def overtaken() -> None:
        of = ("naive", "none", str(books), str(ORDERS))
        with program("saga", *of, "2", "after", "SIGSTOP") as first:
            _frozen(first)
            with program("saga", *of) as second:
                assert "done" == second.line()
            os.kill(first._process.pid, signal.SIGCONT)
            assert "done" == first.line()

    await asyncio.to_thread(overtaken)
    with pytest.raises(AssertionError, match="doubled"):
        Books(books).judge(ORDERS)
