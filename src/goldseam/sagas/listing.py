"""Sagas as operators look at them: the list, the counts, and one saga with its whole story."""

from __future__ import annotations

from typing import Any

import msgspec

from goldseam.database.connection import Database
from goldseam.database.statements import statements
from goldseam.errors import InvalidInput
from goldseam.events.event import Recorded
from goldseam.sagas.desk import Instance, Sagas
from goldseam.sagas.errors import UnknownDefinition, UnknownSaga

PACKAGE = "goldseam.sagas"
LIST_MAX = 1_000
STATUSES = ("running", "compensating", "parked", "completed", "compensated")
TIME_MAX_US = 2**62


class SagaRow(msgspec.Struct, frozen=True):
    """One saga in a list. Times are microseconds since 1970; ``due_us`` 0 means at once.

    ``step`` is the last one that something happened to, ``undoing`` in which direction.
    """

    saga: str
    definition: str
    version: int
    status: str
    step: str
    undoing: bool
    attempt: int
    asked: bool
    due_us: int
    error: str
    started_us: int
    updated_us: int
    stream_version: int


class Happening(msgspec.Struct, frozen=True):
    """One event of a saga's story."""

    version: int
    position: int
    at_us: int
    fact: str
    details: Any
    actor: str | None = None


class SagaStory(msgspec.Struct, frozen=True):
    """One saga: its row, what is still to be undone, its results, and all that has happened."""

    row: SagaRow
    steps: tuple[str, ...]
    undo: tuple[str, ...]
    results: dict[str, Any]
    happened: tuple[Happening, ...]


class SagaList:
    """Looks into the index, and into the sagas' streams."""

    def __init__(self, database: Database, desk: Sagas) -> None:
        self._database, self._desk = database, desk

    async def find(
        self,
        *,
        status: str = "",
        definition: str = "",
        limit: int = 100,
        before_us: int = TIME_MAX_US,
    ) -> list[SagaRow]:
        """Sagas by their last change, the newest first.

        Raises:
            InvalidInput: an unknown status, or a limit that is not 1 to 1,000.
        """
        if status and status not in STATUSES:
            raise InvalidInput(f"no saga is {status!r}; a status is one of {', '.join(STATUSES)}")
        if not 1 <= limit <= LIST_MAX:
            raise InvalidInput(f"limit {limit} is not 1 to {LIST_MAX}")
        found = await self._fetch(
            "newest", status=status, definition=definition, limit=limit, before_us=before_us
        )
        return [_row(one) for one in found]

    async def counts(self) -> list[tuple[str, int, str, int]]:
        """How many sagas there are, by definition, version and status."""
        return [(str(d), int(v), str(s), int(n)) for d, v, s, n in await self._fetch("counts")]

    async def show(self, saga_id: str) -> SagaStory:
        """One saga's whole story, from its own stream.

        Raises:
            UnknownSaga: there is none.
        """
        stream = await self._desk.stream(saga_id)
        happened = tuple(_happening(one) for one in stream)
        try:
            instance = await self._desk.load(saga_id)
        except UnknownDefinition:
            found = await self._fetch("one", saga=saga_id)
            if not found:
                raise UnknownSaga(saga_id) from None
            return SagaStory(_row(found[0]), (), (), {}, happened)
        results = {name: _shown(one) for name, one in instance.state.results.items()}
        row = row_of(instance, stream)
        return SagaStory(
            row, instance.saga.step_names, tuple(instance.state.undo), results, happened
        )

    async def _fetch(self, name: str, **parameters: object) -> list[tuple[Any, ...]]:
        sql = statements(PACKAGE, self._database.dialect)[name]
        return await self._database.fetch(sql, parameters)


def row_of(instance: Instance, stream: list[Recorded[Any]]) -> SagaRow:
    """The row of a saga as its stream tells it, however far the index is."""
    state = instance.state
    return SagaRow(
        instance.id,
        state.definition,
        state.version,
        state.status,
        state.doing(instance.saga) or "",
        state.status in ("compensating", "parked"),
        state.attempt,
        state.asked,
        state.due_us,
        state.error,
        stream[0].recorded_us,
        stream[-1].recorded_us,
        instance.version,
    )


def _row(found: tuple[Any, ...]) -> SagaRow:
    saga, definition, version, status, step, undoing, attempt, asked, *rest = found
    return SagaRow(
        saga, definition, version, status, step, bool(undoing), attempt, bool(asked), *rest
    )


def _happening(one: Recorded[Any]) -> Happening:
    fact = one.type.removeprefix("goldseam.")
    return Happening(
        one.version, one.position, one.recorded_us, fact, _shown(one.data), one.metadata.actor
    )


def _shown(value: Any) -> Any:
    try:
        return msgspec.to_builtins(value)
    except TypeError:
        return str(value)
