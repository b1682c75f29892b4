"""store/corrupt-event: a flipped bit anywhere in a stored event is found and never served.

What cannot be found: the newest events of the whole log vanishing together with every trace, for
nothing after them names them. Checkpoints beyond the end of the log tell that instead. A read of
one stream cannot know that its newest events are gone; verify and reads of the log can.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest

from goldseam import GoldseamError, open_store
from goldseam.errors import CorruptEvent, InvalidPosition
from goldseam.events.event import Recorded
from goldseam.store import decode
from goldseam.store.event_store import EventStore
from goldseam.store.snapshots import Snapshot, SnapshotPlace, read_snapshot, write_snapshot
from tests.crashes.outside import execute, transaction
from tests.failures.test_store_mutated_event import all_damages, disarm
from tests.support.ticks import registry, tick

EVENTS = 12
FLIPS = 220
SNAPSHOT_FLIPS = 100
SEED = 20_261_123
COLUMNS = (
    "payload", "metadata", "id", "stream", "type", "type_version", "recorded_us", "version",
    "position", "checksum", "chain",
)  # fmt: skip
SERVED = {"payload", "metadata", "id", "stream", "type", "type_version", "recorded_us", "version",
          "position"}  # fmt: skip


async def filled(url: str) -> list[Recorded[Any]]:
    async with await open_store(url, registry=registry) as store:
        for n in range(EVENTS):
            await store.append(f"tick-{n % 3}", [tick(n % 3, n)], expected=n // 3)
        return await store.read_all()


def flipped(value: Any, dice: random.Random) -> Any:
    """``value`` with one bit flipped, as the same kind of value; None if there is no such one."""
    if isinstance(value, int):
        return value ^ (1 << dice.randrange(15 if value < 2**15 else 40))
    raw = bytearray(value.bytes if isinstance(value, UUID) else
                    value.encode() if isinstance(value, str) else value)  # fmt: skip
    raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
    if isinstance(value, UUID):
        return UUID(bytes=bytes(raw))
    if isinstance(value, str):
        text = bytes(raw).decode("utf-8", "replace")
        return text if "\0" not in text and text != value else None
    return bytes(raw)


@contextmanager
def damaged(url: str, column: str, position: int, dice: random.Random) -> Iterator[bool]:
    """One bit of one column of one event is another; put back afterwards."""
    read_one = f"SELECT {column} FROM goldseam_events WHERE position = ?"
    write = f"UPDATE goldseam_events SET {column} = ? WHERE position = ?"
    other = None
    try:
        with transaction(url) as connection:
            value = execute(connection, read_one, position)[0][0]
            other = flipped(value, dice)
            if other is not None:
                execute(connection, write, other, position)
    except (sqlite3.Error, psycopg.Error):
        other = None  # another row has that value already: the database refuses this one
    try:
        yield other is not None
    finally:
        if other is not None:
            at = other if column == "position" else position
            with transaction(url) as connection:
                execute(connection, write, value, at)


async def served(store: EventStore, true: dict[bytes, Recorded[Any]]) -> str:
    """How the reads answer: ``refused``, ``true``, or ``false`` when something wrong is served."""
    answer = "true"
    for stream in ("tick-0", "tick-1", "tick-2"):
        try:
            events = await store.read_stream(stream)
        except GoldseamError:
            answer = "refused"
            continue
        if any(true.get(event.id_bytes) != event for event in events):
            return "false"
    try:
        if any(true.get(event.id_bytes) != event for event in await store.read_all()):
            return "false"
    except GoldseamError:
        answer = "refused"
    return answer


async def test_every_flipped_bit_is_found_and_none_is_served(store_url: str) -> None:
    """Each column, random events, random bits: reads refuse or are right, verify names it."""
    true = {event.id_bytes: event for event in await filled(store_url)}
    dice, flips, served_wrong, unseen = random.Random(SEED), 0, [], []
    with transaction(store_url) as connection:
        disarm(connection)
    async with await open_store(store_url, registry=registry) as store:
        while flips < FLIPS:
            column, position = dice.choice(COLUMNS), dice.randrange(1, EVENTS + 1)
            with damaged(store_url, column, position, dice) as fits:
                if not fits:
                    continue
                flips += 1
                answer = await served(store, true)
                found = {one.what for one in await all_damages(store.database)}
            if answer == "false" or (answer == "true" and column in SERVED):
                served_wrong.append((column, position, answer))
            if not found - {"immutability"}:
                unseen.append((column, position))

    assert [] == served_wrong, f"seed {SEED}"
    assert [] == unseen, f"seed {SEED}"


@pytest.mark.parametrize(
    ("gone", "stream_read_refuses"),
    [(1, True), (5, True), (10, False)],
    ids=["first of its stream", "middle of its stream", "end of its stream"],
)
async def test_a_deleted_event_is_missed(
    store_url: str, gone: int, stream_read_refuses: bool
) -> None:
    """Positions and versions are dense: the hole is found by the log's readers and by verify."""
    await filled(store_url)
    with transaction(store_url) as connection:
        disarm(connection)
        execute(connection, "DELETE FROM goldseam_events WHERE position = ?", gone)
    stream = f"tick-{(gone - 1) % 3}"
    async with await open_store(store_url, registry=registry) as store:
        with pytest.raises(CorruptEvent, match="missing"):
            await store.read_all()
        found = {one.what for one in await all_damages(store.database)}
        if stream_read_refuses:
            with pytest.raises(CorruptEvent, match="is missing before version"):
                await store.read_stream(stream)
        else:
            assert [1, 2, 3] == [event.version for event in await store.read_stream(stream)]

    assert "position" in found
    assert stream_read_refuses == ("version" in found)


async def test_control_the_newest_events_of_the_log_leave_no_hole(store_url: str) -> None:
    """The documented limit: only who remembers the newest position notices."""
    await filled(store_url)
    with transaction(store_url) as connection:
        disarm(connection)
        execute(connection, "DELETE FROM goldseam_events WHERE position > ?", EVENTS - 2)
    async with await open_store(store_url, registry=registry) as store:
        found = {one.what for one in await all_damages(store.database)}
        token = store.token(EVENTS)
        with pytest.raises(InvalidPosition, match="future"):
            await store.position_of(token)

    assert {"immutability"} == found


async def test_every_flipped_bit_of_a_snapshot_is_found_and_none_is_served(store_url: str) -> None:
    """State, version, shape, kind, stream and checksum: verify names it, loading ignores it."""
    await filled(store_url)
    place = SnapshotPlace("main", "tick-0", "ticker", "shape-1")
    columns = ("state", "version", "schema_hash", "kind", "stream", "checksum")
    dice, served_wrong, unseen = random.Random(SEED), [], []
    async with await open_store(store_url, registry=registry) as store:
        for flip in range(SNAPSHOT_FLIPS):
            await store.database.transact(
                lambda c: write_snapshot(c, place, Snapshot(3, b'{"total":12345}'), 1)
            )
            column, other = dice.choice(columns), None
            with transaction(store_url) as connection:
                value = execute(connection, f"SELECT {column} FROM goldseam_snapshots")[0][0]
                while other is None:
                    other = flipped(value, dice)
                execute(connection, f"UPDATE goldseam_snapshots SET {column} = ?", other)
            if await store.database.read(lambda c: read_snapshot(c, place)) is not None:
                served_wrong.append((flip, column))
            if ["snapshot"] != [one.what for one in await all_damages(store.database)]:
                unseen.append((flip, column))
            with transaction(store_url) as connection:
                execute(connection, "DELETE FROM goldseam_snapshots")

    assert [] == served_wrong, f"seed {SEED}"
    assert [] == unseen, f"seed {SEED}"


async def test_control_without_the_checksum_a_flipped_bit_is_served_as_good(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database's own checks pass and the reader gets another number."""
    await filled(store_url)
    with transaction(store_url) as connection:
        disarm(connection)
        payload = execute(connection, "SELECT payload FROM goldseam_events WHERE position = 1")[0][
            0
        ]
        wrong = bytes(payload).replace(b'"number":0', b'"number":1')
        execute(connection, "UPDATE goldseam_events SET payload = ? WHERE position = 1", wrong)
        if isinstance(connection, sqlite3.Connection):
            assert [("ok",)] == execute(connection, "PRAGMA integrity_check")

    class Anything(int):
        def __eq__(self, other: object) -> bool:
            return True

        def __ne__(self, other: object) -> bool:
            return False

        def __xor__(self, other: int) -> Anything:
            return self

        __hash__ = int.__hash__

    monkeypatch.setattr(decode, "crc32", lambda *_: Anything())
    async with await open_store(store_url, registry=registry) as store:
        events = await store.read_stream("tick-0")

    assert 1 == events[0].data.number
