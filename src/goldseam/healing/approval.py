"""Four eyes: one person proposes a correction, another one approves it.

Proposals are rows, not events: they are a queue that empties, strict readers of the log need not
know them, and what lasts - who proposed and who approved - is in the correction's own metadata.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from goldseam.database.connection import Row
from goldseam.database.statements import statements
from goldseam.healing.corrections import Correction
from goldseam.healing.errors import ProposalRefused
from goldseam.healing.fields import fields_of
from goldseam.healing.heal import heal
from goldseam.healing.log import PACKAGE, prepare
from goldseam.healing.plan import plan
from goldseam.healing.report import Healing
from goldseam.healing.request import Approval, Request, checked
from goldseam.resilience.clock import MICROSECONDS_PER_SECOND, IdFactory, uuid7_bytes
from goldseam.store.event_store import EventStore

EXPIRES_SECONDS = 7 * 24 * 3600.0
"""How long a proposal waits for its second person unless it says otherwise."""

EXPIRES_SECONDS_MAX = 90 * 24 * 3600.0
"""Longest wait: who approves must still know what it was about."""

OPEN_MAX = 1_000
"""Most open proposals of one list."""


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A correction that waits for a second person, or was decided."""

    id: str
    event_id: str
    changes: dict[str, Any]
    reason: str
    ticket: str
    proposed_by: str
    proposed_us: int
    expires_us: int
    decision: str = ""
    decided_by: str = ""
    decided_us: int = 0


async def propose(
    store: EventStore,
    request: Request,
    *,
    expires_seconds: float = EXPIRES_SECONDS,
    new_id: IdFactory = uuid7_bytes,
) -> Proposal:
    """Ask a second person to approve ``request``, whose ``corrected_by`` is the proposer.

    Raises:
        ProposalRefused: a field is personal, or the expiry is out of bounds.
        HealingRefused, NotCorrectable, WrongValue: as :func:`goldseam.heal` would.
    """
    if not 0 < expires_seconds <= EXPIRES_SECONDS_MAX:
        days = EXPIRES_SECONDS_MAX / 86_400
        raise ProposalRefused(
            f"a proposal cannot wait {expires_seconds:g} s",
            f"give more than 0 s and at most {days:g} days",
        )
    planned = await plan(store, checked(request))
    _refuse_personal(planned.look.correction, request)
    await prepare(store.database, store.clock)
    now = store.clock.now_us()
    found = Proposal(
        id=str(UUID(bytes=new_id())),
        event_id=str(request.event_id),
        changes={one.field: msgspec.to_builtins(one.after) for one in planned.changes},
        reason=request.reason,
        ticket=request.ticket,
        proposed_by=request.corrected_by,
        proposed_us=now,
        expires_us=now + int(expires_seconds * MICROSECONDS_PER_SECOND),
    )
    row = msgspec.structs.asdict(found)
    row |= {"changes": msgspec.json.encode(found.changes).decode(), "now": now}
    await _write(store, "propose", row)
    return found


def _refuse_personal(correction: Correction, request: Request) -> None:
    """A proposal's row is neither sealed nor forgotten: nothing personal goes in."""
    fields = fields_of(correction.original)
    personal = sorted(name for name in request.changes if name in fields and fields[name].personal)
    if personal:
        raise ProposalRefused(
            f"field {personal[0]!r} is personal and a proposal keeps its values in clear",
            "let the second person look on while the correction is appended directly",
        )


async def approve(store: EventStore, proposal_id: str, *, approved_by: str) -> Healing:
    """Append what was proposed, as a second person. Asked twice, it is appended once.

    Raises:
        ProposalRefused: it is unknown, expired or declined, or this is the same person.
        HealingRefused: the event was corrected or its subject forgotten meanwhile.
    """
    found = await proposal(store, proposal_id)
    if not approved_by.strip() or _person(approved_by) == _person(found.proposed_by):
        raise ProposalRefused(
            f"proposal {found.id} needs another person than the one who made it",
            "ask a colleague to approve it",
        )
    if found.decision == "declined":
        raise ProposalRefused(f"proposal {found.id} was declined", "propose it anew")
    if not found.decision and store.clock.now_us() >= found.expires_us:
        raise ProposalRefused(f"proposal {found.id} has expired", "propose it anew")
    # First the correction, under the proposal's own key, then the mark: a crash in between is
    # mended by approving again.
    done = await heal(
        store,
        found.event_id,
        found.changes,
        reason=found.reason,
        ticket=found.ticket,
        corrected_by=found.proposed_by,
        key=f"heal proposal {found.id}",
        approval=Approval(found.proposed_by, approved_by),
    )
    await _decide(store, found.id, "approved", approved_by)
    return done


async def decline(store: EventStore, proposal_id: str, *, declined_by: str) -> Proposal:
    """Take a proposal away; its proposer may too.

    Raises:
        ProposalRefused: it is unknown, or decided already.
    """
    found = await proposal(store, proposal_id)
    if not await _decide(store, found.id, "declined", declined_by):
        raise ProposalRefused(f"proposal {found.id} is decided already", "nothing is to be done")
    return await proposal(store, proposal_id)


async def pending(store: EventStore) -> list[Proposal]:
    """The proposals that wait and have not expired, oldest first."""
    await prepare(store.database, store.clock)
    rows = await _fetch(store, "proposals_open", now=store.clock.now_us(), limit=OPEN_MAX)
    return [_proposal(row) for row in rows]


async def proposal(store: EventStore, proposal_id: str) -> Proposal:
    """One proposal.

    Raises:
        ProposalRefused: there is none of this id.
    """
    await prepare(store.database, store.clock)
    rows = await _fetch(store, "proposal", id=proposal_id)
    if not rows:
        raise ProposalRefused(
            f"there is no proposal {proposal_id[:80]!r}", "list them: goldseam heal pending"
        )
    return _proposal(rows[0])


def _proposal(row: Row) -> Proposal:
    fields = dict(zip(Proposal.__struct_fields__, row, strict=True))
    return Proposal(**{**fields, "changes": msgspec.json.decode(fields["changes"])})


def _person(name: str) -> str:
    """Two spellings of one name are one person."""
    return name.strip().casefold()


async def _decide(store: EventStore, proposal_id: str, decision: str, by: str) -> bool:
    row = {"id": proposal_id, "decision": decision, "decided_by": by, "now": store.clock.now_us()}
    return bool(await _write(store, "decide", row))


async def _write(store: EventStore, name: str, row: dict[str, object]) -> list[Row]:
    sql = statements(PACKAGE, store.database.dialect)[name]
    return await store.database.transact(lambda c: c.fetch(sql, {**row, "tenant": store.tenant}))


async def _fetch(store: EventStore, name: str, **parameters: object) -> list[Row]:
    sql = statements(PACKAGE, store.database.dialect)[name]
    return await store.database.fetch(sql, {**parameters, "tenant": store.tenant})
