"""The index of sagas: one row each, so that those that are due, open or parked are found at once.

A projection of the sagas' own streams: it can be rebuilt, and nothing rests on it but the speed
of finding. It holds no data of any saga, only where each stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from zlib import crc32

import msgspec

from goldseam.events.event import Recorded
from goldseam.projections.connection import ProjectionConnection
from goldseam.projections.projection import Projection
from goldseam.sagas.desk import saga_of
from goldseam.sagas.facts import (
    CATEGORY,
    FACTS,
    AnswerCameLate,
    CompensationRequested,
    SagaCompensated,
    SagaCompleted,
    SagaParked,
    SagaRetried,
    SagaStarted,
    StepAsked,
    StepAttemptFailed,
    StepCompleted,
    StepGivenUp,
    StepUndone,
    StepWasRefused,
)

SLOTS = 1_024
"""Sagas are spread over so many slots, and the slots over the processes that run them."""

UNPARKED = "unparked"
"""Stands for what the status is after a retry: it depends on what it was."""

_INSERT = """
INSERT INTO {saga_index} (saga, slot, definition, version, status, step, undoing, attempt, asked,
    due_us, error, started_us, updated_us, stream_version)
VALUES (:saga, :slot, :definition, :version, :status, :step, :undoing, :attempt, :asked, :due_us,
    :error, :started_us, :updated_us, :stream_version)
"""
_UPDATE = """
UPDATE {saga_index} SET
    status = CASE WHEN :status = '' THEN status
        WHEN :status = 'unparked' THEN
            CASE WHEN status = 'parked' THEN 'compensating' ELSE status END
        ELSE :status END,
    step = CASE WHEN :step = '' THEN step ELSE :step END,
    undoing = CASE WHEN :changed = 0 THEN undoing ELSE :undoing END,
    attempt = CASE WHEN :changed = 0 THEN attempt ELSE :attempt END,
    asked = CASE WHEN :changed = 0 THEN asked ELSE :asked END,
    due_us = CASE WHEN :changed = 0 THEN due_us ELSE :due_us END,
    error = CASE WHEN :error = '' THEN error ELSE :error END,
    updated_us = :updated_us, stream_version = :stream_version
WHERE saga = :saga
"""


def slot_of(saga: str) -> int:
    """The slot of a saga."""
    return crc32(saga.encode()) % SLOTS


class _Row(msgspec.Struct):
    """What a batch changes in one saga's row; empty texts stay as they are.

    ``changed`` 0: nothing but late answers, which move nothing.
    """

    saga: str
    slot: int = 0
    definition: str = ""
    version: int = 0
    status: str = ""
    step: str = ""
    undoing: int = 0
    attempt: int = 0
    asked: int = 0
    due_us: int = 0
    error: str = ""
    started_us: int = 0
    updated_us: int = 0
    stream_version: int = 0
    changed: int = 1


class SagaIndex(Projection):
    """See the module."""

    name = "sagas"
    category = CATEGORY
    types: ClassVar[tuple[type, ...]] = FACTS
    linger_seconds = 0.1  # most sagas end within it: one row is written, not one for each step
    tables = """
    CREATE TABLE {saga_index} (
        saga TEXT PRIMARY KEY,
        slot INTEGER NOT NULL,
        definition TEXT NOT NULL,
        version INTEGER NOT NULL,
        status TEXT NOT NULL,
        step TEXT NOT NULL,
        undoing INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        asked INTEGER NOT NULL,
        due_us BIGINT NOT NULL,
        error TEXT NOT NULL,
        started_us BIGINT NOT NULL,
        updated_us BIGINT NOT NULL,
        stream_version BIGINT NOT NULL
    );
    CREATE INDEX {saga_index}_due ON {saga_index} (due_us, saga)
        WHERE status IN ('running', 'compensating');
    CREATE INDEX {saga_index}_updated ON {saga_index} (updated_us);
    """

    async def apply_batch(self, events: Sequence[Recorded[Any]], db: ProjectionConnection) -> None:
        """One row for each saga of the batch, however many facts it has."""
        rows: dict[str, _Row] = {}
        for event in events:
            saga = saga_of(event.stream)
            row = rows.get(saga)
            if row is None:
                row = rows[saga] = _Row(saga, changed=0)
            row.updated_us, row.stream_version = event.recorded_us, event.version
            _take(row, event)
        begun = [msgspec.structs.asdict(row) for row in rows.values() if row.definition]
        moved = [msgspec.structs.asdict(row) for row in rows.values() if not row.definition]
        await db.execute_many(_INSERT, begun)
        await db.execute_many(_UPDATE, moved)


def _take(row: _Row, event: Recorded[Any]) -> None:
    fact = event.data
    if isinstance(fact, AnswerCameLate):
        return
    row.attempt = row.asked = row.due_us = 0
    row.changed = 1
    match fact:
        case SagaStarted():
            row.slot, row.started_us = slot_of(row.saga), event.recorded_us
            row.definition, row.version, row.status = fact.definition, fact.version, "running"
        case StepAsked():
            row.asked, row.attempt, row.due_us = 1, fact.attempt - 1, fact.due_us
            row.step, row.undoing = fact.step, int(fact.undoing)
        case StepAttemptFailed():
            row.attempt, row.due_us, row.error = fact.attempt, fact.due_us, fact.error
            row.step, row.undoing = fact.step, int(fact.undoing)
        case StepCompleted() | StepUndone():
            row.step, row.undoing = fact.step, int(isinstance(fact, StepUndone))
            if row.undoing:
                row.status = "compensating"
        case _:
            _take_turn(row, fact)


def _take_turn(row: _Row, fact: object) -> None:
    match fact:
        case StepWasRefused():
            row.status, row.step, row.error = "compensating", fact.step, f"refused: {fact.reason}"
        case StepGivenUp():
            row.status, row.step, row.error = "compensating", fact.step, f"given up: {fact.error}"
        case CompensationRequested():
            row.status, row.error = "compensating", f"undone for {fact.by}: {fact.reason}"
        case SagaParked():
            row.status, row.step, row.error = "parked", fact.step, fact.error
            row.undoing = 1
        case SagaRetried():
            row.status = {"": UNPARKED, "parked": "compensating"}.get(row.status, row.status)
        case SagaCompleted():
            row.status = "completed"
        case SagaCompensated():
            row.status = "compensated"
