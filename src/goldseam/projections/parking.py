"""Stop the one sequence: events that could not be applied, and those that wait behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from goldseam.database.connection import Connection, Parameters, Row
from goldseam.database.statements import statements
from goldseam.events.event import Recorded
from goldseam.projections.checkpoint import Checkpoint

PARKED_SEQUENCES_MAX = 1_000
"""More stopped sequences than this are no poison events but a broken projection: it stops."""

PARKED_PAGE_MAX = 500
"""Parked events listed, retried or discarded in one go."""

ERROR_LENGTH_MAX = 300

_HIDDEN = "[...]"
_HIDE_FROM_LENGTH = 2


class Parked(msgspec.Struct, frozen=True):
    """One event that waits: the one that failed, or one ``queued`` behind it."""

    sequence: str
    position: int
    event_id: str
    type: str
    queued: bool
    error: str
    attempts: int
    parked_us: int
    resolution: str
    reason: str
    resolved_us: int
    generation: int


async def stopped_sequences(connection: Connection, one: Checkpoint) -> set[str]:
    """The sequences of this colour that are stopped."""
    rows = await connection.fetch(_sql(connection, "parked_sequences"), _colour(one))
    return {str(row[0]) for row in rows}


async def parked(
    connection: Connection, one: Checkpoint, sequence: str | None = None
) -> list[Parked]:
    """What is parked in this colour, by sequence and position; one page of it."""
    parameters: dict[str, object] = {**_colour(one), "limit": PARKED_PAGE_MAX}
    if sequence is None:
        rows = await connection.fetch(_sql(connection, "list_parked"), parameters)
    else:
        parameters["sequence"] = sequence
        rows = await connection.fetch(_sql(connection, "list_parked_of_sequence"), parameters)
    return [_parked(row) for row in rows]


async def count(connection: Connection, one: Checkpoint) -> tuple[int, int]:
    """How many events are parked in this colour, and in how many sequences."""
    events, sequences = (await connection.fetch(_sql(connection, "count_parked"), _colour(one)))[0]
    return int(events), int(sequences)


def parked_row(
    one: Checkpoint,
    event: Recorded[Any],
    sequence: str,
    now_us: int,
    error: str = "",
    attempts: int = 0,
) -> Parameters:
    """The row for ``event``; without an error it is queued behind the one that failed."""
    return {
        "projection": one.projection,
        "colour": one.colour,
        "generation": one.generation,
        "position": event.position,
        "sequence": sequence,
        "event_id": str(event.id),
        "type": event.type,
        "queued": 0 if error else 1,
        "error": error,
        "attempts": attempts,
        "parked_us": now_us,
    }


async def park(connection: Connection, rows: Sequence[Parameters]) -> None:
    """Remember what could not be applied."""
    await connection.execute_many(_sql(connection, "park"), rows)


async def resolve(
    connection: Connection,
    one: Checkpoint,
    positions: Sequence[int],
    resolution: str,
    reason: str,
    now_us: int,
) -> None:
    """Say how parked events ended: ``retried`` or ``discarded``, and why."""
    rows = [
        {
            "projection": one.projection,
            "generation": one.generation,
            "position": position,
            "resolution": resolution,
            "reason": reason,
            "resolved_us": now_us,
        }
        for position in positions
    ]
    await connection.execute_many(_sql(connection, "resolve_parked"), rows)


async def failed_again(connection: Connection, one: Checkpoint, position: int, error: str) -> None:
    """A retry of the parked event at ``position`` failed."""
    await connection.fetch(
        _sql(connection, "fail_parked"),
        {
            "projection": one.projection,
            "generation": one.generation,
            "position": position,
            "error": error,
        },
    )


async def forget(connection: Connection, one: Checkpoint) -> None:
    """Remove what was parked in a build; of one that has served, the history stays."""
    name = "delete_parked" if one.role == "building" else "delete_open_parked"
    await connection.fetch(
        _sql(connection, name),
        {"projection": one.projection, "generation": one.generation},
    )


async def forget_all(connection: Connection, projection: str) -> None:
    """Remove all that was parked: every event will be tried again."""
    await connection.fetch(_sql(connection, "delete_all_parked"), {"projection": projection})


async def move(connection: Connection, old: Checkpoint, new: Checkpoint) -> None:
    """What was parked under the generation of ``old`` is parked under that of ``new``."""
    await connection.fetch(
        _sql(connection, "move_parked"),
        {"projection": old.projection, "generation": old.generation, "new": new.generation},
    )


def described(error: BaseException, event: Recorded[Any]) -> str:
    """The error's class and first line, without any value of the event."""
    text = (str(error).strip().splitlines() or [""])[0]
    try:
        fields = msgspec.to_builtins(event.data)
    except Exception:  # what cannot be taken apart cannot be searched for: say no text at all
        return type(error).__name__
    values = {v for v in _leaves(fields) if len(v) >= _HIDE_FROM_LENGTH}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, _HIDDEN)
    return f"{type(error).__name__}: {text}"[:ERROR_LENGTH_MAX]


def _leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [leaf for one in value.values() for leaf in _leaves(one)]
    if isinstance(value, list | tuple | set):
        return [leaf for one in value for leaf in _leaves(one)]
    return [] if value is None or isinstance(value, bool) else [str(value)]


def _colour(one: Checkpoint) -> dict[str, object]:
    return {"projection": one.projection, "colour": one.colour}


def _parked(row: Row) -> Parked:
    values = list(row)
    values[4] = bool(values[4])
    return Parked(*values)


def _sql(connection: Connection, name: str) -> str:
    return statements("goldseam.projections", connection.dialect)[name]
