"""store/lost-event-gap: a live reader misses nothing, whatever order the writers commit in.

Two processes with 16 writing tasks each, followers in this process and in another; what they saw is
compared with the log as somebody else's SQL sees it. The control gives out positions before the
commit, as a sequence does, and a live reader misses an event for ever.
"""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import ExitStack
from pathlib import Path

import pytest

from goldseam import ANY, blocking, open_store
from goldseam.errors import StoreReadOnly
from tests.crashes.outside import connect, execute, query, transaction
from tests.faults import naive_writer
from tests.faults.ledger import ParcelScanned, ledger, problems, stored
from tests.faults.processes import Program, program
from tests.faults.writer import new_append

PROCESSES = 2
TASKS = 16
APPENDS = 850
APPENDS_LONG = 38_000
EVENTS_MAX = 5
SEED = 5_071_964


async def _written_and_followed(url: str, folder: Path, appends: int) -> None:
    """Everything that the followers saw is the log: each event, once, in its order."""
    store = await open_store(url)
    seen: list[tuple[int, str]] = []

    async def follow() -> None:
        async for event in store.follow():
            seen.append((event.position, event.data.mark))
            if len(seen) == expected:
                return

    expected = sum(_events_of(n, appends) for n in range(PROCESSES))
    follower = asyncio.create_task(follow())
    paths = [folder / f"ledger-{n}" for n in range(PROCESSES)]
    words = f"--seed {SEED} --tasks {TASKS} --events-max {EVENTS_MAX} --appends {appends}"
    common = words.split()
    with ExitStack() as stack:
        writers = [
            stack.enter_context(program("writer", url, str(path), "--life", str(n), *common))
            for n, path in enumerate(paths)
        ]
        other = stack.enter_context(program("follower", url, str(expected)))
        theirs = await asyncio.to_thread(_lines, other)
        for writer in writers:
            assert 0 == await asyncio.to_thread(writer.ended)
    await follower
    await store.close()
    log = stored(url)
    print(f"seed {SEED}: {len(log)} events, followed twice")
    assert [] == problems(ledger(paths), log)
    truth = [(one.position, one.mark) for one in log]
    assert truth == seen
    assert truth == theirs


def _events_of(life: int, appends: int) -> int:
    """How many events a writer's life will store: its appends are drawn from its seed."""
    rng = random.Random(f"{SEED}/{life}")
    drawn = [new_append(rng, str(life), n, EVENTS_MAX) for n in range(appends)]
    return sum(len(one.marks) for one in drawn if not one.doomed)


def _lines(follower: Program) -> list[tuple[int, str]]:
    found = []
    assert "ready" == follower.line()
    while line := follower.line():
        position, mark = line.split(" ")
        found.append((int(position), mark))
    return found


async def test_followers_see_every_event_of_many_writers_in_order(
    store_url: str, tmp_path: Path
) -> None:
    """32 writers in two processes, a follower here and one in a third process: 0 missed."""
    await _written_and_followed(store_url, tmp_path, APPENDS)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
async def test_followers_of_two_hundred_thousand_events(store_url: str, tmp_path: Path) -> None:
    """The same over 200,000 events."""
    await _written_and_followed(store_url, tmp_path, APPENDS_LONG)
    assert 200_000 < len(stored(store_url))


async def test_a_writer_that_has_drawn_its_position_makes_the_next_one_wait(
    store_url: str,
) -> None:
    """The two-writer proof: B cannot overtake A, so no reader can pass A's event."""
    store = await open_store(store_url)
    with transaction(store_url) as connection:
        first = blocking.append(connection, "parcel-1", [ParcelScanned(mark="A")], expected=ANY)
        assert 1 == first.position
        second = asyncio.create_task(
            store.append("parcel-2", [ParcelScanned(mark="B")], expected=ANY)
        )
        await asyncio.sleep(0.3)
        assert not second.done()
        assert [] == await store.read_all()
    assert 2 == (await second).position
    assert ["A", "B"] == [event.data.mark for event in await store.read_all()]
    await store.close()


async def test_a_rolled_back_writer_leaves_no_hole(store_url: str) -> None:
    """A position that was drawn and not committed is given to the next event."""
    store = await open_store(store_url)
    connection = connect(store_url)
    connection.execute("BEGIN")
    drawn = blocking.append(connection, "parcel-1", [ParcelScanned(mark="A")], expected=ANY)
    connection.rollback()
    connection.close()
    assert 1 == drawn.position
    done = await store.append("parcel-2", [ParcelScanned(mark="B")], expected=ANY)
    assert 1 == done.position
    await store.close()


async def test_a_transaction_that_could_not_see_the_newest_position_is_refused(
    postgres_schema_url: str,
) -> None:
    """A snapshot older than the lock would give out a position twice; the store says so."""
    await (await open_store(postgres_schema_url)).close()
    with transaction(postgres_schema_url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with pytest.raises(StoreReadOnly):
            blocking.append(connection, "parcel-1", [ParcelScanned(mark="A")], expected=ANY)


def _drawn(url: str) -> int:
    """A position from a sequence: given out at once, whoever commits when."""
    return int(query(url, "UPDATE naive_sequence SET last = last + 1 RETURNING last")[0][0])


def _read_on(url: str, after: int) -> list[tuple[int, str]]:
    sql = "SELECT position, payload FROM naive_events WHERE position > ? ORDER BY position"
    return [(n, json.loads(bytes(payload))["mark"]) for n, payload in query(url, sql, after)]


def test_control_positions_from_a_sequence_lose_an_event_for_a_live_reader(
    store_url: str,
) -> None:
    """A draws 1, B draws 2 and commits first; the reader that is at 2 never sees 1."""
    naive_writer.create(store_url)
    query(store_url, "CREATE TABLE naive_sequence (last BIGINT NOT NULL)")
    query(store_url, "INSERT INTO naive_sequence VALUES (0)")
    a, b = _drawn(store_url), _drawn(store_url)
    payload = b'{"mark": "%s"}'
    with transaction(store_url) as connection:
        execute(connection, naive_writer.INSERT, b, 2, payload % b"B")
    seen = _read_on(store_url, 0)
    with transaction(store_url) as connection:
        execute(connection, naive_writer.INSERT, a, 1, payload % b"A")
    seen += _read_on(store_url, seen[-1][0])
    assert [(2, "B")] == seen
    assert [(1, "A"), (2, "B")] == _read_on(store_url, 0)
