"""What a correction would be, and every reason why it may not be appended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from goldseam.events.event import Recorded
from goldseam.healing.corrections import Correction, declared_in
from goldseam.healing.errors import (
    AlreadyCorrected,
    NotCorrectable,
    NothingChanges,
    OriginalMissing,
    OriginalShredded,
)
from goldseam.healing.fields import fields_of, fitting, fitting_text
from goldseam.healing.log import stream_history
from goldseam.healing.request import Request, Typed, checked
from goldseam.store.event_store import EventStore


class Change(msgspec.Struct, frozen=True):
    """One field, before and after."""

    field: str
    before: Any
    after: Any


class Look(NamedTuple):
    """What the log says about an event that somebody wants corrected."""

    target: Recorded[Any]
    original: Recorded[Any]
    correction: Correction
    corrections: list[Recorded[Any]]
    """Those of the original that there are, in order."""
    now: Any
    """The original as it counts now."""
    history: list[Recorded[Any]]
    version: int

    def personal(self) -> set[str]:
        """The correctable fields that are about a person."""
        fields = fields_of(self.correction.original)
        return {name for name in self.correction.fields if fields[name].personal}


class Plan(NamedTuple):
    """A correction that may be appended: what it corrects, and where the stream stands."""

    request: Request
    look: Look
    event: Any
    changes: tuple[Change, ...]


async def target_of(store: EventStore, request: Request) -> Recorded[Any]:
    """The event that the request names.

    Raises:
        OriginalMissing: there is none.
    """
    target = await store.read_event(request.event_id)
    if target is None:
        raise OriginalMissing(
            str(request.event_id),
            "there is no event of this id",
            "look it up: goldseam stream read STREAM --json",
        )
    return target


async def look_at(store: EventStore, request: Request) -> Look:
    """Read what the request is about.

    Raises:
        OriginalMissing: there is no such event.
        NotCorrectable: no correction is declared for it.
    """
    target = await target_of(store, request)
    declared = declared_in(store.registry)
    correction = declared.of(type(target.data))
    history, version = await stream_history(store, target.stream)
    by_id = {event.id_bytes: event for event in history}
    original = _original(declared.by_kind, by_id, target)
    later = [
        event
        for event in history
        if declared.is_correction(type(event.data))
        and _original(declared.by_kind, by_id, event).id_bytes == original.id_bytes
    ]
    now = next(e for e in declared.effective(history) if e.id_bytes == original.id_bytes)
    return Look(target, original, correction, later, now.data, history, version)


async def plan(store: EventStore, request: Request) -> Plan:
    """Everything that is checked before a correction may be appended; appends nothing.

    Raises:
        OriginalMissing, AlreadyCorrected, OriginalShredded, NothingChanges: it would be refused.
        NotCorrectable, WrongValue: the request does not fit what is declared.
    """
    return planned(await look_at(store, checked(request)), request)


def planned(look: Look, request: Request) -> Plan:
    """The correction that ``request`` asks for, from what the log says; see :func:`plan`."""
    _refuse_corrected(look.target, look.corrections)
    if look.original.shredded or look.target.shredded:
        raise OriginalShredded(
            str(request.event_id),
            "a person it is about is forgotten, its values are gone",
            "there is nothing left to correct",
        )
    values = _values(look, request)
    before = {name: getattr(look.now, name) for name in values}
    changes = tuple(
        Change(name, before[name], value) for name, value in values.items() if value != before[name]
    )
    if not changes:
        raise NothingChanges(
            str(request.event_id), "it has these values already", "nothing is to be done"
        )
    return Plan(request, look, _event(look, request, before, values), changes)


def same_before(look: Look, request: Request) -> Recorded[Any] | None:
    """The correction that this very request has made already; None if there is none.

    Asked of the log and not of a key: a retry is known for ever, and no hash of a personal value
    is kept anywhere.
    """
    correction = look.correction
    said = [request.reason, request.ticket, request.corrected_by]
    for event in look.corrections:
        data = event.data
        names = correction.reason, correction.ticket, correction.corrected_by
        if event.metadata.causation != str(look.target.id) or event.shredded:
            continue
        if said != [getattr(data, name) for name in names]:
            continue
        after = correction.corrected(data)
        wanted = _fitted(look, request)
        if all(after[name] == value for name, value in wanted.items()):
            return event
    return None


def _original(
    kinds: Mapping[type, Correction], by_id: Mapping[bytes, Recorded[Any]], event: Recorded[Any]
) -> Recorded[Any]:
    """What ``event`` is a correction of, or itself."""
    seen = 0
    while (correction := kinds.get(type(event.data))) is not None and seen <= len(by_id):
        named = by_id.get(correction.original_of(event.data))
        if named is None:
            raise OriginalMissing(
                str(event.id),
                "it is a correction of an event that is not in its stream",
                "whoever appended it by hand must say what it corrects",
            )
        event, seen = named, seen + 1
    return event


def _refuse_corrected(target: Recorded[Any], corrections: Sequence[Recorded[Any]]) -> None:
    """The last correction may be corrected; what it corrects may not, it has been."""
    if corrections and target.id_bytes != corrections[-1].id_bytes:
        raise AlreadyCorrected(str(target.id), str(corrections[-1].id))


def _fitted(look: Look, request: Request) -> dict[str, Any]:
    """The asked values as their fields' types."""
    correction, theirs = look.correction, fields_of(look.correction.original)
    found = {}
    for name, value in request.changes.items():
        if name not in correction.fields:
            known = ", ".join(sorted(correction.fields))
            raise NotCorrectable(
                f"field {name!r} of {look.original.type} cannot be corrected",
                f"declared are: {known}",
            )
        fit = fitting_text if isinstance(value, Typed) else fitting
        found[name] = fit(theirs[name], value)
    return found


def _values(look: Look, request: Request) -> dict[str, Any]:
    """Every correctable field as it will count: a correction carries them all."""
    fitted = _fitted(look, request)
    return {name: fitted.get(name, getattr(look.now, name)) for name in look.correction.fields}


def _event(
    look: Look, request: Request, before: Mapping[str, Any], values: Mapping[str, Any]
) -> Any:
    """The event to append.

    The value before is the one that counted until now: the difference between the two is what
    an incremental reader has to add, for the correction of a correction too.
    """
    correction = look.correction
    filled: dict[str, Any] = {name: getattr(look.now, name) for name in correction.copied}
    for name, (old, new) in correction.fields.items():
        filled[old], filled[new] = before[name], values[name]
    id_kind = fields_of(correction.kind)[correction.original_event_id].kind
    original_id = look.original.id
    filled[correction.original_event_id] = original_id if id_kind is UUID else str(original_id)
    filled[correction.reason], filled[correction.ticket] = request.reason, request.ticket
    filled[correction.corrected_by] = request.corrected_by
    return correction.kind(**filled)
