"""When snapshots are kept, what their shape is, and that loading starts from them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from examples.bank.account import Deposit, OpenAccount, account
from examples.bank.events import DepositApplied
from goldseam import Aggregate, Decider, EventStore, handle, open_store
from goldseam.commands.snapshots import SnapshotPolicy, state_codec
from goldseam.errors import InvalidInput
from goldseam.resilience.clock import SystemClock
from tests.crashes.outside import query, versions
from tests.unit.commands.accounts import Account

STREAM = "account-1"
KEPT = "SELECT version FROM goldseam_snapshots"


class SlowClock(SystemClock):
    """A clock on which every second look is two seconds later."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        self.seconds += 2.0
        return self.seconds


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[EventStore]:
    store = await open_store(store_url)
    yield store
    await store.close()


@pytest.mark.parametrize(
    ("policy", "replayed", "seconds", "wanted"),
    [
        (SnapshotPolicy(), 99, 9.0, False),
        (SnapshotPolicy(), 100, 0.0, True),
        (SnapshotPolicy(every=1), 0, 0.0, False),
        (SnapshotPolicy(slower_than_seconds=0.5), 1, 0.6, True),
        (SnapshotPolicy(slower_than_seconds=0.5), 1, 0.5, False),
        (SnapshotPolicy(slower_than_seconds=0.5), 0, 9.0, False),
    ],
)
def test_a_policy_wants_a_snapshot_after_many_events_or_a_slow_load(
    policy: SnapshotPolicy, replayed: int, seconds: float, wanted: bool
) -> None:
    """Either bound is enough; a load that replayed nothing needs no snapshot."""
    assert wanted is policy.wants(replayed, seconds)


async def test_a_snapshot_is_kept_by_count_and_loading_goes_on_from_it(
    store: EventStore, store_url: str
) -> None:
    """Every third event one snapshot; the state is the same as by a full replay."""
    policy = SnapshotPolicy(every=3)
    kept = []
    for amount in range(1, 8):
        done = await handle(
            store, Account, STREAM, lambda a, n=amount: a.deposit(n), snapshots=policy
        )
        kept.append([v for (v,) in query(store_url, KEPT)])
    assert [[], [], [3], [3], [3], [6], [6]] == kept
    full = await handle(store, Account, STREAM, lambda _: None)
    assert full.state == done.state
    assert list(range(1, 8)) == done.state.seen


async def test_loading_from_a_snapshot_does_not_read_the_events_before_it(
    store: EventStore,
) -> None:
    """The control shows that the snapshot is what is used: its state wins over the events."""
    policy = SnapshotPolicy(every=1)
    await handle(store, account, STREAM, OpenAccount(owner="ada"), snapshots=policy)
    replayed: list[object] = []

    def evolve(state: object, fact: object) -> object:
        replayed.append(fact)
        return account.evolve(state, fact)  # type: ignore[arg-type]

    spying: Decider[object, object, object] = Decider(
        account.initial, account.decide, evolve, name="account", state_type=type(account.initial)
    )
    await handle(store, spying, STREAM, Deposit(amount=5), snapshots=policy)
    assert 1 == len(replayed)
    await handle(store, spying, STREAM, Deposit(amount=5))
    assert 1 + 2 + 1 == len(replayed)


async def test_a_slow_load_keeps_a_snapshot(store_url: str) -> None:
    """The time is the store's clock's, so a test needs not wait."""
    store = await open_store(store_url, clock=SlowClock())
    policy = SnapshotPolicy(every=1_000, slower_than_seconds=1.0)
    await handle(store, Account, STREAM, lambda a: a.deposit(1), snapshots=policy)
    assert [(1,)] == query(store_url, KEPT)
    await store.close()


async def test_a_snapshot_that_cannot_be_written_fails_no_command(
    store: EventStore, store_url: str
) -> None:
    """The facts are stored and acknowledged, whatever happens to the cache of their fold."""
    query(store_url, "ALTER TABLE goldseam_snapshots RENAME COLUMN recorded_us TO gone")
    policy = SnapshotPolicy(every=1)
    done = await handle(store, Account, STREAM, lambda a: a.deposit(1), snapshots=policy)
    assert (1, 1) == (done.version, done.state.balance)
    assert [1] == versions(store_url, STREAM)


async def test_a_state_that_cannot_be_encoded_fails_no_command(
    store: EventStore, store_url: str
) -> None:
    """The state may turn into something its class does not promise."""

    @dataclass
    class Odd:
        value: int = 0

    def evolve(_: Odd, __: object) -> Odd:
        return Odd(value=object())  # type: ignore[arg-type]

    def decide(command: int, _: Odd) -> list[DepositApplied]:
        return [DepositApplied(total_amount=command)]

    odd = Decider(Odd(), decide, evolve, name="odd")
    done = await handle(store, odd, STREAM, 1, snapshots=SnapshotPolicy(every=1))
    assert 1 == done.version
    assert [1] == versions(store_url, STREAM)
    assert [] == query(store_url, KEPT)


def test_the_schema_hash_changes_with_the_shape_and_with_the_snapshot_version() -> None:
    """A changed attribute, type or meaning each makes older snapshots unusable."""

    class One(Aggregate):
        balance: int = 0

    class Renamed(Aggregate):
        amount: int = 0

    class Retyped(Aggregate):
        balance: float = 0

    class Raised(Aggregate):
        snapshot_version = 2
        balance: int = 0

    hashes = {
        state_codec(Decider(kind(), _nothing, _same)).schema_hash
        for kind in (One, Renamed, Retyped, Raised)
    }
    assert 4 == len(hashes)
    again = state_codec(Decider(One(), _nothing, _same)).schema_hash
    assert again in hashes


def test_a_decider_without_a_state_type_cannot_keep_snapshots() -> None:
    """It is said before anything is decided."""
    with pytest.raises(InvalidInput, match="needs a state_type"):
        state_codec(Decider(None, _nothing, _same))


def _nothing(_: object, __: object) -> list[object]:
    return []


def _same(state: object, _: object) -> object:
    return state
