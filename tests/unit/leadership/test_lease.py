"""Leases: one holder at a time, and a token that only grows."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from goldseam.database.connection import Database
from goldseam.leadership.errors import LeaseLost
from goldseam.leadership.lease import Leases, check
from goldseam.outbox.shards import share_of
from goldseam.runtime.wiring import open_database


class Hands:
    """A clock that is set by hand."""

    us = 1_000_000_000

    def now_us(self) -> int:
        return self.us

    def monotonic(self) -> float:
        return self.us / 1e6


@pytest.fixture
async def database(store_url: str) -> AsyncIterator[Database]:
    """A database."""
    opened = open_database(store_url)
    yield opened
    await opened.close()


async def test_a_lease_has_one_holder_until_it_ends(database: Database) -> None:
    """The next holder has a higher token, and the old one's is refused everywhere."""
    clock = Hands()
    leases = Leases(database, clock)
    await leases.prepare()
    first = await leases.acquire("shard", "a", 10)
    assert first is not None
    assert None is await leases.acquire("shard", "b", 10)
    clock.us += 10_000_001
    second = await leases.acquire("shard", "b", 10)
    assert second is not None
    assert second.token > first.token
    with pytest.raises(LeaseLost, match="changed hands"):
        await leases.renew(first, 10)
    with pytest.raises(LeaseLost):
        await database.transact(lambda c: check(c, first))
    await database.transact(lambda c: check(c, second))


async def test_a_released_lease_is_free_at_once_and_its_token_is_never_given_again(
    database: Database,
) -> None:
    """Release by somebody who has it no longer changes nothing."""
    clock = Hands()
    leases = Leases(database, clock)
    await leases.prepare()
    first = await leases.acquire("shard", "a", 10)
    assert first is not None
    await leases.release(first)
    second = await leases.acquire("shard", "b", 10)
    assert second is not None
    await leases.release(first)
    assert None is await leases.acquire("shard", "c", 10)
    assert first.token + 1 == second.token
    assert ["b"] == await leases.living("sh")


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_shards_are_shared_fairly_and_each_is_somebodys(processes: int) -> None:
    """The shares differ by at most one shard."""
    names = [f"p{n}" for n in range(processes)]
    shares = [share_of(name, names, 8) for name in names]
    assert list(range(8)) == sorted(shard for share in shares for shard in share)
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1
