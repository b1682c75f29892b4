"""store/stale-writer and cluster/fencing-tokens: the store itself refuses an old token."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from goldseam import ANY, EventStore, Fence, Fenced, open_store
from tests.crashes.outside import query
from tests.support.ticks import registry, tick

STALE_ATTEMPTS = 1_000


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[EventStore]:
    async with await open_store(store_url, registry=registry) as opened:
        yield opened


async def test_no_stale_token_is_ever_accepted(store: EventStore, store_url: str) -> None:
    """A thousand writes with tokens below the newest one, many at once: none is stored."""
    await store.append("tick-0", [tick(0, 0)], expected=ANY, fence=Fence("shard-1", 500))

    async def attempt(n: int) -> bool:
        with pytest.raises(Fenced):
            await store.append(
                "tick-0", [tick(0, n)], expected=ANY, fence=Fence("shard-1", n % 500)
            )
        return True

    refused = await asyncio.gather(*(attempt(n) for n in range(STALE_ATTEMPTS)))

    assert STALE_ATTEMPTS == sum(refused)
    assert [(1,)] == query(store_url, "SELECT count(*) FROM goldseam_events")


async def test_the_new_leader_wins_a_race_with_the_old_one(
    store: EventStore, store_url: str
) -> None:
    """Both write at once; from the first accepted write of the new one on, the old one is out."""
    outcomes: list[tuple[int, int]] = []

    async def leader(token: int) -> None:
        for n in range(50):
            try:
                done = await store.append(
                    f"tick-{token}", [tick(token, n)], expected=ANY, fence=Fence("shard-1", token)
                )
                outcomes.append((done.position, token))
            except Fenced:
                return

    await asyncio.gather(leader(7), leader(8))
    stored = query(store_url, "SELECT count(*) FROM goldseam_events")[0][0]
    tokens = [token for _, token in sorted(outcomes)]

    assert sorted(tokens) == tokens
    assert len(tokens) == stored
    assert 50 == tokens.count(8)


async def test_equal_tokens_and_other_names_are_no_conflict(store: EventStore) -> None:
    """One lease may write many times, and fences of other shards do not matter."""
    for fence in (Fence("shard-1", 7), Fence("shard-1", 7), Fence("shard-2", 1)):
        await store.append("tick-0", [tick(0, 0)], expected=ANY, fence=fence)

    other_tenant = store.for_tenant("acme")
    await other_tenant.append("tick-0", [tick(0, 0)], expected=ANY, fence=Fence("shard-1", 1))


CHILD = """
import asyncio, sys
from goldseam import ANY, Fence, Fenced, open_store
from tests.support.ticks import registry, tick

async def main(url, first):
    refused = stored = 0
    async with await open_store(url, registry=registry) as store:
        async def attempt(n):
            nonlocal refused, stored
            try:
                fence = Fence("shard-1", first + n % 100)
                await store.append("tick-0", [tick(0, n)], expected=ANY, fence=fence)
                stored += 1
            except Fenced:
                refused += 1
        await asyncio.gather(*(attempt(n) for n in range(ATTEMPTS)))
    print(refused, stored)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


async def test_stale_writers_of_other_processes_are_refused_too(
    store: EventStore, store_url: str
) -> None:
    """Three processes that lost the lease write while its new holder does: none of theirs lands."""
    fence, leader = Fence("shard-1", 1_000), 0
    await store.append("tick-1", [tick(1, 0)], expected=ANY, fence=fence)
    each = STALE_ATTEMPTS // 3
    code = CHILD.replace("ATTEMPTS", str(each))
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path])}
    children = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, store_url, str(first), env=environment,
            stdout=asyncio.subprocess.PIPE,
        )
        for first in (1, 400, 800)
    ]  # fmt: skip
    answers = asyncio.gather(*(child.communicate() for child in children))
    while not answers.done() and leader < 200:
        await store.append("tick-1", [tick(1, leader)], expected=ANY, fence=fence)
        leader += 1
        await asyncio.sleep(0.01)
    counts = [tuple(map(int, out.split())) for out, _ in await answers]

    assert [(each, 0)] * 3 == counts
    found = query(store_url, "SELECT stream, count(*) FROM goldseam_events GROUP BY stream")
    assert [("tick-1", 1 + leader)] == found


async def test_control_without_a_fence_the_old_leader_goes_on_writing(
    store: EventStore, store_url: str
) -> None:
    """The writer that lost its lease and does not know it: every write lands."""
    await store.append("tick-0", [tick(0, 0)], expected=ANY, fence=Fence("shard-1", 8))
    for n in range(10):
        await store.append("tick-0", [tick(0, n)], expected=ANY)

    assert [(11,)] == query(store_url, "SELECT count(*) FROM goldseam_events")
