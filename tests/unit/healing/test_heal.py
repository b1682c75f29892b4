"""One event corrected: what is appended, what is read afterwards, what is refused."""

from __future__ import annotations

import asyncio
from uuid import UUID

import msgspec
import pytest

from goldseam import EventStore, handle
from goldseam.commands.snapshots import SnapshotPolicy
from goldseam.errors import IdempotencyMismatch
from goldseam.healing.errors import (
    AlreadyCorrected,
    ApprovalNeeded,
    NotCorrectable,
    NothingChanges,
    OriginalMissing,
    WrongValue,
)
from goldseam.healing.heal import heal
from goldseam.healing.log import history
from goldseam.healing.report import healings
from goldseam.healing.request import Typed
from goldseam.resilience.clock import uuid7_bytes
from tests.crashes.outside import query
from tests.unit.healing.bank import Account, AccountOpened, DepositApplied, deposited, healed


async def balance(store: EventStore, stream: str = "account-1") -> int:
    return (await handle(store, Account, stream, lambda _: None)).state.balance


async def test_the_stored_correction_is_the_guides(store: EventStore, store_url: str) -> None:
    """Type, names and values of the payload are those of the guide's schema; the cause is known."""
    wrong = await deposited(store)
    done = await healed(store, wrong, by="admin@company.com")

    rows = query(store_url, "SELECT type, payload FROM goldseam_events ORDER BY position")
    assert ["DepositApplied", "DepositCorrected"] == [kind for kind, _ in rows]
    expected = {
        "originalEventId": str(wrong), "originalAmount": 50, "correctedAmount": 100,
        "reason": "Data entry error", "correctedBy": "admin@company.com", "jiraTicket": "JIRA-567",
    }  # fmt: skip
    assert expected == msgspec.json.decode(bytes(rows[1][1]))
    stored = await store.read_event(UUID(done.correction_id))
    assert stored is not None
    assert (str(wrong), "admin@company.com") == (stored.metadata.causation, stored.metadata.actor)


async def test_readers_get_the_effective_history_and_the_raw_one_on_request(
    store: EventStore,
) -> None:
    """The original has its new value and its own id, the correction is left out."""
    wrong = await deposited(store)
    await deposited(store, 7)
    await healed(store, wrong)

    found = await history(store, "account-1")
    assert [DepositApplied(100), DepositApplied(7)] == [event.data for event in found]
    assert wrong == found[0].id
    raw = await history(store, "account-1", raw=True)
    assert [50, 7] == [e.data.amount for e in raw[:2]]
    assert 3 == len(raw)


async def test_an_aggregate_that_knows_nothing_of_corrections_has_the_right_state(
    store: EventStore,
) -> None:
    """Its next decision is made on the corrected balance."""
    wrong = await deposited(store)
    assert 50 == await balance(store)
    await healed(store, wrong)
    assert 100 == await balance(store)


async def test_a_snapshot_from_before_the_correction_is_not_believed(store: EventStore) -> None:
    """The state is replayed; a snapshot from after it is right again."""
    wrong = await deposited(store)
    policy = SnapshotPolicy(every=1)
    await handle(store, Account, "account-1", lambda a: a.deposit(5), snapshots=policy)
    await healed(store, wrong)
    for expected in (105, 106, 107):
        done = await handle(store, Account, "account-1", lambda _: None, snapshots=policy)
        assert expected == done.state.balance
        await handle(store, Account, "account-1", lambda a: a.deposit(1), snapshots=policy)


async def test_the_same_request_is_one_correction(store: EventStore, store_url: str) -> None:
    """A retry gets the first answer, whoever lost it."""
    wrong = await deposited(store)
    first = await healed(store, wrong)
    again = await healed(store, wrong)

    assert (False, True) == (first.replayed, again.replayed)
    assert first.correction_id == again.correction_id
    assert [(2,)] == query(store_url, "SELECT count(*) FROM goldseam_events")


async def test_a_key_stands_for_one_request(store: EventStore) -> None:
    """The same key with another value is refused."""
    wrong = await deposited(store)
    await healed(store, wrong, key="mine")
    with pytest.raises(IdempotencyMismatch):
        await healed(store, wrong, {"amount": 101}, key="mine")


async def test_an_already_corrected_event_is_refused(store: EventStore) -> None:
    """The error names the correction that may be corrected."""
    wrong = await deposited(store)
    first = await healed(store, wrong)
    with pytest.raises(AlreadyCorrected) as refused:
        await healed(store, wrong, {"amount": 60})
    assert first.correction_id == refused.value.correction_id


async def test_a_correction_can_be_corrected_and_counts_for_the_original(
    store: EventStore,
) -> None:
    """The last one wins; its original value is the one it replaces."""
    wrong = await deposited(store)
    first = await healed(store, wrong)
    second = await healed(store, first.correction_id, {"amount": 80})

    assert str(wrong) == second.original_id
    assert (100, 80) == (second.changes[0].before, second.changes[0].after)
    assert 80 == await balance(store)
    with pytest.raises(AlreadyCorrected):
        await healed(store, first.correction_id, {"amount": 90})
    back = await healed(store, second.correction_id, {"amount": 50})
    assert (80, 50) == (back.changes[0].before, back.changes[0].after)
    assert 50 == await balance(store)


async def test_what_cannot_be_corrected_is_refused_by_name(store: EventStore) -> None:
    """Missing, another type, another field, another kind of value, no change, no reason."""
    wrong = await deposited(store)
    opened = UUID(bytes=uuid7_bytes())
    with pytest.raises(OriginalMissing):
        await healed(store, opened)
    with pytest.raises(WrongValue, match="UUID"):
        await healed(store, "evt-123")
    await store.append("account-2", [AccountOpened("grace")], expected=0)
    other = (await store.read_stream("account-2"))[0]
    with pytest.raises(NotCorrectable, match="AccountOpened"):
        await healed(store, other.id)
    with pytest.raises(NotCorrectable, match="currency"):
        await healed(store, wrong, {"currency": "EUR"})
    for value in ("100", 1.5, None, True, Typed("many"), Typed("1.5")):
        with pytest.raises(WrongValue):
            await healed(store, wrong, {"amount": value})
    with pytest.raises(NothingChanges):
        await healed(store, wrong, {"amount": 50})
    with pytest.raises(WrongValue, match="ticket"):
        await heal(store, wrong, {"amount": 1}, reason="x", ticket=" ", corrected_by="ada")
    assert 2 == await store.head()


async def test_what_is_typed_is_read_as_the_fields_type(store: EventStore) -> None:
    """The command line gives texts."""
    wrong = await deposited(store)
    done = await healed(store, wrong, {"amount": Typed("100")})
    assert 100 == done.changes[0].after


async def test_of_two_people_who_correct_the_same_event_one_wins(store: EventStore) -> None:
    """The other is told who was first; one correction is in the log."""
    for n in range(10):
        wrong = await deposited(store, stream=f"account-{n}")
        results = await asyncio.gather(
            healed(store, wrong, {"amount": 100}, by="ada"),
            healed(store, wrong, {"amount": 200}, by="grace"),
            return_exceptions=True,
        )
        assert {"Healing", "AlreadyCorrected"} == {type(one).__name__ for one in results}
        assert 2 == await store.stream_version(f"account-{n}")


async def test_appends_of_others_do_not_stop_a_correction(store: EventStore) -> None:
    """A conflict with an event that does not matter is tried again."""
    wrong = await deposited(store)

    async def busy() -> None:
        for _ in range(20):
            await handle(store, Account, "account-1", lambda a: a.deposit(1))

    _, done = await asyncio.gather(busy(), healed(store, wrong))
    assert 100 == done.changes[0].after
    assert 120 == await balance(store)


async def test_a_type_with_four_eyes_is_not_corrected_by_one_person(store: EventStore) -> None:
    """The error says how to propose it."""
    from tests.unit.healing.bank import FeeCharged

    await store.append("account-1", [FeeCharged(5)], expected=0)
    fee = (await store.read_stream("account-1"))[0]
    with pytest.raises(ApprovalNeeded, match="propose"):
        await healed(store, fee.id, {"amount": 4})


async def test_the_report_has_every_healing(store: EventStore) -> None:
    """Original, values, who, when, ticket; of this tenant only."""
    wrong = await deposited(store)
    done = await healed(store, wrong)
    other = store.for_tenant("other")
    await healed(other, await deposited(other))

    found = [one async for one in healings(store)]
    assert [done] == found
    assert ("JIRA-567", "ada", None) == (done.ticket, done.corrected_by, done.approved_by)


async def test_another_tenants_event_is_missing(store: EventStore) -> None:
    """A tenant corrects its own events."""
    wrong = await deposited(store.for_tenant("other"))
    with pytest.raises(OriginalMissing):
        await healed(store, wrong)
