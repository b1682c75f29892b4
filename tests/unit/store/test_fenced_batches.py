"""Appends under one fence: together in a batch while their token is the same, and never else."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from goldseam import ANY, Fence, Fenced, Registry, open_store
from goldseam.store.event_store import EventStore

MANY = 100
BATCHES_MAX = 10

registry = Registry()


@registry.event(name="fenced.NoteTaken")
class NoteTaken(msgspec.Struct, frozen=True):
    text: str


def counted(store: EventStore) -> list[int]:
    """The sizes of the batches that go to the database from now on."""
    sizes: list[int] = []
    database: Any = store.database
    send = database.append

    async def append(batch: Any) -> Any:
        sizes.append(len(batch))
        return await send(batch)

    database.append = append
    return sizes


async def take(store: EventStore, stream: str, token: int) -> bool:
    """Whether the append was taken."""
    try:
        fence = Fence("notes", token)
        await store.append(stream, [NoteTaken("x")], expected=ANY, fence=fence)
    except Fenced:
        return False
    return True


async def _together(url: str) -> tuple[list[bool], list[int]]:
    async with await open_store(url, registry=registry) as store:
        sizes = counted(store)
        taken = await asyncio.gather(*(take(store, f"note-{n}", 1) for n in range(MANY)))
    return taken, sizes


def test_appends_under_one_token_share_a_batch(store_url: str) -> None:
    """A hundred sagas of one shard are written in a few transactions, not in a hundred."""
    taken, sizes = asyncio.run(_together(store_url))

    assert all(taken)
    assert MANY == sum(sizes)
    assert len(sizes) <= BATCHES_MAX


async def _two_tokens(url: str) -> list[bool]:
    async with await open_store(url, registry=registry) as store:
        tokens = [2] * 3 + [1] * 3 + [2] * 3
        waiting = (take(store, f"note-{n}", token) for n, token in enumerate(tokens))
        return await asyncio.gather(*waiting)


def test_an_older_token_never_shares_a_batch_with_a_newer_one(store_url: str) -> None:
    """It waits for the next batch, and there it is refused."""
    assert [True] * 3 + [False] * 3 + [True] * 3 == asyncio.run(_two_tokens(store_url))
