"""versioning/store-migration: killed again and again under live writes, it copies each once."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

import psycopg
import pytest

from goldseam import ANY, EventStore, Fence, Fenced, open_store
from goldseam.errors import StoreReadOnly
from goldseam.migration.errors import MigrationRefused, MigrationRunning, TargetInUse
from goldseam.migration.migration import Migration
from goldseam.migration.transform import Fact
from goldseam.resilience.clock import uuid7_bytes
from goldseam.store.verify import verify
from tests.crashes.outside import query
from tests.migration.conftest import Pair, pair
from tests.migration.outside import check, events, log_rows, mixed, objects, unchanged
from tests.migration.transforms import mixed as transform
from tests.migration.transforms import renamed
from tests.support.ticks import registry, tick

__all__ = ["pair"]

ROOT = Path(__file__).resolve().parents[2]
EVENTS = 2_000
PAGE = 5
PAGES_MORE = 2
"""The kill meets it at work within these pages, or waiting behind them: never at its end."""
STREAMS = 7
PROGRESS_SECONDS_MAX = 60
CLOSED = (StoreReadOnly, sqlite3.IntegrityError)


async def filled(url: str, count: int = EVENTS) -> None:
    """Appends of many streams, of two tenants, under keys and a fence."""
    async with await open_store(url, registry=registry) as store:
        for start in range(0, count, 50):
            view = store.for_tenant("acme") if start % 500 == 0 else store
            new = [tick(start % STREAMS, start + n) for n in range(50)]
            fence = Fence("shard-1", start + 1)
            stream = f"tick-{start % STREAMS}"
            await view.append(stream, new, expected=ANY, key=f"key {start}", fence=fence)


async def write(store: EventStore, writer: int, acknowledged: set[str]) -> None:
    """Append one event after the other until the source is closed."""
    number = EVENTS
    while True:
        number += 1
        event = tick(writer, number, UUID(bytes=uuid7_bytes()))
        try:
            await store.append(f"tick-{writer}", [event], expected=ANY)
        except CLOSED:
            return
        assert event.id is not None
        acknowledged.add(event.id.hex)
        await asyncio.sleep(0.005)


def source_position(url: str) -> int:
    """How far the migration into ``url`` is; 0 before it has begun."""
    try:
        rows = query(url, "SELECT source_position FROM goldseam_migration")
    except (sqlite3.OperationalError, psycopg.errors.UndefinedTable):
        return 0
    return int(rows[0][0]) if rows else 0


async def kill_at(pair: Pair, position: int) -> int:
    """Let a process migrate until ``position`` is copied, and SIGKILL it; where it was."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    until = str(position + PAGES_MORE * PAGE)
    command = [sys.executable, "-m", "tests.migration.copier", *pair, str(PAGE), until]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
    deadline = monotonic() + PROGRESS_SECONDS_MAX
    try:
        while source_position(pair.target) < position and process.poll() is None:
            assert monotonic() < deadline, "it does not get on"
            await asyncio.sleep(0.002)
    finally:
        process.kill()
        process.wait()
    return source_position(pair.target)


async def killed_and_finished(pair: Pair, percents: Sequence[int]) -> tuple[int, int]:
    """One migration under two writers, killed at each percent, then brought to its end.

    How many kills met it on its way, and how many events were written meanwhile.
    """
    await filled(pair.source)
    acknowledged: set[str] = set()
    kills = 0
    async with (
        await open_store(pair.source, registry=registry) as source,
        await open_store(pair.target, registry=registry) as target,
    ):
        writers = [asyncio.create_task(write(source, n, acknowledged)) for n in (1, 2)]
        for percent in percents:
            found = await kill_at(pair, EVENTS * percent // 100)
            kills += 0 < found < await source.head()
        migration = Migration(source, target, transform, page_events=PAGE, silence_seconds=0)
        assert (await migration.run()).ok
        done = await migration.cutover()
        await asyncio.gather(*writers)
        assert (await migration.verify()).ok
        assert [] == [damage async for step in verify(target.database) for damage in step.damages]
    check(pair.source, pair.target, mixed)
    assert acknowledged <= {one.id for one in events(pair.source)}
    assert EVENTS + len(acknowledged) == done.source_position
    return kills, len(acknowledged)


@pytest.mark.timeout(300)
async def test_killed_on_its_way_under_live_writes_it_copies_each_event_once(pair: Pair) -> None:
    """Six SIGKILLs: whatever was committed is not copied again, whatever was not is."""
    kills, live = await killed_and_finished(pair, [1, 20, 40, 60, 80, 95])

    assert kills >= 5
    assert live > 0


@pytest.mark.soak
@pytest.mark.timeout(1_200)
async def test_killed_at_each_percent_under_live_writes(pair: Pair) -> None:
    """A hundred SIGKILLs, one at each percent."""
    kills, live = await killed_and_finished(pair, range(1, 101))

    assert kills >= 95
    assert live > 0


async def _naive(pair: Pair, *, die_at: int, progress_first: bool) -> None:
    """The damage: events and progress in two transactions, dead between them at ``die_at``."""
    async with (
        await open_store(pair.source, registry=registry) as source,
        await open_store(pair.target, registry=registry) as target,
    ):
        at = int(query(pair.target, "SELECT max(position) FROM naive_progress")[0][0])
        while page := await source.read_all(after=at, limit=PAGE):
            at = page[-1].position
            if progress_first:
                query(pair.target, "INSERT INTO naive_progress VALUES (?)", at)
            if at >= die_at and progress_first:
                return
            for event in page:
                await target.append(event.stream, [event.data], expected=ANY)
            if at >= die_at:
                return
            query(pair.target, "INSERT INTO naive_progress VALUES (?)", at)


@pytest.mark.parametrize("progress_first", [True, False])
async def test_control_progress_in_a_transaction_of_its_own_loses_or_doubles_events(
    pair: Pair, *, progress_first: bool
) -> None:
    """The check from outside sees a page that is missing, and one that is there twice."""
    async with await open_store(pair.source, registry=registry) as source:
        await source.append("tick-0", [tick(0, n) for n in range(100)], expected=ANY)
    async with await open_store(pair.target, registry=registry):
        query(pair.target, "CREATE TABLE naive_progress (position BIGINT)")
        query(pair.target, "INSERT INTO naive_progress VALUES (0)")
    await _naive(pair, die_at=60, progress_first=progress_first)
    await _naive(pair, die_at=1_000, progress_first=progress_first)

    there = len(events(pair.target))
    assert (100 - PAGE if progress_first else 100 + PAGE) == there
    with pytest.raises(AssertionError, match=f"100 events expected, {there} are there"):
        check(pair.source, pair.target, unchanged)


async def test_an_abort_leaves_the_source_as_it_was(pair: Pair) -> None:
    """Its log, its tables and triggers are the same, byte for byte, and it takes writes."""
    await filled(pair.source, 500)
    before, tables = log_rows(pair.source), objects(pair.source)
    async with (
        await open_store(pair.source, registry=registry) as source,
        await open_store(pair.target, registry=registry) as target,
    ):
        migration = Migration(source, target, renamed, silence_seconds=0)
        await migration.run()
        with pytest.raises(MigrationRefused, match="the source takes writes again"):
            await migration.cutover(pause_seconds_max=0)
        assert await migration.abort()
        assert not (await migration.status()).moved_to
        assert (before, tables) == (log_rows(pair.source), objects(pair.source))
        done = await source.append("tick-0", [tick(0, 0)], expected=ANY)
        assert 501 == done.position

        with pytest.raises(TargetInUse, match="was aborted"):
            await migration.run()


async def test_a_source_that_has_moved_says_where(pair: Pair) -> None:
    """After the cut-over no writer of the old store gets anything in, and each is told why."""
    await filled(pair.source, 100)
    async with (
        await open_store(pair.source, registry=registry) as source,
        await open_store(pair.target, registry=registry) as target,
    ):
        migration = Migration(source, target)
        done = await migration.cutover()
        before = log_rows(pair.source)
        for expected in (ANY, 0):
            with pytest.raises(CLOSED, match=f"has moved to {target.store_id}"):
                await source.append("tick-new", [tick(0, 0), tick(0, 1)], expected=expected)
        assert before == log_rows(pair.source)
        assert done.pause_seconds > 0
        assert 101 == (await target.append("tick-9", [tick(0, 0)], expected=0)).position
        with pytest.raises(MigrationRefused, match="the cut-over is done"):
            await migration.abort()
        assert (await migration.verify()).ok
    check_prefix(pair, 100)


def check_prefix(pair: Pair, count: int) -> None:
    """The target begins with the whole source."""
    assert events(pair.source) == events(pair.target)[:count]


async def test_keys_and_fences_come_along(pair: Pair) -> None:
    """A retry gets its first answer from the new store; a stale leader stays out."""
    await filled(pair.source, 500)
    async with (
        await open_store(pair.source, registry=registry) as source,
        await open_store(pair.target, registry=registry) as target,
    ):
        await source.append("tick-k", [tick(0, 2)], expected=0, key="late")
        migration = Migration(source, target, transform)
        await migration.run()
        retried = tick(3, 5)
        first = await source.append("tick-k", [retried], expected=1, key="in the pause")
        done = await migration.cutover()
        again = await target.append("tick-k", [retried], expected=1, key="in the pause")
        with pytest.raises(Fenced):
            await target.append("tick-0", [tick(0, 0)], expected=ANY, fence=Fence("shard-1", 3))

    assert (False, True) == (first.replayed, again.replayed)
    assert done.target_position == again.position
    keys = "SELECT tenant, key, fingerprint FROM goldseam_keys ORDER BY 1, 2"
    assert query(pair.source, keys) == query(pair.target, keys)
    fences = "SELECT * FROM goldseam_fences ORDER BY 1, 2"
    assert query(pair.source, fences) == query(pair.target, fences)


async def test_two_migrations_into_one_target_are_refused(pair: Pair) -> None:
    """Another source, another transform, or the same one twice: one of them goes on alone."""
    # The first must outlast the second's look at it.
    await filled(pair.source, 8_000 if pair.target.startswith("sqlite") else 1_000)
    async with (
        await open_store(pair.source, registry=registry) as source,
        await open_store(pair.target, registry=registry) as target,
    ):
        held = asyncio.Event()

        def told(*_: object) -> None:
            held.set()

        first = Migration(source, target, renamed, page_events=1, silence_seconds=1.0)
        work = asyncio.create_task(first.run(told))
        await held.wait()
        with pytest.raises(MigrationRunning, match="another process is at work"):
            await Migration(source, target, renamed, silence_seconds=1.0).copy()
        with pytest.raises(TargetInUse, match="was begun with transform"):
            await Migration(source, target, transform).copy()
        assert (await work).ok
        other = EventStore(source.database, UUID(int=7), registry=registry)
        with pytest.raises(TargetInUse, match="takes in store"):
            await Migration(other, target, renamed).copy()


async def test_a_target_that_is_not_empty_is_refused(pair: Pair) -> None:
    """Before it begins, and when somebody writes into the target on the way."""
    await filled(pair.source, 100)
    async with (
        await open_store(pair.source, registry=registry) as source,
        await open_store(pair.target, registry=registry) as target,
    ):
        migration = Migration(source, target, silence_seconds=0)
        await migration.run()
        await target.append("tick-0", [tick(0, 0)], expected=ANY)
        await source.append("tick-0", [tick(0, 0)], expected=ANY)
        with pytest.raises(TargetInUse, match="the target ends at position 101"):
            await migration.cutover()
        await source.append("tick-0", [tick(0, 0)], expected=ANY)

        with pytest.raises(TargetInUse, match="has events already"):
            await Migration(target, source).run()


async def test_damage_in_the_target_is_found_before_the_cut_over(pair: Pair) -> None:
    """Somebody changed one event behind the store's back: the comparison names its place."""
    await filled(pair.source, 100)
    async with (
        await open_store(pair.source, registry=registry) as source,
        await open_store(pair.target, registry=registry) as target,
    ):
        migration = Migration(source, target, silence_seconds=0)
        await migration.run()
        _mutate(pair.target)
        report = await migration.verify()

    assert not report.ok
    assert [42, 42] == [one.position for one in report.damages]


def _mutate(url: str) -> None:
    if url.startswith("sqlite"):
        query(url, "DROP TRIGGER goldseam_events_no_update")
    else:
        query(url, "ALTER TABLE goldseam_events DISABLE TRIGGER goldseam_events_immutable")
    payload: Any = b'{"writer":0,"number":1,"note":"forged"}'
    query(url, "UPDATE goldseam_events SET payload = ? WHERE position = 42", payload)
    if url.startswith("sqlite"):
        query(
            url, "CREATE TRIGGER goldseam_events_no_update BEFORE UPDATE ON goldseam_events BEGIN"
            " SELECT RAISE(ABORT, 'events are immutable'); END",
        )  # fmt: skip
    else:
        query(url, "ALTER TABLE goldseam_events ENABLE ALWAYS TRIGGER goldseam_events_immutable")


async def test_a_transform_that_is_not_pure_is_found(pair: Pair) -> None:
    """The second asking gives other events than those that were copied: columns are named."""
    await filled(pair.source, 100)
    calls = iter(range(1_000))

    def moody(fact: Fact) -> Fact:
        return fact.but(fields={**fact.fields, "call": next(calls)})

    async with (
        await open_store(pair.source, registry=registry) as source,
        await open_store(pair.target, registry=registry) as target,
    ):
        report = await Migration(source, target, moody).run()

    assert 100 == report.different_events
    assert {("payload",)} == {one.columns for one in report.differences}
