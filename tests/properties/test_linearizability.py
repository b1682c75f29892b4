"""The store is linearizable: recorded histories of clients at work under faults, and the judge.

The judge is tested first: on histories known to be good and bad, and against trying every order.
Then clients append (with conflicts) and read through two stores while answers are lost and
connections cut, and their histories are judged.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import permutations
from math import inf
from urllib.parse import urlsplit

import pytest

from goldseam import EventStore, open_store
from goldseam.errors import CommitUnknown, StoreUnavailable
from goldseam.store.batch import Batch, Verdict
from goldseam.testing.linearizability import Operation, is_linearizable, order_of
from goldseam.testing.tcp_proxy import TcpProxy
from tests.faults.history import Log, Recorder, step
from tests.faults.ledger import stored

SEEDS = (1, 2, 3)
HISTORIES_LONG = 100
OPERATIONS = 200
CLIENTS = 6
EMPTY: Log = ()

Fault = Callable[[], Awaitable[None]]

# ------------------------------------------------------------------ the judge

Cell = Operation[int | None, int]
"""Of a register: an int writes it and answers with it, None reads it."""


def cell(state: int, given: int | None) -> tuple[int, int]:
    """The sequential register."""
    return (state, state) if given is None else (given, given)


GOOD: dict[str, list[Cell]] = {
    "nothing": [],
    "one after another": [Operation(1, 1, 0, 1), Operation(None, 1, 2, 3)],
    "a read beside a write sees the old": [Operation(1, 1, 0, 9), Operation(None, 0, 1, 2)],
    "a read beside a write sees the new": [Operation(1, 1, 0, 9), Operation(None, 1, 1, 2)],
    "a lost write that happened late": [
        Operation(1, None, 0),
        Operation(None, 0, 1, 2),
        Operation(None, 1, 3, 4),
    ],
    "a lost write that never happened": [Operation(1, None, 0), Operation(None, 0, 1, 2)],
    "two writers in the order of their ends": [
        Operation(1, 1, 0, 9),
        Operation(2, 2, 1, 3),
        Operation(None, 1, 10, 11),
    ],
}
BAD: dict[str, list[Cell]] = {
    "a stale read": [Operation(1, 1, 0, 1), Operation(None, 0, 2, 3)],
    "a value from nowhere": [Operation(None, 7, 0, 1)],
    "a write that is undone": [
        Operation(1, 1, 0, 1),
        Operation(None, 1, 2, 3),
        Operation(None, 0, 4, 5),
    ],
    "readers that disagree on the order": [
        Operation(1, 1, 0, 9),
        Operation(2, 2, 0, 9),
        Operation(None, 1, 10, 11),
        Operation(None, 2, 12, 13),
    ],
    "a lost write seen before its call": [Operation(None, 1, 0, 1), Operation(1, None, 2)],
    "a lost write that happens twice": [
        Operation(1, None, 0),
        Operation(None, 1, 1, 2),
        Operation(2, 2, 3, 4),
        Operation(None, 1, 5, 6),
    ],
}


@pytest.mark.parametrize("name", GOOD)
def test_the_judge_accepts_a_good_history(name: str) -> None:
    """There is an order, and it is one that explains the history."""
    assert is_linearizable(GOOD[name], 0, cell)


@pytest.mark.parametrize("name", BAD)
def test_control_the_judge_refuses_a_bad_history(name: str) -> None:
    """No order explains it."""
    assert not is_linearizable(BAD[name], 0, cell)


def _brute_force(history: list[Cell]) -> bool:
    """Every order of every choice of the lost operations."""
    known = [one for one in history if not one.unknown]
    lost = [one for one in history if one.unknown]
    for chosen in range(1 << len(lost)):
        some = [*known, *(one for n, one in enumerate(lost) if chosen >> n & 1)]
        if any(_explains(order) for order in permutations(some)):
            return True
    return False


def _explains(order: tuple[Cell, ...]) -> bool:
    state = 0
    for n, one in enumerate(order):
        if any(later.returned < one.called for later in order[n + 1 :]):
            return False
        state, answer = cell(state, one.input)
        if not one.unknown and answer != one.output:
            return False
    return True


def test_the_judge_agrees_with_trying_every_order() -> None:
    """On a thousand small random histories, good and bad, its verdict is the exhaustive one."""
    rng = random.Random(17)
    verdicts = []
    for _ in range(1_000):
        history: list[Cell] = []
        for _ in range(rng.randint(1, 5)):
            called = rng.randrange(8)
            lost = rng.random() < 0.25
            given = rng.choice([None, 1, 2])
            answer = rng.randrange(3) if given is None else given
            returned = inf if lost else called + rng.randint(1, 5)
            history.append(Operation(given, None if lost else answer, called, returned))
        verdicts.append(is_linearizable(history, 0, cell))
        assert _brute_force(history) == verdicts[-1], history
    assert 200 < sum(verdicts) < 800


# ------------------------------------------------------------------ the store


@asynccontextmanager
async def _stores(url: str, seed: object) -> AsyncIterator[tuple[list[EventStore], Fault]]:
    """Two stores that lose answers, as two processes would have them, and something to break."""
    rng = random.Random(f"fault {seed}")
    async with AsyncExitStack() as stack:
        if url.startswith("sqlite"):
            stores = [
                await stack.enter_async_context(await open_store(url, retry_seconds=0))
                for _ in range(2)
            ]
            for store in stores:
                _lose(store, rng)
            yield stores, _nothing
            return
        parts = urlsplit(url)
        assert parts.port is not None
        proxy = await stack.enter_async_context(TcpProxy("127.0.0.1", parts.port))
        through = url.replace(f":{parts.port}/", f":{proxy.port}/")
        stores = [
            await stack.enter_async_context(await open_store(through, retry_seconds=0))
            for _ in range(2)
        ]

        async def fault() -> None:
            which = rng.randrange(6)
            if which == 0:
                proxy.cut()
            elif which == 1:
                proxy.reset()
            else:
                proxy.lose_answer_to(b'"mark"')

        yield stores, fault
        proxy.heal()


async def _nothing() -> None:
    """SQLite has no network to break."""


def _lose(store: EventStore, rng: random.Random) -> None:
    """Some commits do not happen, some happen and their answer is lost."""
    send = store.database.append

    async def append(batch: Batch) -> list[Verdict]:
        fate = rng.random()
        if fate < 0.03:
            raise StoreUnavailable("not sent")
        verdicts = await send(batch)
        if fate < 0.1:
            raise CommitUnknown((), "the answer is lost")
        return verdicts

    store.database.append = append  # type: ignore[method-assign]


async def _recorded(url: str, seed: object) -> Recorder:
    async with _stores(url, seed) as (stores, fault):
        recorder = Recorder(stores, seed)
        await recorder.run(CLIENTS, OPERATIONS, fault)
        await recorder.end(stores[0])
    return recorder


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_recorded_history_is_linearizable(store_url: str, seed: int) -> None:
    """Appends with conflicts, reads of the whole log, lost answers: one order explains it all."""
    recorder = await _recorded(store_url, seed)
    print(f"seed {seed}: {len(recorder.history)} operations, {recorder.lost} answers lost")
    order = order_of(recorder.history, EMPTY, step)
    assert order is not None
    assert recorder.lost
    log = EMPTY
    for one in order:
        log, _ = step(log, one.input)
    assert [mark for _, mark in log] == [one.mark for one in stored(store_url)]


async def test_control_a_history_with_one_false_answer_is_refused(store_url: str) -> None:
    """The judge bites: the same recorded history with two answers exchanged has no order."""
    recorder = await _recorded(store_url, "control")
    puts = [
        n
        for n, one in enumerate(recorder.history)
        if one.output is not None and one.output[:1] == ("at",)
    ]
    first, last = puts[0], puts[-1]
    false = list(recorder.history)
    false[first] = false[first]._replace(output=recorder.history[last].output)
    false[last] = false[last]._replace(output=recorder.history[first].output)
    assert is_linearizable(recorder.history, EMPTY, step)
    assert not is_linearizable(false, EMPTY, step)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("seed", range(HISTORIES_LONG))
async def test_a_hundred_histories_are_linearizable(store_url: str, seed: int) -> None:
    """A hundred histories of 200 operations on each store."""
    recorder = await _recorded(store_url, f"long {seed}")
    assert is_linearizable(recorder.history, EMPTY, step), f"seed {seed}"
