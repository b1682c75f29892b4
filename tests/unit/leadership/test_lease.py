"""One holder at a time, and a token that only grows."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from goldseam.leadership.errors import LeaseLost
from goldseam.leadership.lease import Leases, check
from goldseam.resilience.clock import SystemClock
from goldseam.runtime.wiring import open_database

SECONDS = 10.0


class Settable(SystemClock):
    """A clock that the test puts forward."""

    def __init__(self) -> None:
        self.ahead_us = 0

    def now_us(self) -> int:
        return super().now_us() + self.ahead_us


@pytest.fixture
def clock() -> Settable:
    return Settable()


@pytest.fixture
async def leases(store_url: str, clock: Settable) -> AsyncIterator[Leases]:
    database = open_database(store_url)
    leases = Leases(database, clock)
    await leases.prepare()
    yield leases
    await database.close()


async def test_one_holds_it_until_its_time_is_over(leases: Leases, clock: Settable) -> None:
    """Another gets nothing meanwhile, and afterwards a higher token."""
    first = await leases.acquire("relay", "ann", SECONDS)
    assert first is not None
    assert await leases.acquire("relay", "bob", SECONDS) is None
    clock.ahead_us += int(SECONDS * 1_000_000) + 1
    second = await leases.acquire("relay", "bob", SECONDS)
    assert second is not None
    assert first.token < second.token
    with pytest.raises(LeaseLost):
        await leases.renew(first, SECONDS)
    await leases.renew(second, SECONDS)


async def test_a_restarted_holder_gets_it_back_at_once(leases: Leases) -> None:
    """Under a new token, so that its former self is refused."""
    first = await leases.acquire("relay", "ann", SECONDS)
    again = await leases.acquire("relay", "ann", SECONDS)
    assert first is not None
    assert again is not None
    assert first.token < again.token
    with pytest.raises(LeaseLost):
        await leases.renew(first, SECONDS)


async def test_a_released_lease_is_free_and_its_token_gone(leases: Leases) -> None:
    """A token is never given twice."""
    first = await leases.acquire("relay", "ann", SECONDS)
    assert first is not None
    await leases.release(first)
    second = await leases.acquire("relay", "bob", SECONDS)
    assert second is not None
    assert first.token < second.token
    await leases.release(first)
    held = await leases.lease("relay")
    assert held is not None
    assert ("bob", second.token) == (held.holder, held.token)
    assert held.until_us > 0


async def test_a_stale_token_is_refused_inside_a_transaction(leases: Leases) -> None:
    """What a late holder writes does not commit."""
    database = leases._database
    first = await leases.acquire("relay", "ann", SECONDS)
    again = await leases.acquire("relay", "ann", SECONDS)
    assert first is not None
    assert again is not None
    await database.transact(lambda c: check(c, again))
    with pytest.raises(LeaseLost):
        await database.transact(lambda c: check(c, first))
