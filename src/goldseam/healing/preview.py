"""Show what a correction would change, before it is appended.

From the guide, "Healing Commands"; nothing of it is kept: states are folded in memory, rows are
changed in transactions that are rolled back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from goldseam.commands.aggregate import Aggregate, decider_of
from goldseam.commands.decider import Decider
from goldseam.events.event import Recorded, encode_metadata
from goldseam.events.names import category_of
from goldseam.healing.corrections import declared_in
from goldseam.healing.plan import Change, Plan
from goldseam.healing.rows import RowChange, projected, said
from goldseam.projections.hosted import HostedProjection
from goldseam.store.event_store import EventStore

NONE_REGISTERED = "none registered"
"""What a preview says about sagas and topics where nothing tells of any."""


class Affects(Protocol):
    """Something beyond states and rows that a correction reaches: a saga, a topic."""

    name: str

    def describe(self, original: Recorded[Any], correction: object) -> list[str]:
        """What would happen, one sentence each; empty where nothing would."""
        ...


class StateChange(msgspec.Struct, frozen=True):
    """One value of an aggregate's state, before and after."""

    aggregate: str
    changes: tuple[Change, ...]
    error: str = ""
    """Why the state cannot be shown: the aggregate does not take the history."""


class ProjectionChange(msgspec.Struct, frozen=True):
    """What a projection's tables would show.

    ``how``: ``applied`` to the live rows by its handler; or ``re-projected``, shown for this
    stream alone, and rebuilt beside its live tables after the correction.
    """

    projection: str
    how: str
    rows: tuple[RowChange, ...]
    error: str = ""


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one correction would change."""

    event_id: str
    event_type: str
    stream: str
    version: int
    correction: str
    payload: dict[str, Any]
    changes: tuple[Change, ...]
    states: tuple[StateChange, ...]
    projections: tuple[ProjectionChange, ...]
    sagas_and_topics: tuple[str, ...]


Kind = Decider[Any, Any, Any] | type[Aggregate]


async def preview(
    store: EventStore,
    planned: Plan,
    *,
    aggregates: Mapping[str, Kind] | Sequence[Kind] = (),
    projections: Sequence[HostedProjection] = (),
    affects: Sequence[Affects] = (),
) -> Preview:
    """What ``planned`` would change; see :func:`goldseam.healing.plan.plan`.

    Args:
        aggregates: who decides on such streams: by category, or those to try as they are.
        projections: whose rows to show; those of other categories are left out.
        affects: what else a correction reaches.
    """
    event = _as_recorded(store, planned)
    look = planned.look
    original, stream = look.original, look.original.stream
    before = declared_in(store.registry).effective(look.history)
    after = declared_in(store.registry).effective([*look.history, event])
    kind = store.registry.of(planned.event)
    shown = [
        await projected(store, hosted, planned, event, before, after)
        for hosted in projections
        if hosted.projection.category in (None, category_of(stream))
    ]
    told = [f"{one.name}: {line}" for one in affects for line in one.describe(original, event.data)]
    return Preview(
        event_id=str(look.target.id),
        event_type=look.target.type,
        stream=stream,
        version=event.version,
        correction=kind.name,
        payload=msgspec.json.decode(kind.encode(planned.event)),
        changes=planned.changes,
        states=tuple(_state(one, before, after) for one in _of(aggregates, stream)),
        projections=tuple(
            ProjectionChange(name, how, rows, error)
            for name, how, rows, error in (one for one in shown if one is not None)
        ),
        sagas_and_topics=tuple(told) if affects else (NONE_REGISTERED,),
    )


def _as_recorded(store: EventStore, planned: Plan) -> Recorded[Any]:
    """The correction as if it were in the log: at the next place, with an id of no event."""
    look = planned.look
    kind = store.registry.of(planned.event)
    metadata = look.target.caused(actor=planned.request.corrected_by)
    last = look.history[-1]
    return Recorded(
        max(last.position + 1, look.original.position + 1),
        look.original.stream,
        look.version + 1,
        kind.name,
        kind.version,
        planned.event,
        store.tenant,
        store.clock.now_us(),
        bytes(16),
        encode_metadata(metadata),
    )


def _of(aggregates: Mapping[str, Kind] | Sequence[Kind], stream: str) -> list[Kind]:
    if isinstance(aggregates, Mapping):
        found = aggregates.get(category_of(stream))
        return [] if found is None else [found]
    return list(aggregates)


def _state(
    kind: Kind, before: Sequence[Recorded[Any]], after: Sequence[Recorded[Any]]
) -> StateChange:
    decider: Decider[Any, Any, Any] = decider_of(kind) if isinstance(kind, type) else kind
    try:
        old, new = (_fields(decider.fold(e.data for e in events)) for events in (before, after))
    except Exception as error:  # whatever the aggregate raises is what there is to show
        return StateChange(decider.name, (), said(error))
    names = dict.fromkeys([*old, *new])
    changes = (Change(name, old.get(name), new.get(name)) for name in names)
    return StateChange(decider.name, tuple(one for one in changes if one.before != one.after))


def _fields(state: Any) -> dict[str, Any]:
    plain = state.state() if isinstance(state, Aggregate) else state
    plain = msgspec.to_builtins(plain, enc_hook=repr)
    return plain if isinstance(plain, dict) else {"state": plain}


def lines(shown: Preview) -> list[str]:
    """The preview as text: what, then each old value and its new one."""
    found = [f"{shown.event_type} {shown.event_id} in {shown.stream}"]
    found += [f"  {one.field}: {one.before} -> {one.after}" for one in shown.changes]
    found.append(f"appends {shown.correction} as version {shown.version}")
    for state in shown.states:
        found.append(f"state of {state.aggregate}")
        found += [f"  {one.field}: {one.before} -> {one.after}" for one in state.changes]
        found += [f"  cannot be shown: {state.error}"] if state.error else []
        found += [] if state.changes or state.error else ["  not changed"]
    for one in shown.projections:
        found.append(f"projection {one.projection} ({one.how})")
        found += [f"  {line}" for row in one.rows for line in row.lines()]
        found += [f"  cannot be shown: {one.error}"] if one.error else []
        found += [] if one.rows or one.error else ["  not changed"]
    return [*found, "sagas and topics", *(f"  {line}" for line in shown.sagas_and_topics)]
