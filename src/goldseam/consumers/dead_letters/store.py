"""The dead letters of a consumer in its own database: parked, due, resolved, in order.

Everything here happens in the consumer's transactions, so a crash neither loses nor doubles a
letter. Colourless: it awaits only the connection it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from goldseam.consumers.dead_letters.errors import DeadLettersFull, LetterGone
from goldseam.consumers.dead_letters.letter import (
    ERROR_LENGTH_MAX,
    TRACE_BYTES_MAX,
    Letter,
    fingerprint_of,
    letter_from,
    letter_row,
)
from goldseam.database import schema
from goldseam.database.connection import Connection, Row
from goldseam.database.statements import statements
from goldseam.resilience.clock import Clock
from goldseam.telemetry.signals import signals

Outcome = Literal["applied", "duplicate", "failed"]
"""How a redrive ended."""

PACKAGE, PART = "goldseam.consumers.dead_letters", "dead_letters"

SEQUENCES_MAX = 1_024
"""Stopped sequences of one consumer; more are no poison but a broken handler."""

SEQUENCE_LETTERS_MAX = 1_024
"""Letters of one sequence: the first is poison, the rest waits for somebody to look."""

LETTERS_BYTES_MAX = 256 * 1024 * 1024
"""Bytes of all waiting letters of one consumer."""

REDRIVES_MAX = 5
"""Failed redrives after which a letter is quarantined: asking again needs force."""


class Bounds(NamedTuple):
    """How much may wait in the dead letters of one consumer."""

    sequences: int = SEQUENCES_MAX
    sequence_letters: int = SEQUENCE_LETTERS_MAX
    letters_bytes: int = LETTERS_BYTES_MAX


BOUNDS = Bounds()


async def apply_tables(connection: Connection, clock: Clock) -> None:
    """Create or upgrade the tables."""
    await schema.apply(connection, PACKAGE, PART, clock)


async def stopped(connection: Connection, consumer: str) -> frozenset[str]:
    """The sequences of ``consumer`` that have letters waiting now."""
    rows = await connection.fetch(sql(connection, "stopped"), {"consumer": consumer})
    return frozenset(str(row[0]) for row in rows)


async def park(connection: Connection, letters: Sequence[Letter], bounds: Bounds = BOUNDS) -> None:
    """Keep ``letters``, in the transaction of the batch that could not apply them.

    Idempotent by consumer, topic, partition and offset. A letter that was resolved and comes
    again is opened again. One that queues behind a redriven one is redriven after it.

    Raises:
        DeadLettersFull: a bound is reached; the batch must not be committed.
    """
    by_sequence: dict[tuple[str, str], list[Letter]] = {}
    for letter in letters:
        by_sequence.setdefault((letter.consumer, letter.sequence), []).append(letter)
    keys = sorted(by_sequence)  # one order for all writers: no deadlock
    await lock(connection, keys)
    rows: list[dict[str, object]] = []
    for key in keys:
        rows += await _rows(connection, key, by_sequence[key])
    await connection.execute_many(sql(connection, "park"), rows)
    await recount(connection, keys)
    for consumer in sorted({consumer for consumer, _ in keys}):
        await _check_bounds(connection, consumer, bounds)


async def due(
    connection: Connection,
    consumer: str,
    limit: int,
    *,
    topic: str | None = None,
    partition: int | None = None,
    now_us: int | None = None,
) -> list[Letter]:
    """Letters whose redrive was asked for and whose time has come, in order of their sequence.

    Never one that waits behind another that is not due. ``topic`` and ``partition`` narrow it;
    ``now_us`` is the database's own clock unless given.
    """
    named = {
        "consumer": consumer, "limit": limit, "topic": topic, "partition": partition,
        "now_us": now_us,
    }  # fmt: skip
    rows = await connection.fetch(sql(connection, "due"), named)
    return [letter_from(row) for row in rows]


async def resolved(
    connection: Connection,
    letter: Letter,
    outcome: Outcome,
    now_us: int,
    error_class: str = "",
    error: str = "",
    *,
    trace: str = "",
    redrives_max: int = REDRIVES_MAX,
) -> None:
    """Say how the redrive of ``letter`` ended; ``applied`` in the transaction of its effect.

    After ``failed`` its sequence is stopped again, and the letter is quarantined when that was
    its ``redrives_max``-th time.

    Args:
        error_class, error, trace: why it failed, without any value of the payload.

    Raises:
        LetterGone: it is ``applied`` here and was resolved elsewhere: roll back.
    """
    key = letter.consumer, letter.sequence
    await lock(connection, [key])
    if outcome == "failed":
        await _failed(connection, letter, now_us, (error_class, error, trace), redrives_max)
    else:
        named: dict[str, object] = {"id": letter.id, "state": outcome, "now_us": now_us}
        if not await connection.fetch(sql(connection, "resolve"), named):
            raise LetterGone(letter.id)
    await recount(connection, [key])


async def _failed(
    connection: Connection,
    letter: Letter,
    now_us: int,
    why: tuple[str, str, str],
    redrives_max: int,
) -> None:
    error_class, error, trace = why
    trace = trace.encode()[-TRACE_BYTES_MAX:].decode("utf-8", "ignore")
    named: dict[str, object] = {
        "id": letter.id,
        "error_class": error_class,
        "error": error[:ERROR_LENGTH_MAX],
        "trace": trace,
        "fingerprint": fingerprint_of(error_class, trace, letter.type),
        "now_us": now_us,
        "redrives_max": redrives_max,
    }
    rows = await connection.fetch(sql(connection, "fail"), named)
    where = {"consumer": letter.consumer, "sequence": letter.sequence}
    await connection.fetch(sql(connection, "stop_again"), where)
    if rows and rows[0][0] == "quarantined":
        signals.count("goldseam_dead_letters_quarantined_total", consumer=letter.consumer)


async def counts(connection: Connection, consumer: str) -> tuple[int, int, int]:
    """How many sequences of ``consumer`` are stopped, and the letters and bytes that wait."""
    row = (await connection.fetch(sql(connection, "totals"), {"consumer": consumer}))[0]
    return int(row[0]), int(row[1]), int(row[2])


async def lock(connection: Connection, keys: Iterable[tuple[str, str]]) -> None:
    """Take turns with everybody else who changes these (consumer, sequence), until the commit."""
    rows = [{"consumer": consumer, "sequence": sequence} for consumer, sequence in keys]
    await connection.execute_many(sql(connection, "lock_sequence"), rows)


async def recount(connection: Connection, keys: Iterable[tuple[str, str]]) -> None:
    """Write down what waits in sequences that :func:`lock` holds; none means they flow again."""
    rows = [{"consumer": consumer, "sequence": sequence} for consumer, sequence in keys]
    await connection.execute_many(sql(connection, "recount_sequence"), rows)
    await connection.execute_many(sql(connection, "drop_sequence"), rows)


async def _rows(
    connection: Connection, key: tuple[str, str], letters: Sequence[Letter]
) -> list[dict[str, object]]:
    """The rows of new letters of one sequence: their turns, and whether they are due at once."""
    where = {"consumer": key[0], "sequence": key[1]}
    found = await connection.fetch(sql(connection, "turns"), where)
    turns = {(str(topic), int(number)): int(turn) for topic, number, turn in found}
    state, due_us = _inherited(await connection.fetch(sql(connection, "last_of_sequence"), where))
    rows = []
    for letter in letters:
        place = letter.topic, letter.partition
        turn = turns.setdefault(place, max(turns.values(), default=0) + 1)
        if letter.reason != "queued":
            state, due_us = "waiting", 0
        if letter.redrive_count >= REDRIVES_MAX:
            state, due_us = "quarantined", 0
        rows.append({**letter_row(letter), "turn": turn, "state": state, "due_us": due_us})
    return rows


def _inherited(last: Sequence[Row]) -> tuple[str, int]:
    """A queued letter is due with the one before it; when that is gone already, at once."""
    if not last:
        return "due", 0
    state, due_us = last[0]
    return ("due", int(due_us)) if state == "due" else ("waiting", 0)


async def _check_bounds(connection: Connection, consumer: str, bounds: Bounds) -> None:
    row = (await connection.fetch(sql(connection, "totals"), {"consumer": consumer}))[0]
    sequences, letters_bytes, longest = int(row[0]), int(row[2]), int(row[3])
    if sequences > bounds.sequences:
        raise DeadLettersFull(consumer, "sequences", sequences, bounds.sequences)
    if longest > bounds.sequence_letters:
        raise DeadLettersFull(consumer, "letters of one sequence", longest, bounds.sequence_letters)
    if letters_bytes > bounds.letters_bytes:
        raise DeadLettersFull(consumer, "bytes", letters_bytes, bounds.letters_bytes)


def sql(connection: Connection, name: str) -> str:
    """The statement of this name in the connection's dialect."""
    return statements(PACKAGE, connection.dialect)[name]
