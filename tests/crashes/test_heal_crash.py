"""A healing that dies anywhere: once or not at all, found by its repetition, rows right in the end.

Each operation dies before and after every await it has, and is then repeated as a person would;
what is stored is counted from outside with plain SQL. Then real kills: a file of corrections, its
program killed with SIGKILL again and again and started again, until it is through.
"""

from __future__ import annotations

import asyncio
import csv
import fcntl
import json
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import UUID

import pytest

from goldseam import ANY, EventStore, NewEvent, open_store
from goldseam.healing.approval import approve, propose
from goldseam.healing.errors import AlreadyCorrected
from goldseam.healing.plan import plan
from goldseam.healing.projecting import Reprojection, effective_source
from goldseam.healing.request import Request
from goldseam.projections.hosted import HostedProjection
from goldseam.projections.source import StoreSource
from goldseam.resilience.clock import uuid7_bytes
from goldseam.testing.faults import CrashingDatabase, CrashPoint, crash_points, until_crash
from tests.crashes.outside import holes, query
from tests.unit.healing.bank import Balances, deposited, healed, hosted, registry
from tests.unit.healing.shop import Deposited

ROOT = Path(__file__).resolve().parents[2]
KILLS_MAX = 200
"""More kills than this and the file makes no progress: the test fails instead of hanging."""

FIRST_KILL_AFTER_ROWS = 5

PIPE_BYTES = 4_096
"""What a program may have said that nobody has read: about sixty rows."""

Operation = Callable[[EventStore, UUID], Awaitable[object]]


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[EventStore]:
    async with await open_store(store_url, registry=registry) as store:
        yield store


def corrections(url: str, event_id: UUID) -> int:
    """How many corrections of one event are really there."""
    rows = query(url, "SELECT payload FROM goldseam_events WHERE type = 'DepositCorrected'")
    return sum(str(event_id) == json.loads(bytes(p))["originalEventId"] for (p,) in rows)


async def doomed(
    store: EventStore, point: CrashPoint, work: Callable[..., Awaitable[object]]
) -> None:
    """Run ``work`` on a store of its own, as a process that dies at ``point`` has it."""
    database = CrashingDatabase(store.database, point)
    dying = EventStore(database, store.store_id, registry=registry)
    try:
        await until_crash(point, _awaited(work(dying)))
    finally:
        commits = dying._commits._task
        if commits is not None:
            commits.cancel()
            await asyncio.wait({commits})
            _ = commits.cancelled() or commits.exception()


async def _awaited(work: Awaitable[object]) -> object:
    return await work


async def by_hand(store: EventStore, event_id: UUID) -> object:
    return await healed(store, event_id)


async def with_key(store: EventStore, event_id: UUID) -> object:
    return await healed(store, event_id, key=f"k {event_id}")


async def crash_everywhere(store: EventStore, url: str, operation: Operation) -> tuple[int, int]:
    """How many crashes there were, and how many left a correction behind."""
    events: list[UUID] = []

    async def run(point: CrashPoint) -> None:
        events.append(await deposited(store, stream=f"account-{len(events)}"))
        await doomed(store, point, lambda dying: operation(dying, events[-1]))

    crashes, left = 0, 0
    async for _ in crash_points(run):
        found = corrections(url, events[-1])
        assert found <= 1, "corrected twice by one life"
        crashes, left = crashes + 1, left + found
        for _ in range(2):
            await operation(store, events[-1])
            assert 1 == corrections(url, events[-1]), "not exactly once after the repetition"
    assert all(1 == corrections(url, one) for one in events)
    assert 0 == holes(url)
    return crashes, left


@pytest.mark.parametrize("operation", [by_hand, with_key])
async def test_a_heal_that_dies_anywhere_is_once_after_its_repetition(
    store: EventStore, store_url: str, operation: Operation
) -> None:
    """Some crashes leave the correction, some do not; the same request again makes it one."""
    crashes, left = await crash_everywhere(store, store_url, operation)
    assert crashes >= 6
    assert 0 < left < crashes


async def _careless(store: EventStore, event_id: UUID) -> object:
    """The damage: neither looked at what is there nor expected a version."""
    original = await store.read_event(event_id)
    assert original is not None
    request = Request(event_id, {"amount": 100}, "typo", "J-1", "ada")
    try:
        event = (await plan(store, request)).event
    except AlreadyCorrected:
        event = (await store.read_stream(original.stream))[-1].data
    return await store.append(original.stream, [event], expected=ANY)


async def test_control_a_careless_repetition_corrects_twice(
    store: EventStore, store_url: str
) -> None:
    """The count above can fail."""
    with pytest.raises(AssertionError, match="not exactly once"):
        await crash_everywhere(store, store_url, _careless)


async def test_an_approval_that_dies_anywhere_is_one_correction(
    store: EventStore, store_url: str
) -> None:
    """Approved again, the proposal is decided and its correction is the one from before."""
    events: list[tuple[UUID, str]] = []

    async def run(point: CrashPoint) -> None:
        wrong = await deposited(store, stream=f"account-{len(events)}")
        request = Request(wrong, {"amount": 100}, "typo", "J-1", "ada")
        events.append((wrong, (await propose(store, request)).id))
        await doomed(store, point, lambda d: approve(d, events[-1][1], approved_by="grace"))

    crashes, left = 0, 0
    async for _ in crash_points(run):
        wrong, proposal = events[-1]
        left += corrections(store_url, wrong)
        crashes += 1
        done = await approve(store, proposal, approved_by="grace")
        assert "grace" == done.approved_by
        assert 1 == corrections(store_url, wrong)
        sql = "SELECT decision FROM goldseam_heal_proposals WHERE id = ?"
        assert [("approved",)] == query(store_url, sql, proposal)
    assert 0 < left < crashes


async def test_a_request_for_a_reprojection_that_dies_anywhere_is_made_up_for(
    store: EventStore, store_url: str
) -> None:
    """Whoever asks next sees that the rows lack a correction, whatever the dead one had begun."""
    balances = hosted(store, Balances())
    await balances.prepare()
    await balances.runner.catch_up()
    count = 0

    async def run(point: CrashPoint) -> None:
        nonlocal count
        count += 1
        await healed(store, await deposited(store, stream=f"account-{count}"))
        database = CrashingDatabase(store.database, point)
        dying = EventStore(database, store.store_id, registry=registry)
        source = effective_source(StoreSource(dying), dying, Balances())
        one = HostedProjection(Balances(), source, database, registry=registry)
        await until_crash(point, _awaited(Reprojection(dying, one).request()))

    crashes = 0
    async for _ in crash_points(run):
        crashes += 1
        watch = Reprojection(store, balances)
        await watch.request()
        assert await balances.building() is not None
        await balances.rebuild()
        await balances.runner.catch_up()
        expected = sorted((f"account-{n}", 100) for n in range(1, count + 1))
        assert expected == sorted(query(store_url, "SELECT account, balance FROM balances"))
        assert not await watch.request()
    assert crashes >= 10


async def _wrong(url: str, streams: int) -> list[UUID]:
    ids = [UUID(bytes=uuid7_bytes()) for _ in range(streams)]
    async with await open_store(url) as store:
        writes = [(f"account-{n}", 0, [NewEvent(Deposited(50), one)]) for n, one in enumerate(ids)]
        for first in range(0, streams, 100):
            await store.append_all(writes[first : first + 100])
    return ids


def bulk(url: str, file: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "goldseam", "heal", "bulk", str(file), "--by", "ada",
         "--app", "tests.unit.healing.shop", "--store", url],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
    )  # fmt: skip
    assert process.stdout is not None
    # It cannot run far ahead of what is read here: each kill meets it in the middle.
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return process


def killed_and_resumed(url: str, file: Path, rng: random.Random, rows_a_life: int) -> int:
    """Run the file, killing each life after some rows of its own; how many kills there were."""
    for kills in range(KILLS_MAX):
        process = bulk(url, file)
        patience = rng.randint(FIRST_KILL_AFTER_ROWS, rows_a_life)
        assert process.stdout is not None
        for line in process.stdout:
            patience -= line.split(b"\t")[2] == b"healed"
            if patience <= 0:
                process.kill()
                break
        process.stdout.close()
        if process.wait() == 0:
            return kills
        assert -9 == process.returncode
    raise AssertionError(f"not through after {KILLS_MAX} kills")


@pytest.mark.parametrize(
    ("streams", "rows_a_life"),
    [
        pytest.param(120, 40, id="short"),
        pytest.param(1_000, 150, id="soak", marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
def test_a_file_of_corrections_that_is_killed_and_resumed(
    store_url: str, tmp_path: Path, streams: int, rows_a_life: int
) -> None:
    """Each stream ends with exactly one correction, and nothing else: counted with plain SQL."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    ids = asyncio.run(_wrong(store_url, streams))
    file = tmp_path / "wrong.csv"
    with file.open("w", encoding="utf-8", newline="") as opened:
        out = csv.writer(opened)
        out.writerow(["event_id", "field", "value", "reason", "ticket"])
        out.writerows([one, "amount", 100, "typo", "JIRA-1"] for one in ids)
    kills = killed_and_resumed(store_url, file, random.Random(seed), rows_a_life)

    assert kills >= 1, "nothing was killed, nothing was shown"
    rows = query(
        store_url,
        "SELECT stream, type, payload FROM goldseam_events WHERE version = 2 ORDER BY position",
    )
    assert [(2 * streams,)] == query(store_url, "SELECT count(*) FROM goldseam_events")
    assert streams == len(rows)
    named = {json.loads(bytes(payload))["originalEventId"] for _, _, payload in rows}
    assert {str(one) for one in ids} == named
    assert {"heal.DepositCorrected"} == {kind for _, kind, _ in rows}
    assert 0 == holes(store_url)
