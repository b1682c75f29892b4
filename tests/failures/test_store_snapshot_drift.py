"""store/snapshot-drift: a snapshot that no longer fits the code or the stream is never served.

Each snapshot is spoilt from outside with plain SQL; the control makes the spoilt one look sound
and shows the wrong state that would be served.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from examples.bank.events import DepositApplied, MoneyWithdrawn
from goldseam import Aggregate, EventStore, handle, open_store
from goldseam.commands.snapshots import SnapshotPolicy
from goldseam.store.snapshots import snapshot_checksum
from goldseam.telemetry.signals import signals
from tests.crashes.outside import query

STREAM = "account-1"
POLICY = SnapshotPolicy(every=1)
IGNORED = "goldseam_snapshots_ignored_total"


class Balance(Aggregate):
    """The balance alone."""

    balance: int = 0

    def deposit(self, amount: int) -> None:
        self.record(DepositApplied(total_amount=amount))

    def evolve(self, fact: object) -> None:
        match fact:
            case DepositApplied(total_amount=amount):
                self.balance += amount
            case MoneyWithdrawn(amount=amount):
                self.balance -= amount


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[EventStore]:
    """A store whose one account has a balance of 30 in three deposits, and a snapshot of that."""
    store = await open_store(store_url)
    for _ in range(3):
        await handle(store, Balance, STREAM, lambda a: a.deposit(10), snapshots=POLICY)
    assert [(3, b'{"balance":30}')] == _snapshots(store_url)
    yield store
    await store.close()


def _snapshots(url: str) -> list[tuple[int, bytes]]:
    found = query(url, "SELECT version, state FROM goldseam_snapshots")
    return [(version, bytes(state)) for version, state in found]


def _spoil(url: str, column: str, value: object) -> None:
    query(url, f"UPDATE goldseam_snapshots SET {column} = ?", value)


def _forge(url: str) -> None:
    """Make what is there look sound: the checksum of what it says now."""
    version, schema_hash, state = query(
        url, "SELECT version, schema_hash, state FROM goldseam_snapshots"
    )[0]
    checksum = snapshot_checksum(STREAM, "Balance", version, schema_hash, bytes(state))
    _spoil(url, "checksum", checksum)


SPOILT = [
    pytest.param("state", b'{"balance":31}', id="one bit of the state flipped"),
    pytest.param("state", b"", id="state truncated"),
    pytest.param("state", b'{"total":30}', id="state of another shape"),
    pytest.param("version", 2, id="version turned back"),
    pytest.param("version", 500, id="version beyond the stream"),
    pytest.param("checksum", 1, id="checksum damaged"),
    pytest.param("schema_hash", "0" * 32, id="schema of another release"),
]


@pytest.mark.parametrize(("column", "value"), SPOILT)
async def test_a_spoilt_snapshot_is_counted_ignored_and_written_anew(
    store: EventStore, store_url: str, column: str, value: object
) -> None:
    """The state is replayed from the events; the command does not notice."""
    _spoil(store_url, column, value)
    before = signals.value(IGNORED)
    done = await handle(store, Balance, STREAM, lambda a: a.deposit(1), snapshots=POLICY)
    assert (4, 31) == (done.version, done.state.balance)
    assert before + 1 == signals.value(IGNORED)
    assert [(4, b'{"balance":31}')] == _snapshots(store_url)


async def test_a_snapshot_beyond_a_restored_log_is_ignored_though_it_is_intact(
    store: EventStore, store_url: str
) -> None:
    """After a restore from a backup the snapshot may know more than the log."""
    _spoil(store_url, "version", 4)
    _spoil(store_url, "state", b'{"balance":99}')
    _forge(store_url)
    done = await handle(store, Balance, STREAM, lambda a: a.deposit(1), snapshots=POLICY)
    assert (4, 31) == (done.version, done.state.balance)


async def test_an_intact_snapshot_of_another_shape_falls_back_to_replay(
    store: EventStore, store_url: str
) -> None:
    """Bytes that pass the checksum and do not decode are ignored too."""
    _spoil(store_url, "state", b'{"balance":"thirty"}')
    _forge(store_url)
    before = signals.value(IGNORED)
    done = await handle(store, Balance, STREAM, lambda a: a.deposit(1), snapshots=POLICY)
    assert 31 == done.state.balance
    assert before + 1 == signals.value(IGNORED)


async def test_control_a_wrong_snapshot_that_looks_sound_is_served(
    store: EventStore, store_url: str
) -> None:
    """Without the checksum the damage shows: a balance that no event supports."""
    _spoil(store_url, "state", b'{"balance":31}')
    _forge(store_url)
    done = await handle(store, Balance, STREAM, lambda a: a.deposit(1), snapshots=POLICY)
    assert 32 == done.state.balance
    assert 31 == (await handle(store, Balance, STREAM, lambda _: None)).state.balance


async def test_raising_the_snapshot_version_drops_what_an_older_evolve_has_folded(
    store: EventStore,
) -> None:
    """The shape is the same, the meaning has changed: only the class can say so."""

    class Doubled(Balance):
        snapshot_version = 2

        def evolve(self, fact: object) -> None:
            super().evolve(fact)
            super().evolve(fact)

    Doubled.__name__ = "Balance"
    done = await handle(store, Doubled, STREAM, lambda _: None, snapshots=POLICY)
    assert 60 == done.state.balance


async def test_control_without_raising_it_the_old_meaning_is_served(store: EventStore) -> None:
    """The same change without a new snapshot_version goes on from the old fold."""

    class Doubled(Balance):
        def evolve(self, fact: object) -> None:
            super().evolve(fact)
            super().evolve(fact)

    Doubled.__name__ = "Balance"
    done = await handle(store, Doubled, STREAM, lambda _: None, snapshots=POLICY)
    assert 30 == done.state.balance
