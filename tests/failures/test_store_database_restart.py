"""store/database-restart: the database goes away under load; everything resumes by itself.

A PostgreSQL of the test's own is restarted, killed and cut off while 16 tasks append and a follower
reads; on SQLite another process holds the write lock. Nobody catches an error: the load itself
fails the test if one reaches it. The control gives the store no time to try again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from goldseam import ANY, open_store
from goldseam.backends.sqlite import database as sqlite_database
from goldseam.errors import CommitUnknown, StoreUnavailable
from goldseam.telemetry.signals import signals
from goldseam.testing.tcp_proxy import TcpProxy
from tests.faults.ledger import ParcelScanned, problems, stored
from tests.faults.load import Load, running
from tests.faults.processes import program
from tests.faults.server import own_server, run
from tools.postgres_server import PostgresServer

SEED = 29
WRITERS = 16
RESTARTS_LONG = 20
UNAVAILABLE = "goldseam_store_unavailable_total"
BUSY_SECONDS = 0.1
PATIENCE_SECONDS = 120
"""For how long a server on a slow disk may recover."""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that the tests of this file may break."""
    with own_server() as server:
        yield server


@pytest.fixture
async def url(server: PostgresServer, request: pytest.FixtureRequest) -> str:
    """An empty schema of the breakable server."""
    server.start()
    schema = f"x{abs(hash(request.node.name)) % 10**9}"
    run(server, f"CREATE SCHEMA {schema}")
    return f"{server.url()}?schema={schema}"


@pytest.fixture
async def proxy(server: PostgresServer) -> AsyncIterator[TcpProxy]:
    """A proxy in front of that server."""
    async with TcpProxy("127.0.0.1", server.port()) as proxy:
        yield proxy


def _check(url: str, load: Load) -> None:
    log = stored(url)
    assert [] == problems(load.sent, log)
    assert all(one.answers for one in load.sent.values())
    assert [(one.position, one.mark) for one in log] == load.seen
    print(f"{len(load.sent)} appends, {len(log)} events, all followed")


def _restart(server: PostgresServer, how: str) -> None:
    if how == "kill":
        server.kill()
    else:
        server.stop(how)
    server.start()


async def _restarted(server: PostgresServer, url: str, ways: list[str]) -> None:
    before = signals.value(UNAVAILABLE)
    async with await open_store(url, retry_seconds=PATIENCE_SECONDS) as store:
        load = Load(store, SEED)
        async with running(load, WRITERS) as tasks:
            for how in ways:
                await load.alive(tasks)
                await asyncio.to_thread(_restart, server, how)
            await load.alive(tasks)
    assert signals.value(UNAVAILABLE) > before  # some tries end as an unknown outcome instead
    _check(url, load)


@pytest.mark.postgres
@pytest.mark.timeout(400)
async def test_restarts_under_load_lose_and_double_nothing(
    server: PostgresServer, url: str
) -> None:
    """A fast stop, an immediate one, a killed postmaster: appends and followers go on."""
    await _restarted(server, url, ["fast", "immediate", "kill"])


@pytest.mark.soak
@pytest.mark.postgres
@pytest.mark.timeout(900)
async def test_twenty_restarts(server: PostgresServer, url: str) -> None:
    """The same, twenty times in a seeded order."""
    rng = random.Random(SEED)
    ways = [rng.choice(["fast", "immediate", "kill"]) for _ in range(RESTARTS_LONG)]
    await _restarted(server, url, ways)


@pytest.mark.postgres
async def test_lost_connections_under_load_lose_and_double_nothing(
    proxy: TcpProxy, url: str
) -> None:
    """FIN, RST, refused connections, lost answers, a slow and a silent network, one by one."""
    through = url.replace(f":{urlsplit(url).port}/", f":{proxy.port}/")
    async with await open_store(through) as store:
        load = Load(store, SEED)
        async with running(load, WRITERS) as tasks:
            for fault in ("cut", "reset", "refuse", "lose", "slow", "silent", "lose", "cut"):
                await load.alive(tasks)
                await _break(proxy, fault)
                await load.alive(tasks)
                proxy.heal()
    assert proxy.answers_lost == 2
    _check(url, load)


async def _break(proxy: TcpProxy, fault: str) -> None:
    match fault:
        case "cut":
            proxy.cut()
        case "reset":
            proxy.reset()
        case "refuse":
            await proxy.refuse()
            await asyncio.sleep(0.3)
            await proxy.accept()
        case "lose":
            proxy.lose_answer_to(b'"mark"')
        case "slow":
            proxy.latency_seconds = 0.02
        case "silent":
            proxy.blackhole()
            await asyncio.sleep(0.3)
            proxy.heal()


@pytest.mark.postgres
async def test_a_store_opened_before_the_outage_answers_reads_after_it(
    server: PostgresServer, url: str
) -> None:
    """Idle connections that died meanwhile cost nobody an error."""
    async with await open_store(url) as store:
        await store.append("parcel-1", [ParcelScanned(mark="a")], expected=ANY)
        assert 1 == await store.head()
        await asyncio.to_thread(_restart, server, "immediate")
        assert ["a"] == [event.data.mark for event in await store.read_all()]
        assert 1 == await store.head()
        assert 2 == (await store.append("parcel-1", [ParcelScanned(mark="b")], expected=1)).position


@pytest.mark.postgres
async def test_control_without_time_to_try_again_the_restart_reaches_the_caller(
    server: PostgresServer, url: str
) -> None:
    """retry_seconds=0: the same restart surfaces as an error."""
    async with await open_store(url, retry_seconds=0) as store:
        load = Load(store, SEED)

        async def restarted_once() -> None:
            async with running(load, WRITERS) as tasks:
                await load.alive(tasks)
                await asyncio.to_thread(_restart, server, "immediate")
                await load.alive(tasks)

        with pytest.raises((StoreUnavailable, CommitUnknown)):
            await restarted_once()


@pytest.fixture
def impatient_sqlite(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A SQLite file whose connections wait for a lock for a tenth of a second only."""
    monkeypatch.setattr(sqlite_database, "BUSY_TIMEOUT_SECONDS", BUSY_SECONDS)
    return tmp_path / "store.db"


async def test_another_process_that_holds_the_write_lock_only_delays_the_writers(
    impatient_sqlite: Path,
) -> None:
    """The lock is held for longer than SQLite waits; the store tries again, nothing is lost."""
    url = f"sqlite:///{impatient_sqlite}"
    before = signals.value(UNAVAILABLE)
    async with await open_store(url) as store:
        load = Load(store, SEED)
        async with running(load, WRITERS) as tasks:
            for _ in range(2):
                await load.alive(tasks)
                with program("lock_holder", str(impatient_sqlite)) as holder:
                    assert "locked" == await asyncio.to_thread(holder.line)
                    await asyncio.sleep(BUSY_SECONDS * 5)
                    holder.say("enough")
                    assert 0 == await asyncio.to_thread(holder.ended)
            await load.alive(tasks)
    assert signals.value(UNAVAILABLE) >= before + 2
    _check(url, load)


async def test_control_without_time_to_try_again_the_held_lock_reaches_the_caller(
    impatient_sqlite: Path,
) -> None:
    """retry_seconds=0: the same lock surfaces as an error, and nothing is written."""
    url = f"sqlite:///{impatient_sqlite}"
    async with await open_store(url, retry_seconds=0) as store:
        with program("lock_holder", str(impatient_sqlite)) as holder:
            assert "locked" == await asyncio.to_thread(holder.line)
            with pytest.raises(StoreUnavailable, match="locked"):
                await store.append("parcel-1", [ParcelScanned(mark="a")], expected=ANY)
    assert [] == stored(url)
