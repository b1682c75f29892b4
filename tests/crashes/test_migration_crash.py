"""A migration that dies at each of its awaits is brought to its end by the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from goldseam import ANY, EventStore, open_store
from goldseam.migration.migration import Migration
from goldseam.migration.transform import Transform
from goldseam.testing.faults import CrashingDatabase, CrashPoint, crash_points, until_crash
from tests.crashes.outside import query
from tests.migration.outside import check, empty_stores, log_rows, mixed, objects
from tests.migration.transforms import Pairs
from tests.migration.transforms import mixed as transform
from tests.support.ticks import registry, tick

PAGE = 3
EVENTS = 7

Work = Callable[[Migration], Awaitable[object]]
Make = Callable[[], str]


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=[pytest.mark.postgres, pytest.mark.soak]),
    ]
)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Gives URLs of empty stores."""
    kind = request.param
    postgres = str(request.getfixturevalue("postgres_url")) if kind == "postgresql" else None
    with empty_stores(kind, postgres, tmp_path) as one:
        yield one


class Stores:
    """A filled source and an empty target."""

    def __init__(self, make: Make) -> None:
        self.source, self.target = make(), make()

    async def __aenter__(self) -> tuple[EventStore, EventStore]:
        self.opened = [
            await open_store(url, registry=registry) for url in (self.source, self.target)
        ]
        new = [tick(1, number) for number in range(EVENTS)]
        await self.opened[0].append("tick-1", new, expected=ANY, key="k")
        return self.opened[0], self.opened[1]

    async def __aexit__(self, *_: object) -> None:
        for store in self.opened:
            await store.close()


async def cut_over(migration: Migration) -> object:
    """From nothing to the new store."""
    await migration.run()
    return await migration.cutover()


async def _doomed(
    source: EventStore, target: EventStore, point: CrashPoint, change: object, work: Work
) -> None:
    """The work of a process that dies with both of its databases."""
    old, new = (
        EventStore(CrashingDatabase(one.database, point), one.store_id, registry=registry)
        for one in (source, target)
    )
    migration = Migration(old, new, change, page_events=PAGE)  # type: ignore[arg-type]
    await until_crash(point, _awaited(work(migration)))


async def _awaited(work: Awaitable[object]) -> object:
    return await work


@pytest.mark.timeout(600)
async def test_a_crash_at_every_await_of_copy_and_cut_over_loses_and_doubles_nothing(
    make: Make,
) -> None:
    """Whoever comes next brings it to its end, and every event is there once, in its place."""
    crashes, closed = 0, 0
    made: list[Stores] = []

    async def run(point: CrashPoint) -> None:
        made.append(Stores(make))
        async with made[-1] as (source, target):
            try:
                await _doomed(source, target, point, transform, cut_over)
            finally:
                if point.fired:
                    await _finish(source, target)

    async def _finish(source: EventStore, target: EventStore) -> None:
        nonlocal closed
        next_one = Migration(source, target, transform, page_events=PAGE, silence_seconds=0)
        closed += (await next_one.status()).moved_to is not None
        done = await cut_over(next_one)
        assert done is not None
        assert (await next_one.verify()).ok

    async for _ in crash_points(run):
        crashes += 1
        check(made[-1].source, made[-1].target, mixed)
        keys = query(
            made[-1].target, "SELECT key, first_position, last_position FROM goldseam_keys"
        )
        assert [("k", 1, 6)] == keys
    assert crashes > 60
    assert 0 < closed < crashes


@pytest.mark.timeout(600)
async def test_a_crash_at_every_await_of_a_merge_keeps_what_waited(make: Make) -> None:
    """Even numbers wait for odd ones across pages: the pairs are those of an unbroken run."""
    made: list[Stores] = []

    async def run(point: CrashPoint) -> None:
        made.append(Stores(make))
        async with made[-1] as (source, target):
            pairs: Transform = Pairs()
            try:
                await _doomed(source, target, point, pairs, lambda one: one.copy())
            finally:
                if point.fired:
                    await cut_over(
                        Migration(source, target, pairs, page_events=PAGE, silence_seconds=0)
                    )

    async for _ in crash_points(run):
        found = query(made[-1].target, "SELECT type FROM goldseam_events ORDER BY position")
        assert [("PairTicked",)] * 3 + [("Ticked",)] == found


@pytest.mark.timeout(600)
async def test_a_crash_at_every_await_of_an_abort_is_mended_by_another_abort(make: Make) -> None:
    """The source's log and objects are what they were, and it takes writes."""
    made: list[tuple[Stores, object]] = []

    async def run(point: CrashPoint) -> None:
        stores = Stores(make)
        async with stores as (source, target):
            made.append((stores, (log_rows(stores.source), objects(stores.source))))
            await _close_source(source, target)
            try:
                await _doomed(source, target, point, None, lambda one: one.abort())
            finally:
                if point.fired:
                    await Migration(source, target, silence_seconds=0).abort()
                    await asyncio.sleep(0)

    crashes = 0
    async for _ in crash_points(run):
        stores, before = made[-1]
        crashes += 1
        assert before == (log_rows(stores.source), objects(stores.source))
        async with await open_store(stores.source, registry=registry) as source:
            done = await source.append("tick-1", [tick(1, 9)], expected=EVENTS)
            assert EVENTS + 1 == done.position
    assert crashes > 10


async def _close_source(source: EventStore, target: EventStore) -> None:
    """A cut-over was killed in its pause."""
    from goldseam.migration import fence

    await Migration(source, target, silence_seconds=0).run()
    await source.database.transact(lambda c: fence.put_up(c, target.store_id, "dead", 1))
