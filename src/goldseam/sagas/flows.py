"""Choreographed flows as operators look at them, and those that never ended."""

from __future__ import annotations

from typing import Any

import msgspec

from goldseam.database.connection import Database
from goldseam.database.statements import statements
from goldseam.events.registry import Registry
from goldseam.resilience.clock import MICROSECONDS_PER_SECOND, Clock
from goldseam.sagas.choreography import Choreography, FlowEvent
from goldseam.sagas.errors import UnknownSaga
from goldseam.sagas.listing import TIME_MAX_US, SagaRow
from goldseam.telemetry.signals import signals

_COLUMNS = "flow_id, status, first_us, last_us, last_type"


class FlowStory(msgspec.Struct, frozen=True):
    """One flow: its row, its events in the order of their times, and what nobody has answered."""

    row: SagaRow
    events: tuple[FlowEvent, ...]
    unanswered: tuple[str, ...]


class FlowList:
    """Looks into the tables of one choreography.

    Args:
        database: where its consumer or projection writes.
        registry: says under which names its event classes are stored.
    """

    def __init__(
        self, choreography: Choreography, database: Database, registry: Registry, clock: Clock
    ) -> None:
        self.choreography, self._database, self._clock = choreography, database, clock
        names = {one.kind: one.name for one in registry}
        self._classes = {names[kind]: kind.__name__ for kind in choreography.kinds}
        self._answers = {
            names[kind]: frozenset(names[answer] for answer in answers)
            for kind, answers in choreography.reactions.items()
        }

    async def find(
        self, *, status: str = "", limit: int = 100, before_us: int = TIME_MAX_US
    ) -> list[SagaRow]:
        """Flows by their last event, the newest first. ``overdue`` is a status, too."""
        wanted = {"overdue": "running"}.get(status, status)
        latest_us = self._deadline_us() if status == "overdue" else TIME_MAX_US
        table = self.choreography.table  # a checked name
        sql = (
            f"SELECT {_COLUMNS} FROM {table} WHERE (:status = '' OR status = :status) "  # noqa: S608
            "AND last_us <= :before_us AND first_us <= :latest_us ORDER BY last_us DESC, flow_id "
            "LIMIT :limit"
        )
        row = {
            "status": wanted,
            "before_us": before_us,
            "latest_us": latest_us,
            "limit": limit,
        }
        return [self._row(*one) for one in await self._fetch(sql, row)]

    async def overdue(self, limit: int = 100) -> list[SagaRow]:
        """Flows that should have ended by now: somebody has not reacted."""
        found = await self.find(status="overdue", limit=limit)
        signals.gauge("goldseam_flows_overdue", len(found), flow=self.choreography.name)
        return found

    async def counts(self) -> list[tuple[str, int, str, int]]:
        """How many flows there are, by status."""
        table = self.choreography.table
        sql = f"SELECT status, count(*) FROM {table} GROUP BY status ORDER BY status"  # noqa: S608
        return [(self.choreography.name, 1, str(s), int(n)) for s, n in await self._fetch(sql, {})]

    async def show(self, flow: str) -> FlowStory:
        """One flow, as its events tell it.

        Raises:
            UnknownSaga: no event of such a correlation was seen.
        """
        table = self.choreography.table
        wanted = {"flow": flow}
        found = await self._fetch(
            f"SELECT {_COLUMNS} FROM {table} WHERE flow_id = :flow",  # noqa: S608
            wanted,
        )
        if not found:
            raise UnknownSaga(f"{self.choreography.name}/{flow}")
        rows = await self._fetch(
            f"SELECT event_id, type, stream, causation, at_us FROM {table}_events "  # noqa: S608
            "WHERE flow_id = :flow ORDER BY at_us, event_id",
            wanted,
        )
        events = tuple(FlowEvent(*one) for one in rows)
        return FlowStory(self._row(*found[0]), events, self.unanswered(events))

    def classes(self, events: tuple[FlowEvent, ...]) -> frozenset[str]:
        """The event classes of a flow's events, by their names in this program."""
        return frozenset(self._classes.get(one.type, one.type) for one in events)

    def unanswered(self, events: tuple[FlowEvent, ...]) -> tuple[str, ...]:
        """The events that some service should have reacted to and none has."""
        seen = {one.type for one in events}
        waiting = (name for name in seen if self._answers.get(name))
        return tuple(sorted(name for name in waiting if not seen & self._answers[name]))

    def _deadline_us(self) -> int:
        within = self.choreography.within_seconds * MICROSECONDS_PER_SECOND
        return self._clock.now_us() - int(within)

    def _row(self, flow: str, status: str, first_us: int, last_us: int, last_type: str) -> SagaRow:
        late = status == "running" and first_us <= self._deadline_us()
        due_us = first_us + int(self.choreography.within_seconds * MICROSECONDS_PER_SECOND)
        return SagaRow(
            f"{self.choreography.name}/{flow}",
            self.choreography.name,
            1,
            "overdue" if late else status,
            last_type,
            undoing=False,
            attempt=0,
            asked=status == "running",
            due_us=due_us,
            error="it should have ended by now" if late else "",
            started_us=first_us,
            updated_us=last_us,
            stream_version=0,
        )

    async def _fetch(self, sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Rows, or none where nobody has followed the choreography yet."""
        exists = statements("goldseam.consumers", self._database.dialect)["table_exists"]
        if not (await self._database.fetch(exists, {"name": self.choreography.table}))[0][0]:
            return []
        return await self._database.fetch(sql, parameters)
