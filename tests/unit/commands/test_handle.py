"""Handle a command on both stores: answers, keys, conflicts, positions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from examples.bank.account import Deposit, OpenAccount, account
from examples.bank.events import AccountOpened, DepositApplied
from goldseam import (
    ANY,
    NEW,
    Decider,
    EventStore,
    Fence,
    Fenced,
    IdempotencyMismatch,
    NewEvent,
    VersionConflict,
    handle,
    open_store,
)
from goldseam.errors import InvalidName
from tests.crashes.outside import query, versions
from tests.unit.commands.accounts import Account, InsufficientFunds

STREAM = "account-1"


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[EventStore]:
    store = await open_store(store_url)
    yield store
    await store.close()


async def test_a_command_is_decided_and_its_facts_are_stored(
    store: EventStore, store_url: str
) -> None:
    """The answer tells the facts, the state after them, and where they stand."""
    done = await handle(store, account, STREAM, OpenAccount(owner="ada"))
    assert (AccountOpened(owner="ada"),) == done.events
    assert (1, 1, False) == (done.position, done.version, done.replayed)
    done = await handle(store, account, STREAM, Deposit(amount=50))
    assert done.state.balance == 50
    assert await store.position_of(done.token) == 2
    assert [1, 2] == versions(store_url, STREAM)


async def test_a_refused_command_writes_nothing(store: EventStore, store_url: str) -> None:
    """The decision's own exception reaches the caller, and the stream stays as it was."""
    with pytest.raises(InsufficientFunds):
        await handle(store, Account, STREAM, lambda a: a.withdraw(1))
    assert [] == versions(store_url, STREAM)


async def test_nothing_to_do_answers_the_position_the_decision_saw(store: EventStore) -> None:
    """A read after it still sees what was decided upon."""
    opened = await handle(store, Account, STREAM, lambda a: a.open("ada"))
    await handle(store, Account, "account-2", lambda a: a.open("bob"))
    again = await handle(store, Account, STREAM, lambda a: a.open("eve"))
    assert () == again.events
    assert opened.position <= again.position
    assert (1, "ada") == (again.version, again.state.owner)


async def test_a_used_key_gets_the_first_answer_though_the_state_has_moved_on(
    store: EventStore, store_url: str
) -> None:
    """The retry is not decided again: it would be refused by now."""
    await handle(store, Account, STREAM, lambda a: a.deposit(50))
    first = await handle(store, Account, STREAM, lambda a: a.withdraw(50), key="k")
    again = await handle(store, Account, STREAM, lambda a: a.withdraw(50), key="k")
    assert (first.position, first.version) == (again.position, again.version)
    assert again.replayed
    assert again.state.balance == 0
    assert [1, 2] == versions(store_url, STREAM)


async def test_without_the_key_the_same_retry_is_decided_again(store: EventStore) -> None:
    """The control of the test above: it is the key that makes the retry safe."""
    await handle(store, Account, STREAM, lambda a: a.deposit(50))
    await handle(store, Account, STREAM, lambda a: a.withdraw(50))
    with pytest.raises(InsufficientFunds):
        await handle(store, Account, STREAM, lambda a: a.withdraw(50))


@pytest.mark.parametrize("other", [Deposit(amount=6), OpenAccount(owner="ada")])
async def test_a_key_used_for_another_command_is_refused(
    store: EventStore, other: Deposit | OpenAccount
) -> None:
    """The commands are compared before anything is decided."""
    await handle(store, account, STREAM, OpenAccount(owner="ada"))
    await handle(store, account, STREAM, Deposit(amount=5), key="k")
    with pytest.raises(IdempotencyMismatch):
        await handle(store, account, STREAM, other, key="k")


async def test_a_key_used_for_another_request_is_refused(store: EventStore) -> None:
    """For calls on an aggregate the request's own bytes are compared."""
    await handle(store, Account, STREAM, lambda a: a.deposit(5), key="k", request=b"5")
    with pytest.raises(IdempotencyMismatch):
        await handle(store, Account, STREAM, lambda a: a.deposit(6), key="k", request=b"6")


async def test_a_rival_with_the_same_key_gives_its_answer_not_ours(
    store: EventStore, store_url: str
) -> None:
    """When the key is used between our look-up and our append, our own facts are not stored."""
    rival = await open_store(store_url)
    amounts = iter([7, 8])

    def deposit(a: Account) -> None:
        a.deposit(next(amounts))

    original = store.append_all

    async def late(*arguments: object, **named: object) -> object:
        store.append_all = original  # type: ignore[method-assign]
        await handle(rival, Account, STREAM, deposit, key="k")
        return await original(*arguments, **named)  # type: ignore[arg-type]

    store.append_all = late  # type: ignore[method-assign,assignment]
    done = await handle(store, Account, STREAM, deposit, key="k")
    await rival.close()
    assert done.replayed
    assert () == done.events
    assert 8 == done.state.balance
    assert [1] == versions(store_url, STREAM)


async def test_a_version_the_caller_has_seen_is_checked_and_never_tried_again(
    store: EventStore,
) -> None:
    """If-Match: the conflict is the caller's, whose decision was made elsewhere."""
    decided = 0

    def count(a: Account) -> None:
        nonlocal decided
        decided += 1
        a.deposit(1)

    assert 1 == (await handle(store, Account, STREAM, count, expected=NEW)).version
    with pytest.raises(VersionConflict) as caught:
        await handle(store, Account, STREAM, count, expected=NEW)
    assert ("new", 1, 1) == (_word(caught.value.expected), caught.value.actual, decided)
    assert 2 == (await handle(store, Account, STREAM, count, expected=1)).version
    assert 3 == (await handle(store, Account, STREAM, count, expected=ANY)).version


def _word(expected: int | str) -> str:
    return "new" if expected in (0, "new") else str(expected)


async def test_a_stale_fence_is_refused(store: EventStore, store_url: str) -> None:
    """The token of an owner that lost its lease does not pass the append."""
    await handle(store, Account, STREAM, lambda a: a.deposit(1), fence=Fence("node", 2))
    with pytest.raises(Fenced):
        await handle(store, Account, STREAM, lambda a: a.deposit(1), fence=Fence("node", 1))
    assert [1] == versions(store_url, STREAM)


async def test_an_owner_is_entered_for_the_stream_and_its_fence_goes_into_the_append(
    store: EventStore, store_url: str
) -> None:
    """The seam for single writers: a lease around the command, its token inside the append."""
    seen: list[str] = []

    class Lease:
        @asynccontextmanager
        async def of(self, stream: str) -> AsyncIterator[Fence]:
            seen.append(f"in {stream}")
            yield Fence("accounts", 7)
            seen.append("out")

    await handle(store, Account, STREAM, lambda a: a.deposit(1), owner=Lease())
    assert [f"in {STREAM}", "out"] == seen
    assert [(7,)] == query(store_url, "SELECT token FROM goldseam_fences")


async def test_fewer_than_one_attempt_is_refused(store: EventStore) -> None:
    """A bound that could not even try once is the caller's mistake."""
    with pytest.raises(InvalidName, match="attempts"):
        await handle(store, Account, STREAM, lambda a: a.deposit(1), attempts=0)


async def test_facts_with_ids_of_their_own_are_folded_without_their_envelope(
    store: EventStore,
) -> None:
    """A decision may give an event its id; the state after it sees the plain fact."""

    def decide(amount: int, _: int) -> list[object]:
        return [NewEvent(DepositApplied(total_amount=amount))]

    def evolve(balance: int, fact: object) -> int:
        assert isinstance(fact, DepositApplied)
        return balance + fact.total_amount

    done = await handle(store, Decider(0, decide, evolve), STREAM, 5)
    assert (5, (DepositApplied(total_amount=5),)) == (done.state, done.events)


async def test_tenants_decide_on_their_own_streams(store: EventStore) -> None:
    """The same stream name of another tenant is another stream."""
    await handle(store, Account, STREAM, lambda a: a.deposit(1))
    done = await handle(store.for_tenant("acme"), Account, STREAM, lambda a: a.deposit(2))
    assert (1, 2) == (done.version, done.state.balance)
