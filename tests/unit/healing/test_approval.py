"""Four eyes: nobody approves what they proposed, and an approval is one correction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

import pytest

from goldseam import EventStore, Personal, Registry, open_store
from goldseam.healing.approval import (
    EXPIRES_SECONDS_MAX,
    _refuse_personal,
    approve,
    decline,
    pending,
    propose,
)
from goldseam.healing.corrections import corrects, declared_in
from goldseam.healing.errors import AlreadyCorrected, NothingChanges, ProposalRefused
from goldseam.healing.request import Request, Typed
from tests.unit.healing.bank import FeeCharged, deposited, healed, registry

people = Registry()
Email = Annotated[str, Personal("customer")]


@people.event
class Joined:
    customer: str
    email: Email


@corrects(Joined, registry=people)
@people.event
class JoinedCorrected:
    customer: str
    original_event_id: str
    original_email: Email
    corrected_email: Email
    reason: str
    corrected_by: str
    jira_ticket: str


class Clock:
    def __init__(self) -> None:
        self.us = 1_000_000

    def now_us(self) -> int:
        return self.us

    def monotonic(self) -> float:
        return self.us / 1_000_000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def timed(store_url: str, clock: Clock) -> AsyncIterator[EventStore]:
    async with await open_store(store_url, registry=registry, clock=clock) as store:
        yield store


def asked(event_id: UUID, amount: object = 4, by: str = "ada") -> Request:
    return Request(event_id, {"amount": amount}, "wrong fee", "JIRA-1", by)


async def charged(store: EventStore) -> UUID:
    await store.append("account-1", [FeeCharged(5)], expected=0)
    return (await store.read_stream("account-1"))[0].id


async def test_a_second_person_appends_what_the_first_proposed(timed: EventStore) -> None:
    """The correction says both names; the queue is empty afterwards."""
    proposal = await propose(timed, asked(await charged(timed), Typed("4")))
    assert [proposal] == await pending(timed)
    assert {"amount": 4} == proposal.changes
    done = await approve(timed, proposal.id, approved_by="grace")

    assert ("ada", "grace") == (done.corrected_by, done.approved_by)
    assert [] == await pending(timed)
    again = await approve(timed, proposal.id, approved_by="linus")
    assert (True, "grace") == (again.replayed, again.approved_by)
    assert 2 == await timed.head()


@pytest.mark.parametrize("name", ["ada", " Ada", "ADA ", "", "  "])
async def test_nobody_approves_their_own_proposal(timed: EventStore, name: str) -> None:
    """Nor under another spelling, nor without a name."""
    proposal = await propose(timed, asked(await charged(timed)))
    with pytest.raises(ProposalRefused, match="another person"):
        await approve(timed, proposal.id, approved_by=name)
    assert 1 == await timed.head()


async def test_a_proposal_expires(timed: EventStore, clock: Clock) -> None:
    """At its last microsecond it is open, then it is refused and not listed."""
    proposal = await propose(timed, asked(await charged(timed)), expires_seconds=60)
    clock.us += 60 * 1_000_000 - 1
    assert 1 == len(await pending(timed))
    clock.us += 1
    assert [] == await pending(timed)
    with pytest.raises(ProposalRefused, match="expired"):
        await approve(timed, proposal.id, approved_by="grace")
    for seconds in (0, -1, EXPIRES_SECONDS_MAX + 1):
        with pytest.raises(ProposalRefused, match="cannot wait"):
            await propose(timed, asked(UUID(int=1)), expires_seconds=seconds)


async def test_a_declined_proposal_is_gone(timed: EventStore) -> None:
    """It cannot be approved nor declined again; an unknown one neither."""
    proposal = await propose(timed, asked(await charged(timed)))
    assert "declined" == (await decline(timed, proposal.id, declined_by="ada")).decision
    for refused in (
        approve(timed, proposal.id, approved_by="grace"),
        decline(timed, proposal.id, declined_by="ada"),
        approve(timed, "nonsense", approved_by="grace"),
    ):
        with pytest.raises(ProposalRefused):
            await refused
    assert 1 == await timed.head()


async def test_two_who_approve_at_once_append_one_correction(timed: EventStore) -> None:
    """Both are told of the same one."""
    proposal = await propose(timed, asked(await charged(timed)))
    done = await asyncio.gather(
        *(approve(timed, proposal.id, approved_by=name) for name in ("grace", "linus"))
    )
    assert done[0].correction_id == done[1].correction_id
    assert 2 == await timed.head()


async def test_what_was_corrected_meanwhile_is_not_corrected_again(timed: EventStore) -> None:
    """Each approval looks at the event anew; a proposal that changes nothing is refused at once."""
    wrong = await deposited(timed)
    with pytest.raises(NothingChanges):
        await propose(timed, asked(wrong, 50))
    proposal = await propose(timed, asked(wrong))
    await healed(timed, wrong)
    with pytest.raises(AlreadyCorrected):
        await approve(timed, proposal.id, approved_by="grace")


async def test_other_tenants_do_not_see_a_proposal(timed: EventStore) -> None:
    """Its values are theirs alone."""
    proposal = await propose(timed, asked(await charged(timed)))
    other = timed.for_tenant("other")
    assert [] == await pending(other)
    with pytest.raises(ProposalRefused, match="no proposal"):
        await approve(other, proposal.id, approved_by="grace")


async def test_personal_values_are_never_proposed() -> None:
    """A proposal's row is in clear and nobody would forget it."""
    request = Request(UUID(int=1), {"email": "ada@example.org"}, "typo", "JIRA-2", "ada")
    with pytest.raises(ProposalRefused, match="personal") as refused:
        _refuse_personal(declared_in(people).of(Joined), request)
    assert "ada@example.org" not in str(refused.value)
