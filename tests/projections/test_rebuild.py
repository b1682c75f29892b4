"""Blue/green: rebuilt beside the live one, swapped at its position, taken back in an instant."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from goldseam import ANY, Goldseam, ReadModelBehind, handles
from goldseam.errors import ProjectionError
from goldseam.projections.rebuild import Progress, Rebuild
from tests.projections.bank import POISON, Balances, DepositApplied, Outside, until

BATCH = 200


class BalancesInCents(Balances):
    """Version 2: another column, another unit."""

    version = 2
    tables = "CREATE TABLE {balances} (account TEXT PRIMARY KEY, cents BIGINT NOT NULL)"

    @handles(DepositApplied)
    async def deposited(self, fact: Any, db: Any) -> None:
        await db.execute(
            "INSERT INTO {balances} VALUES (:account, :cents) ON CONFLICT (account) DO UPDATE"
            " SET cents = {balances}.cents + excluded.cents",
            {"account": fact.stream, "cents": 100 * fact.data.amount},
        )


async def fill(app: Goldseam, batches: int = 3) -> int:
    """Deposits of 1 in batches of many; the last position."""
    done = None
    for n in range(batches):
        facts = [DepositApplied(1)] * BATCH
        done = await app.store.append(f"account-{n % 2}", facts, expected=ANY)
    assert done is not None
    return done.position


async def test_a_new_version_is_built_beside_the_old_one_and_swapped(store_url: str) -> None:
    """Readers see the old rows until the new ones stand where they stood, and then only those."""
    async with Goldseam(store_url, [Balances()]) as app:
        last = await fill(app)
        await app.fetch("balances", "SELECT 1", after=last, wait=20)
    seen: list[Progress] = []
    async with Goldseam(store_url, [BalancesInCents()]) as app:
        hosted = app.projections["balances"]
        assert "outdated" == (await hosted.status()).state
        old = await app.fetch("balances", "SELECT sum(balance) FROM balances", after=last)
        assert [(3 * BATCH,)] == [tuple(row) for row in old]
        await hosted.rebuild(seen.append)
        new = await app.fetch("balances", "SELECT sum(cents) FROM balances", after=last)
        assert [(300 * BATCH,)] == [tuple(row) for row in new]
        last = await fill(app, 1)
        new = await app.fetch("balances", "SELECT sum(cents) FROM balances", after=last, wait=20)
        assert [(400 * BATCH,)] == [tuple(row) for row in new]
    assert seen[-1].swapped
    assert (last - BATCH, 100.0) == (seen[-1].position, seen[-1].percent)


async def test_writes_and_reads_go_on_during_a_rebuild(store_url: str) -> None:
    """The live tables keep up while new ones are built several times over; nothing is lost."""
    async with Goldseam(store_url, [Balances()]) as app:
        await fill(app)
        stop = asyncio.Event()
        written = 0

        async def write() -> None:
            nonlocal written
            while not stop.is_set():
                done = await app.store.append("account-w", [DepositApplied(1)], expected=ANY)
                written += 1
                rows = await app.fetch(
                    "balances", "SELECT deposits FROM balances WHERE account = 'account-w'",
                    after=done.token, wait=20,
                )  # fmt: skip
                assert [(written,)] == [tuple(row) for row in rows]

        writer = asyncio.ensure_future(write())
        generations = [(await app.projections["balances"].rebuild()).generation for _ in range(3)]
        stop.set()
        await writer
        assert [2, 3, 4] == generations
    total = 3 * BATCH + written
    assert [(total,)] == Outside(store_url).query("SELECT sum(deposits) FROM balances")


async def test_an_aborted_rebuild_leaves_the_live_tables_alone(store_url: str) -> None:
    """What was built is thrown away; the driver is told; readers notice nothing."""
    async with Goldseam(store_url, [Balances()], run=False) as app:
        last = await fill(app)
        hosted = app.projections["balances"]
        await hosted.runner.catch_up()
        before = await app.read_model("balances").standing()
        rebuild = Rebuild(hosted.applier, hosted.source, hosted.advances, page_events=50)
        aborting: list[Any] = []

        def abort(made: Progress) -> None:
            if made.position >= BATCH and not aborting:
                aborting.append(asyncio.ensure_future(hosted.abort_rebuild()))

        with pytest.raises(ProjectionError, match="aborted"):
            await rebuild.run(abort)
        assert [True] == await asyncio.gather(*aborting)
        assert not await hosted.abort_rebuild()
        assert before == await app.read_model("balances").standing()
        rows = await app.fetch("balances", "SELECT sum(deposits) FROM balances", after=last)
        assert [(3 * BATCH,)] == [tuple(row) for row in rows]


async def test_a_rebuild_goes_on_where_its_driver_stopped(store_url: str) -> None:
    """A driver is cancelled half-way; the next application finishes what it finds."""
    async with Goldseam(store_url, [Balances()], run=False) as app:
        await fill(app)
        hosted = app.projections["balances"]
        await hosted.runner.catch_up()
        rebuild = Rebuild(hosted.applier, hosted.source, hosted.advances, page_events=50)
        half = asyncio.Event()
        driving = asyncio.ensure_future(
            rebuild.run(lambda made: half.set() if made.position >= BATCH else None)
        )
        await half.wait()
        driving.cancel()
        await asyncio.gather(driving, return_exceptions=True)
        building = await hosted.building()
        assert building is not None
        assert BATCH <= building.position < 3 * BATCH
    async with Goldseam(store_url, [Balances()]) as app:

        async def swapped() -> bool:
            return (await app.read_model("balances").standing()).generation == building.generation

        await until(swapped)
    assert [(3 * BATCH,)] == Outside(store_url).query("SELECT sum(deposits) FROM balances")


async def test_going_back_shows_the_old_tables_at_once(store_url: str) -> None:
    """After a swap the old tables are kept: going back needs no replay, and they catch up."""
    async with Goldseam(store_url, [Balances()]) as app:
        last = await fill(app)
        await app.fetch("balances", "SELECT 1", after=last, wait=20)
        hosted = app.projections["balances"]
        await hosted.rebuild()
        last = await fill(app, 1)
        await app.fetch("balances", "SELECT 1", after=last, wait=20)
        await hosted.rollback()
        rows = await app.fetch(
            "balances", "SELECT sum(deposits) FROM balances", after=last, wait=20
        )
        assert [(4 * BATCH,)] == [tuple(row) for row in rows]


async def test_going_back_to_an_older_version_does_not_write_with_newer_code(
    store_url: str,
) -> None:
    """The old rows are served as they are; what is newer is answered with 'behind'."""
    async with Goldseam(store_url, [Balances()]) as app:
        last = await fill(app)
        await app.fetch("balances", "SELECT 1", after=last, wait=20)
    async with Goldseam(store_url, [BalancesInCents()]) as app:
        hosted = app.projections["balances"]
        await hosted.rebuild()
        await hosted.rollback()
        rows = await app.fetch("balances", "SELECT sum(balance) FROM balances", after=last)
        assert [(3 * BATCH,)] == [tuple(row) for row in rows]
        later = await fill(app, 1)
        with pytest.raises(ReadModelBehind):
            await app.fetch("balances", "SELECT 1", after=later, wait=0.3)


async def test_a_rebuild_that_parks_events_does_not_swap_unless_told(store_url: str) -> None:
    """New code that cannot take an old event is not let loose on readers."""
    projection = Balances()
    async with Goldseam(store_url, [projection]) as app:
        await app.store.append("account-1", [DepositApplied(POISON)], expected=ANY)
        last = await fill(app)
        await app.fetch("balances", "SELECT 1", after=last, wait=20)
        projection.broken = True
        hosted = app.projections["balances"]
        with pytest.raises(ProjectionError, match="parked"):
            await hosted.rebuild()
        assert 1 == (await app.read_model("balances").standing()).generation
        await hosted.rebuild(force=True)
        standing = await app.read_model("balances").standing()
        assert (2, 1) == (standing.generation, standing.parked_from)


async def test_there_is_nothing_to_go_back_to_before_the_first_swap(store_url: str) -> None:
    """The error says what would leave something."""
    async with Goldseam(store_url, [Balances()], run=False) as app:
        with pytest.raises(ProjectionError, match="no earlier tables"):
            await app.projections["balances"].rollback()
