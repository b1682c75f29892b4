"""A crash before and after every await: nothing acknowledged lost, nothing torn, nothing twice.

Each operation is run once for every await it has, on each side of it, and dies there. What is
stored is then read from outside with plain SQL; the operation is repeated with the same ids or
key, as a client would, and read again. An operation of another part (a projection's checkpoint)
joins by one more line in ``OPERATIONS``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple
from uuid import UUID

import pytest

from examples.bank.events import DepositApplied
from goldseam import ANY, NEW, EventStore, NewEvent, handle, open_store
from goldseam.commands.snapshots import SnapshotPolicy
from goldseam.database.connection import Connection
from goldseam.database.statements import statements
from goldseam.resilience.clock import uuid7_bytes
from goldseam.testing.faults import CrashingDatabase, CrashPoint, crash_points, until_crash
from tests.crashes.outside import holes, query, versions
from tests.unit.commands.accounts import Account

EVENTS = 2
"""Events that each operation writes to each of its streams."""


class Try(NamedTuple):
    """One operation at one crash point: the names and ids that its repetition uses again."""

    streams: tuple[str, ...]
    key: str
    ids: tuple[UUID, ...]

    def events(self, stream: int = 0) -> list[NewEvent]:
        mine = self.ids[stream * EVENTS : (stream + 1) * EVENTS]
        return [NewEvent(DepositApplied(total_amount=5), one) for one in mine]


Operation = Callable[[EventStore, Try], Awaitable[object]]


async def append(store: EventStore, this: Try) -> object:
    """The same event ids on the repetition."""
    return await store.append(this.streams[0], this.events(), expected=NEW)


async def append_with_key(store: EventStore, this: Try) -> object:
    """Another process repeats: new ids, the same key."""
    events = [DepositApplied(total_amount=5)] * EVENTS
    return await store.append(this.streams[0], events, expected=NEW, key=this.key)


async def append_all(store: EventStore, this: Try) -> object:
    """Two streams, all or nothing."""
    writes = [(stream, NEW, this.events(n)) for n, stream in enumerate(this.streams)]
    return await store.append_all(writes)


async def handle_command(store: EventStore, this: Try) -> object:
    """Load, decide, append, keep a snapshot."""

    def deposit(account: Account) -> None:
        for _ in range(EVENTS):
            account.deposit(5)

    done = await handle(
        store, Account, this.streams[0], deposit, key=this.key, snapshots=SnapshotPolicy(every=1)
    )
    assert 5 * EVENTS == done.state.balance
    return done


class Case(NamedTuple):
    """An operation, how many streams it writes, and whether each of its writes has a key."""

    operation: Operation
    streams: int
    keyed: bool


OPERATIONS = [
    pytest.param(Case(append, 1, keyed=False), id="append"),
    pytest.param(Case(append_with_key, 1, keyed=True), id="append with a key"),
    pytest.param(Case(append_all, 2, keyed=False), id="append to two streams"),
    pytest.param(Case(handle_command, 1, keyed=True), id="handle with a snapshot"),
]


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[EventStore]:
    store = await open_store(store_url)
    yield store
    await store.close()


async def _run(store: EventStore, case: Case, this: Try, point: CrashPoint) -> None:
    """Run the operation in a process of its own, as it were: it has its own group commit."""
    doomed = EventStore(CrashingDatabase(store.database, point), store.store_id)
    try:
        await until_crash(point, _awaited(case.operation(doomed, this)))
    finally:
        group_commit = doomed._commits._task
        if group_commit is not None:
            group_commit.cancel()
            await asyncio.wait({group_commit})
            _ = group_commit.cancelled() or group_commit.exception()


async def _awaited(work: Awaitable[object]) -> object:
    return await work


def _stored(url: str, case: Case, this: Try) -> bool:
    """Whether the operation's write is in the log; half of it is a failure."""
    whole = list(range(1, EVENTS + 1))
    found = [versions(url, stream) for stream in this.streams]
    assert all(len(one) <= EVENTS for one in found), f"stored twice: {found}"
    assert found in ([whole] * case.streams, [[]] * case.streams), f"torn: {found}"
    keys = query(url, "SELECT count(*) FROM goldseam_keys WHERE key = ?", this.key)[0][0]
    assert keys == int(case.keyed and bool(found[0])), "the key and its events are not together"
    return bool(found[0])


async def _crash_everywhere(store: EventStore, url: str, case: Case) -> tuple[int, int]:
    """Crash ``case`` at each await; how many crashes there were, and how many left it stored."""
    tries: list[Try] = []

    async def run(point: CrashPoint) -> None:
        name = f"{point.side}{point.number}"
        streams = tuple(f"account-{name}{n}" for n in range(case.streams))
        ids = tuple(UUID(bytes=uuid7_bytes()) for _ in range(EVENTS * case.streams))
        tries.append(Try(streams, f"key {name}", ids))
        await _run(store, case, tries[-1], point)

    crashes, left = 0, 0
    async for _ in crash_points(run):
        this = tries[-1]
        crashes += 1
        left += _stored(url, case, this)
        await case.operation(store, this)
        assert _stored(url, case, this), "the repetition was acknowledged and is not there"
        await case.operation(store, this)
        assert _stored(url, case, this)
    for acknowledged in tries:
        assert _stored(url, case, acknowledged), "acknowledged and not there"
    assert 0 == holes(url)
    return crashes, left


@pytest.mark.parametrize("case", OPERATIONS)
async def test_a_crash_at_every_await_loses_tears_and_doubles_nothing(
    store: EventStore, store_url: str, case: Case
) -> None:
    """Some crashes leave the write stored and some do not; a repetition makes it once."""
    crashes, left = await _crash_everywhere(store, store_url, case)
    assert crashes >= 4
    assert 0 < left < crashes


async def test_a_crash_around_the_snapshot_leaves_it_whole_or_absent(
    store: EventStore, store_url: str
) -> None:
    """The command is handled to its end with whatever the crash has left of the cache."""
    case = Case(handle_command, 1, keyed=True)
    await _crash_everywhere(store, store_url, case)
    streams = [s for (s,) in query(store_url, "SELECT DISTINCT stream FROM goldseam_events")]
    assert len(streams) > 4
    for stream in streams:
        cached = await handle(
            store, Account, stream, lambda _: None, snapshots=SnapshotPolicy(every=1)
        )
        replayed = await handle(store, Account, stream, lambda _: None)
        assert replayed.state == cached.state


async def _key_apart(store: EventStore, this: Try) -> object:
    """The damage: the events in one transaction, the key's row in the next."""
    fingerprint = b"a fingerprint"
    if await store.first_result(this.key, fingerprint, this.streams[0]):
        return None
    events = [DepositApplied(total_amount=5)] * EVENTS
    done = await store.append(this.streams[0], events, expected=ANY)
    row = {"tenant": "main", "key": this.key, "fingerprint": fingerprint, "recorded_us": 1,
           "first": done.first_position, "last": done.position}  # fmt: skip

    async def remember(connection: Connection) -> None:
        await connection.fetch(statements("goldseam.store", "sqlite")["insert_key"], row)

    await store.database.transact(remember)
    return done


async def _streams_apart(store: EventStore, this: Try) -> object:
    """The damage: one transaction for each stream."""
    for n, stream in enumerate(this.streams):
        await store.append(stream, this.events(n), expected=NEW)
    return None


async def _same_write_anew(store: EventStore, this: Try) -> object:
    """The damage: a repetition with neither the first one's ids nor its key."""
    events = [DepositApplied(total_amount=5)] * EVENTS
    return await store.append(this.streams[0], events, expected=ANY)


CONTROLS = [
    pytest.param(Case(_key_apart, 1, keyed=True), "not together", id="the key apart"),
    pytest.param(Case(_streams_apart, 2, keyed=False), "torn", id="the streams apart"),
    pytest.param(Case(_same_write_anew, 1, keyed=False), "twice", id="no ids and no key"),
]


@pytest.mark.parametrize(("case", "damage"), CONTROLS)
async def test_control_the_same_crashes_show_the_damage_where_a_cure_is_left_out(
    store: EventStore, store_url: str, case: Case, damage: str
) -> None:
    """The checks above can fail: each of three careless writers is found out."""
    with pytest.raises(AssertionError, match=damage):
        await _crash_everywhere(store, store_url, case)
