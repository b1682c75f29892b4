"""What was corrected: each healing as the log has it, for operators and auditors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from goldseam.events.event import Recorded
from goldseam.healing.corrections import declared_in
from goldseam.healing.log import corrections
from goldseam.healing.plan import Change
from goldseam.store.event_store import EventStore

APPROVED_BY = "approved_by"
"""Where a correction's metadata says who approved it."""


class Healing(msgspec.Struct, frozen=True, kw_only=True):
    """A correction that is in the log. ``replayed``: this very one was there already."""

    correction_id: str
    original_id: str
    original_type: str
    stream: str
    version: int
    position: int
    changes: tuple[Change, ...]
    reason: str
    ticket: str
    corrected_by: str
    approved_by: str | None
    recorded_at: str
    replayed: bool = False


async def healings(store: EventStore, *, after: int = 0) -> AsyncIterator[Healing]:
    """Every correction above position ``after``, in the order of the log."""
    async for event in corrections(store, after=after):
        yield healing_of(store, event)


def healing_of(store: EventStore, event: Recorded[Any]) -> Healing:
    """A correction in the log, as a report shows it."""
    correction = declared_in(store.registry).of(type(event.data))
    before, after = correction.before(event.data), correction.corrected(event.data)
    changes = tuple(
        Change(name, before[name], value) for name, value in after.items() if value != before[name]
    )
    return Healing(
        correction_id=str(event.id),
        original_id=str(getattr(event.data, correction.original_event_id)),
        original_type=_name_of(store, correction.original),
        stream=event.stream,
        version=event.version,
        position=event.position,
        changes=changes,
        reason=getattr(event.data, correction.reason),
        ticket=getattr(event.data, correction.ticket),
        corrected_by=getattr(event.data, correction.corrected_by),
        approved_by=event.metadata.extra.get(APPROVED_BY),
        recorded_at=event.recorded_at.isoformat(),
    )


def _name_of(store: EventStore, kind: type) -> str:
    return next((one.name for one in store.registry if one.kind is kind), kind.__name__)
