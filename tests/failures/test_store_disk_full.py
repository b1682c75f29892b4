"""store/disk-full: the disk fills in the middle of the load; nothing is torn, and it goes on.

The store lives on a small tmpfs of its own: a SQLite file, or a PostgreSQL tablespace (and, in the
long run, the WAL). What is stored is read from outside. The control writes without transactions.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from goldseam import ANY, EventStore, NewEvent, StoreUnavailable, open_store
from goldseam.errors import CommitUnknown, StoreFull
from goldseam.telemetry.signals import signals
from tests.crashes.outside import query
from tests.faults import naive_writer
from tests.faults.ledger import ParcelScanned, Sent, problems, stored
from tests.faults.server import own_server, run
from tests.faults.small_disk import fill, small_disk
from tools.postgres_server import PostgresServer

SEED = 507
WEIGHT = random.Random(SEED).randbytes(10_000).hex()
"""Large events that do not compress, so that a few of them fill what is left."""
EVENTS = 5
TRIES_MAX = 500
FULL = "goldseam_store_full_total"
SQLITE_MEGABYTES = 2
TABLESPACE_MEGABYTES = 20
WAL_MEGABYTES = 48


@dataclass
class Disk:
    """A store on a small disk."""

    url: str
    folder: Path


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server whose disks the tests of this file may fill."""
    with own_server() as server:
        yield server


@contextmanager
def _tablespace(server: PostgresServer) -> Iterator[Disk]:
    with small_disk(TABLESPACE_MEGABYTES, for_server=True) as folder:
        run(server, f"CREATE TABLESPACE small LOCATION '{folder}'")
        run(server, "CREATE DATABASE small TABLESPACE small")
        run(server, "CREATE SCHEMA s", "small")
        try:
            yield Disk(server.url().rpartition("/")[0] + "/small?schema=s", folder)
        finally:
            run(server, "DROP DATABASE small WITH (FORCE)")
            run(server, "DROP TABLESPACE small")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def disk(request: pytest.FixtureRequest) -> Iterator[Disk]:
    """An empty store whose disk has a few megabytes."""
    if request.param == "sqlite":
        with small_disk(SQLITE_MEGABYTES) as folder:
            yield Disk(f"sqlite:///{folder / 'store.db'}", folder)
        return
    with _tablespace(request.getfixturevalue("server")) as disk:
        yield disk


class Load:
    """A writer of appends of five events, and what it was told."""

    def __init__(self) -> None:
        self.sent: dict[str, Sent] = {}
        self._rng = random.Random(SEED)
        print(f"seed {SEED}")

    async def append(self, store: EventStore) -> None:
        name = str(len(self.sent))
        ids = [str(UUID(int=self._rng.getrandbits(128), version=4)) for _ in range(EVENTS)]
        marks = [f"{name}.{n}" for n in range(EVENTS)]
        self.sent[name] = Sent(name, "parcel-1", marks, ids)
        await self.again(store, self.sent[name])

    async def again(self, store: EventStore, one: Sent) -> None:
        events = [
            NewEvent(ParcelScanned(mark=mark, weight=WEIGHT), id=UUID(text))
            for text, mark in zip(one.ids, one.marks, strict=True)
        ]
        try:
            done = await store.append(one.stream, events, expected=ANY)
        except StoreFull:
            one.refused = True  # "nothing was written": the log must agree
            raise
        one.answers.append((done.first_position, done.position))


async def _until_full(load: Load, store: EventStore) -> None:
    for _ in range(TRIES_MAX):
        await load.append(store)
    pytest.fail("the disk did not fill")


async def test_a_full_disk_refuses_whole_appends_and_goes_on_when_there_is_room(
    disk: Disk,
) -> None:
    """Acknowledged is there, refused is not, no append is torn; with space it writes again."""
    load = Load()
    before = signals.value(FULL)
    async with await open_store(disk.url) as store:
        await load.append(store)
        for _ in range(3):  # full, then space again, three times
            filler = fill(disk.folder, leave_bytes=3 * EVENTS * len(WEIGHT))
            with pytest.raises(StoreFull, match="disk is full"):
                await _until_full(load, store)
            with pytest.raises(StoreFull):
                await load.append(store)
            assert [] == problems(load.sent, stored(disk.url))
            filler.unlink()
            refused = [one for one in load.sent.values() if one.refused]
            for one in refused:  # the same appends, with their ids
                one.refused = False
                await load.again(store, one)
            await load.append(store)
        head = await store.head()
    assert before + 6 == signals.value(FULL)
    assert [] == problems(load.sent, stored(disk.url))
    assert all(one.answers for one in load.sent.values())
    assert EVENTS * len(load.sent) == head


async def test_reads_go_on_while_the_disk_is_full(disk: Disk) -> None:
    """A store that cannot write can still be read, by this process and by a new connection."""
    load = Load()
    async with await open_store(disk.url) as store:
        await load.append(store)
        fill(disk.folder)
        with pytest.raises(StoreFull):
            await _until_full(load, store)
        acked = [mark for one in load.sent.values() if one.answers for mark in one.marks]
        assert acked == [event.data.mark for event in await store.read_all()]
    assert acked == [one.mark for one in stored(disk.url)]


async def test_each_of_many_waiting_callers_is_told(disk: Disk) -> None:
    """A group commit that meets the full disk answers every caller, and leaves none waiting."""
    load = Load()
    async with await open_store(disk.url) as store:
        await load.append(store)
        filler = fill(disk.folder)
        answers = await asyncio.gather(
            *(load.append(store) for _ in range(32)), return_exceptions=True
        )
        kinds = {type(answer) for answer in answers}
        assert StoreFull in kinds
        assert kinds <= {StoreFull, type(None)}
        filler.unlink()
        await load.append(store)
    assert [] == problems(load.sent, stored(disk.url))


async def test_control_events_written_one_by_one_are_torn_by_a_full_disk(disk: Disk) -> None:
    """Without one transaction for one append the disk fills in the middle of one."""
    naive_writer.create(disk.url)
    filler = fill(disk.folder, leave_bytes=3 * EVENTS * len(WEIGHT))
    sent: dict[str, Sent] = {}
    position = 0

    def append() -> None:
        nonlocal position
        name = str(len(sent))
        sent[name] = Sent(name, "parcel-1", [f"{name}.{n}" for n in range(EVENTS * 7)], [])
        for mark in sent[name].marks:
            position += 1
            payload = f'{{"mark": "{mark}", "weight": "{WEIGHT}"}}'
            query(disk.url, naive_writer.INSERT, position, position, payload.encode())

    def until_full() -> None:
        for _ in range(TRIES_MAX):
            append()

    with pytest.raises((psycopg.errors.DiskFull, sqlite3.OperationalError)):
        until_full()
    filler.unlink()
    found = problems(sent, stored(disk.url, naive_writer.TABLE))
    assert [f"torn: {len(sent) - 1}"] == [problem.partition(" has ")[0] for problem in found]


@pytest.mark.soak
@pytest.mark.postgres
@pytest.mark.timeout(300)
async def test_a_full_disk_under_the_wal_stops_the_server_and_loses_nothing() -> None:
    """PostgreSQL panics when its WAL cannot grow; with space and a start the store goes on."""
    load = Load()
    with small_disk(WAL_MEGABYTES, for_server=True) as folder, own_server() as server:
        run(server, "CREATE SCHEMA s")
        server.stop()
        wal = server.data / "pg_wal"
        shutil.move(str(wal), str(folder / "pg_wal"))
        wal.symlink_to(folder / "pg_wal")
        subprocess.run(["chown", "-R", "postgres:", str(folder / "pg_wal")], check=True)
        server.start()
        url = server.url() + "?schema=s"
        async with await open_store(url, retry_seconds=1) as store:
            await load.append(store)
            filler = fill(folder)
            with pytest.raises((StoreUnavailable, CommitUnknown)) as told:
                await _until_full(load, store)
            print(f"told: {type(told.value).__name__}: {told.value}")
            filler.unlink()
            server.start()
            last = list(load.sent.values())[-1]
            last.refused = False
            await load.again(store, last)
            await load.append(store)
        assert [] == problems(load.sent, stored(url))
        assert all(one.answers for one in load.sent.values())
        with psycopg.connect(server.url()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
