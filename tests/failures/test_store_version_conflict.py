"""store/version-conflict: two writers decide on the same version, and no rule is broken.

A rival writes at the worst moment, between load and append, through a connection of its own;
what is stored is added up from outside. The control appends without looking at the version.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from examples.bank.events import DepositApplied, MoneyWithdrawn
from goldseam import ANY, EventStore, VersionConflict, blocking, handle, open_store
from goldseam.telemetry.signals import signals
from tests.crashes.outside import holes, query, transaction, versions
from tests.unit.commands.accounts import Account, InsufficientFunds

STREAM = "account-1"
CONFLICTS = "goldseam_append_conflicts_total"


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[EventStore]:
    """A store whose one account has a balance of 100."""
    store = await open_store(store_url)
    await store.append(STREAM, [DepositApplied(total_amount=100)], expected=ANY)
    yield store
    await store.close()


def _balance(url: str) -> int:
    """The balance that the stored facts add up to."""
    found = query(url, "SELECT payload FROM goldseam_events WHERE stream = ?", STREAM)
    amounts = [
        fields.get("totalAmount", 0) - fields.get("amount", 0)
        for fields in (json.loads(bytes(payload)) for (payload,) in found)
    ]
    return sum(amounts)


def _rival_takes(url: str, amount: int) -> None:
    with transaction(url) as connection:
        blocking.append(connection, STREAM, [MoneyWithdrawn(amount=amount)], expected=ANY)


async def test_a_rival_between_load_and_append_makes_the_command_decide_again(
    store: EventStore, store_url: str
) -> None:
    """The second decision sees what the rival took, and refuses."""
    seen: list[int] = []

    def withdraw_all(account: Account) -> None:
        seen.append(account.balance)
        if len(seen) == 1:
            _rival_takes(store_url, 30)
        account.withdraw(100)

    before = signals.value(CONFLICTS)
    with pytest.raises(InsufficientFunds, match="there is 70"):
        await handle(store, Account, STREAM, withdraw_all)
    assert [100, 70] == seen
    assert before + 1 == signals.value(CONFLICTS)
    assert 70 == _balance(store_url)


async def test_control_without_the_version_check_the_account_is_overdrawn(
    store: EventStore, store_url: str
) -> None:
    """The same race with an append that expects any version breaks the business's rule."""
    loaded = (await handle(store, Account, STREAM, lambda _: None)).state
    assert loaded.balance >= 100
    _rival_takes(store_url, 30)
    await store.append(STREAM, [MoneyWithdrawn(amount=100)], expected=ANY)
    assert -30 == _balance(store_url)


async def test_a_rival_that_is_always_faster_is_told_to_the_caller(
    store: EventStore, store_url: str
) -> None:
    """The attempts are bounded, each has its pause, and nothing of ours is stored."""
    decided = 0
    pauses: list[int] = []

    def deposit(account: Account) -> None:
        nonlocal decided
        decided += 1
        _rival_takes(store_url, 1)
        account.deposit(1_000)

    async def pause(attempt: int) -> None:
        pauses.append(attempt)

    with pytest.raises(VersionConflict) as caught:
        await handle(store, Account, STREAM, deposit, attempts=4, pause=pause)
    assert (4, 5) == (caught.value.expected, caught.value.actual)
    assert (4, [1, 2, 3]) == (decided, pauses)
    assert 96 == _balance(store_url)


async def test_sixteen_writers_in_two_stores_never_overdraw_and_lose_nothing(
    store: EventStore, store_url: str
) -> None:
    """Of 32 withdrawals of 10 exactly the 10 that the balance covers are stored."""
    other = await open_store(store_url)

    async def withdraw(n: int) -> bool:
        mine = (store, other)[n % 2]
        try:
            await handle(mine, Account, STREAM, lambda a: a.withdraw(10), attempts=100)
        except InsufficientFunds:
            return False
        return True

    done = await asyncio.gather(*(withdraw(n) for n in range(32)))
    await other.close()
    assert 10 == sum(done)
    assert 0 == _balance(store_url)
    assert list(range(1, 12)) == versions(store_url, STREAM)
    assert 0 == holes(store_url)
