"""Sagas without a coordinator: services react to one another's events, and the path is seen.

From the guide, "Choreography vs Orchestration": coupling is loose and visibility is distributed.
What is declared here moves nothing. It follows the correlation and causation of the events, so
that a flow can be looked at as one thing, and one that never ended is found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import msgspec

from goldseam.consumers.connection import ConsumerConnection
from goldseam.consumers.consumer import Consumer
from goldseam.consumers.modes import DedupTable, EffectivelyOnce, Mode
from goldseam.database.connection import Parameters
from goldseam.events.event import Recorded
from goldseam.events.names import category_of, checked_name
from goldseam.projections.connection import ProjectionConnection
from goldseam.projections.projection import Projection
from goldseam.sagas.errors import SagaDefinitionError
from goldseam.sagas.facts import CATEGORY
from goldseam.sagas.saga import NAME_LENGTH_MAX

WITHIN_SECONDS = 300.0
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,29}")

_TABLES = """
CREATE TABLE {%(table)s} (
    flow_id TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    first_us BIGINT NOT NULL,
    last_us BIGINT NOT NULL,
    last_type TEXT NOT NULL
);
CREATE TABLE {%(table)s_events} (
    event_id TEXT PRIMARY KEY,
    flow_id TEXT NOT NULL,
    type TEXT NOT NULL,
    stream TEXT NOT NULL,
    causation TEXT NOT NULL,
    at_us BIGINT NOT NULL
);
CREATE INDEX {%(table)s}_last ON {%(table)s} (last_us);
CREATE INDEX {%(table)s_events}_flow ON {%(table)s_events} (flow_id, at_us);
"""
_EVENT = """
INSERT INTO {%(table)s_events} (event_id, flow_id, type, stream, causation, at_us)
VALUES (:event_id, :flow_id, :type, :stream, :causation, :at_us)
ON CONFLICT (event_id) DO NOTHING
"""
_FLOW = """
INSERT INTO {%(table)s} (flow_id, status, first_us, last_us, last_type)
VALUES (:flow_id, :status, :at_us, :at_us, :type)
ON CONFLICT (flow_id) DO UPDATE SET
    status = CASE WHEN excluded.status = 'running' THEN {%(table)s}.status
        ELSE excluded.status END,
    first_us = CASE WHEN excluded.first_us < {%(table)s}.first_us THEN excluded.first_us
        ELSE {%(table)s}.first_us END,
    last_type = CASE WHEN excluded.last_us < {%(table)s}.last_us THEN {%(table)s}.last_type
        ELSE excluded.last_type END,
    last_us = CASE WHEN excluded.last_us < {%(table)s}.last_us THEN {%(table)s}.last_us
        ELSE excluded.last_us END
"""


class Choreography:
    """Declares which event is answered by which. Subclass it; see docs/howto/sagas.md.

    ``begins``: the class of the first event. ``reactions``: what some service answers each event
    with, one of several. ``completes`` and ``compensates``: the events that end it, well or
    undone. ``within_seconds``: how long it may take; one that is still under way then is overdue.
    """

    name: ClassVar[str]
    begins: ClassVar[type]
    reactions: ClassVar[Mapping[type, tuple[type, ...]]]
    completes: ClassVar[tuple[type, ...]]
    compensates: ClassVar[tuple[type, ...]] = ()
    within_seconds: ClassVar[float] = WITHIN_SECONDS

    def __init__(self) -> None:
        title = type(self).__name__
        if not isinstance(getattr(self, "name", None), str):
            raise SagaDefinitionError(f"{title} needs a name: name = 'order-flow'")
        checked_name("choreography", self.name, NAME_LENGTH_MAX)
        if not _NAME.fullmatch(self.name):
            raise SagaDefinitionError(
                f"choreography {self.name!r}: take at most 30 lower-case letters, digits, _ and -"
            )
        for needed in ("begins", "reactions", "completes"):
            if not hasattr(self, needed):
                raise SagaDefinitionError(f"choreography {self.name!r} does not say {needed}")
        self._check_paths()

    def _check_paths(self) -> None:
        """Every event leads to an end, and every end is reached."""
        reached, ahead = {self.begins}, [self.begins]
        while ahead:
            for kind in self.reactions.get(ahead.pop(), ()):
                if kind not in reached:
                    reached.add(kind)
                    ahead.append(kind)
        ends = {*self.completes, *self.compensates}
        lost = sorted(k.__name__ for k in (set(self.reactions) | ends) - reached)
        dead = sorted(k.__name__ for k in reached - ends if not self.reactions.get(k))
        if lost:
            raise SagaDefinitionError(
                f"choreography {self.name!r}: nothing leads to {', '.join(lost)}"
            )
        if dead:
            raise SagaDefinitionError(
                f"choreography {self.name!r}: nothing follows {', '.join(dead)}, and it is no end"
            )

    @property
    def kinds(self) -> tuple[type, ...]:
        """Every class of event that belongs to it."""
        found = {self.begins: None}
        for kind, answers in self.reactions.items():
            found.update(dict.fromkeys((kind, *answers)))
        return tuple(found)

    @property
    def table(self) -> str:
        """The table of its flows."""
        return f"flow_{self.name.replace('-', '_')}"

    def flow_of(self, event: Recorded[Any]) -> str:
        """What makes events belong together: their correlation; the first one's own id."""
        return event.metadata.correlation or str(event.id)

    def status_after(self, kind: type) -> str:
        """What the flow is when such an event has been seen."""
        if kind in self.compensates:
            return "compensated"
        return "completed" if kind in self.completes else "running"


class FlowEvent(msgspec.Struct, frozen=True):
    """One event of a flow, wherever it was written."""

    event_id: str
    type: str
    stream: str
    causation: str
    at_us: int


class _Db(Protocol):
    async def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None: ...


class FlowConsumer(Consumer):
    """Follows a choreography over its topics; its tables are in the consumer's database.

    Args:
        topics: of all the services that take part.
    """

    mode: ClassVar[Mode] = EffectivelyOnce(dedup=DedupTable())

    def __init__(self, choreography: Choreography, topics: Sequence[str]) -> None:
        self.choreography = choreography
        self.name, self.topics = f"flow-{choreography.name}", topics  # type: ignore[misc]
        self.tables = _TABLES % {"table": choreography.table}  # type: ignore[misc]
        self.types = choreography.kinds  # type: ignore[misc]
        super().__init__()

    async def apply_batch(self, events: Sequence[Recorded[Any]], db: ConsumerConnection) -> None:
        """Note what has been seen."""
        await _note(self.choreography, events, db)


class FlowProjection(Projection):
    """Follows a choreography inside one store."""

    def __init__(self, choreography: Choreography) -> None:
        self.choreography = choreography
        self.name = f"flow-{choreography.name}"  # type: ignore[misc]
        self.tables = _TABLES % {"table": choreography.table}  # type: ignore[misc]
        self.types = choreography.kinds  # type: ignore[misc]
        super().__init__()

    async def apply_batch(self, events: Sequence[Recorded[Any]], db: ProjectionConnection) -> None:
        """Note what has been seen."""
        await _note(self.choreography, events, db)


async def _note(choreography: Choreography, events: Sequence[Recorded[Any]], db: _Db) -> None:
    """What an orchestrated saga has heard stands in its stream once more; that is no new event."""
    named = {"table": choreography.table}
    rows = [_row(choreography, one) for one in events if category_of(one.stream) != CATEGORY]
    await db.execute_many(_EVENT % named, rows)
    await db.execute_many(_FLOW % named, rows)


def _row(choreography: Choreography, event: Recorded[Any]) -> dict[str, object]:
    return {
        "event_id": str(event.id),
        "flow_id": choreography.flow_of(event),
        "type": event.type,
        "stream": event.stream,
        "causation": event.metadata.causation or "",
        "at_us": event.recorded_us,
        "status": choreography.status_after(type(event.data)),
    }
