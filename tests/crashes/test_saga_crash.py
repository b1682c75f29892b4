"""saga/half-done-transaction: a crash of the coordinator at every await, and it ends all the same.

Each saga is run once for every await of its coordinator (its appends, its reads, its calls) and
each side of it, dies there, and is taken up by the next process. Judged from the services' books.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress

import pytest

from goldseam import EventStore
from goldseam.testing.faults import SIDES, Crash, CrashPoint, crash_points
from tests.support.hand_clock import HandClock
from tests.unit.sagas.services import ALWAYS, KINDS, STEPS, UNDO, Services, Trouble
from tests.unit.sagas.world import STYLES, World, open_world_store

QUICK_EVERY = 5
"""In the quick suite every fifth await; all of them in the long one."""

AWAITS_MAX = 400
Troubles = Mapping[str, Trouble]

WELL: Troubles = {}
BACK: Troubles = {"ship": Trouble("refuse", ALWAYS), "release": Trouble("error")}
STUCK: Troubles = {"charge": Trouble("lost", ALWAYS), "release": Trouble("error", ALWAYS)}


@pytest.fixture
def clock() -> HandClock:
    """Of the store, the sagas and their services."""
    return HandClock()


@pytest.fixture
async def store(store_url: str, clock: HandClock) -> AsyncIterator[EventStore]:
    """An empty store, once on SQLite and once on PostgreSQL."""
    store = await open_world_store(store_url, clock)
    yield store
    await store.close()


@pytest.fixture
async def sqlite_store(tmp_path: object, clock: HandClock) -> AsyncIterator[EventStore]:
    """An empty store on SQLite only."""
    store = await open_world_store(f"sqlite:///{tmp_path}/store.db", clock)
    yield store
    await store.close()


async def _after(store: EventStore, clock: HandClock, style: str, trouble: Troubles, key: str,
                 point: CrashPoint) -> str | None:  # fmt: skip
    """Run one saga to ``point``; the status that it ends with in the next process."""
    world = World(store, clock, style, Services(trouble), key)
    with suppress(Crash):
        await world.run(point)
    status = await world.run()
    world.services.judge(status, world.saga)
    assert status == await world.later()
    world.services.judge(status, world.saga)
    return status if point.fired else None


async def _crash_everywhere(
    store: EventStore, clock: HandClock, style: str, trouble: Troubles, every: int = 1
) -> set[str]:
    """The statuses that one saga ended with, over all crashes."""
    ends, crashes = set(), 0
    for side in SIDES:
        for number in range(1, AWAITS_MAX, every):
            point = CrashPoint(number, side)
            status = await _after(store, clock, style, trouble, f"{side}{number}", point)
            if status is None:
                break
            ends.add(status)
            crashes += 1
    assert crashes > 30 // every
    return ends


@pytest.mark.parametrize(
    ("trouble", "ends"),
    [
        pytest.param(WELL, {"completed"}, id="well"),
        pytest.param(BACK, {"compensated"}, id="back"),
        pytest.param(STUCK, {"parked"}, id="stuck"),
    ],
)
@pytest.mark.parametrize("style", STYLES)
async def test_wherever_it_dies_the_saga_ends_as_it_would_have(
    store: EventStore, clock: HandClock, style: str, trouble: Troubles, ends: set[str]
) -> None:
    """On SQLite and PostgreSQL: well, back, and stuck; nothing done or undone twice."""
    assert ends == await _crash_everywhere(store, clock, style, trouble, QUICK_EVERY)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("style", STYLES)
async def test_every_step_every_failure_a_crash_at_every_await(
    sqlite_store: EventStore, clock: HandClock, style: str, step: str, kind: str
) -> None:
    """Forwards for good, and on the way back once: a crash never makes it worse than half a word.

    A crash may use up a failure that would have come once, so the ends are of two kinds.
    """
    trouble = {step: Trouble(kind, ALWAYS), UNDO[step]: Trouble(kind)}
    ends = await _crash_everywhere(sqlite_store, clock, style, trouble)
    assert ends <= {"completed", "compensated", "parked"}


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("trouble", [WELL, BACK, STUCK], ids=["well", "back", "stuck"])
@pytest.mark.parametrize("style", STYLES)
async def test_every_await_on_each_database(
    store: EventStore, clock: HandClock, style: str, trouble: Troubles
) -> None:
    """The quick test's sagas with no await left out."""
    assert 1 == len(await _crash_everywhere(store, clock, style, trouble))


async def test_control_a_coordinator_that_forgets_leaves_it_half_done() -> None:
    """The usual program: call one service after the other, undo in an ``except``. It dies."""
    found: set[str] = set()
    services = Services()

    async def run(point: CrashPoint) -> None:
        nonlocal services
        services = Services({"ship": Trouble("refuse", ALWAYS)})
        done = []
        try:
            for step in STEPS:
                await point.pass_(lambda step=step: services.call(step, f"naive/{step}"))
                done.append(step)
        except Exception:
            for step in reversed(done):
                undo = UNDO[step]
                await point.pass_(lambda u=undo, s=step: services.call(u, f"naive/{s}/undo"))

    async for _ in crash_points(run):
        if services.standing():
            found.add("half done")
    assert {"half done"} == found
