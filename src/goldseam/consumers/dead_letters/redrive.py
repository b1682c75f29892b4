"""Ask for redrives, and give letters up; the consumer's own process carries the redrives out.

A redrive is asked for whole sequences, from their first letter on: order is never broken. Doing
is marking letters due, in the consumer's database, so it outlives every process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from goldseam.consumers.dead_letters import actions
from goldseam.consumers.dead_letters.actions import Order
from goldseam.consumers.dead_letters.choice import Choice, head_of, one
from goldseam.consumers.dead_letters.errors import LetterGone, NotTheFirst, Quarantined
from goldseam.consumers.dead_letters.letter import Letter, letter_from
from goldseam.consumers.dead_letters.store import (
    REDRIVES_MAX,
    SEQUENCES_MAX,
    lock,
    recount,
    sql,
)
from goldseam.database.connection import Connection
from goldseam.errors import InvalidInput
from goldseam.resilience.clock import MICROSECONDS_PER_SECOND

LETTERS_MAX = 10_000
"""Letters that are asked for, or given up, in one go."""

RATE_MAX = 10_000.0
"""Letters a second; without a rate they are redriven as fast as the consumer can."""

HEADS_SHOWN = 20


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for, or would be: letters by reason, and the first ones of the sequences."""

    consumer: str
    sequences: int
    letters: int
    reasons: Mapping[str, int]
    error_classes: Mapping[str, int]
    first_letters: tuple[int, ...]
    quarantined: int
    """Sequences left alone because their first letter failed its redrive too often."""
    seconds: float
    """How long the rate spreads them over."""
    action: int | None
    """The number of the audit record; None for a dry run."""


class Discarded(msgspec.Struct, frozen=True, kw_only=True):
    """What was given up; ``next_letters`` are first in their sequences now and may be redriven."""

    consumer: str
    letters: int
    next_letters: tuple[int, ...]
    action: int | None


async def redrive(
    connection: Connection,
    choice: Choice,
    order: Order,
    *,
    rate: float | None = None,
    most: int = LETTERS_MAX,
    force: bool = False,
    dry_run: bool = False,
) -> Asked:
    """Ask for the sequences whose first letter ``choice`` means. Asking twice is asking once.

    Args:
        rate: letters a second.
        most: letters at most; what is beyond waits for the next time.
        force: also those that are quarantined.

    Raises:
        InvalidInput: no consumer is chosen, or a number is out of bounds.
        Quarantined: there is nothing else.
    """
    consumer = _checked(choice, rate, most)
    heads = await _heads(connection, choice)
    held = [] if force else [head for head in heads if head.state == "quarantined"]
    if heads and len(held) == len(heads) and not dry_run:
        raise Quarantined(len(held), REDRIVES_MAX)
    left_alone = {head.sequence for head in held}
    keys = sorted((consumer, h.sequence) for h in heads if h.sequence not in left_alone)
    if not dry_run:
        await lock(connection, keys)
    chosen = await _in_order(connection, keys, most, force=force)
    due_us = [_due_us(order.now_us, n, rate) for n in range(len(chosen))]
    action = None
    if not dry_run:
        rows = [{"id": c.id, "due_us": at} for c, at in zip(chosen, due_us, strict=True)]
        await connection.execute_many(sql(connection, "ask"), rows)
        await recount(connection, keys)
        ids = [letter.id for letter in chosen]
        action = await actions.record(
            connection, consumer, "redrive", order, ids, chosen=choice, forced=force
        )
    return _asked(consumer, heads, chosen, held, rate, action)


async def redrive_letter(
    connection: Connection,
    letter: int,
    order: Order,
    *,
    force: bool = False,
    dry_run: bool = False,
) -> Asked:
    """Ask for the sequence of this letter, which must be its first.

    Raises:
        NoSuchLetter, LetterGone, NotTheFirst, Quarantined
    """
    found = await one(connection, letter)
    head = await head_of(connection, found.consumer, found.sequence)
    if head is None or found.state in ("applied", "duplicate", "discarded"):
        raise LetterGone(letter)
    if head.id != letter:
        raise NotTheFirst(letter, head.id)
    choice = Choice(consumer=found.consumer, sequence=found.sequence)
    return await redrive(connection, choice, order, force=force, dry_run=dry_run)


async def discard(
    connection: Connection,
    choice: Choice,
    order: Order,
    *,
    letters: Sequence[int] = (),
    most: int = LETTERS_MAX,
    dry_run: bool = False,
) -> Discarded:
    """Give letters up for ever: those numbered, or all that ``choice`` means. They stay readable.

    What waited behind them goes on waiting until it is redriven.

    Raises:
        NoSuchLetter, LetterGone, InvalidInput
    """
    consumer = _checked(choice, None, most)
    if letters:
        chosen = [await one(connection, letter) for letter in letters]
        for letter in chosen:
            if letter.consumer != consumer:
                raise InvalidInput(
                    f"dead letter {letter.id} is one of consumer {letter.consumer!r}, "
                    f"not of {consumer!r}"
                )
            if letter.state not in ("waiting", "due", "quarantined"):
                raise LetterGone(letter.id)
    else:
        chosen = await _matching(connection, choice, most)
    keys = sorted({(consumer, letter.sequence) for letter in chosen})
    if dry_run:
        return Discarded(consumer=consumer, letters=len(chosen), next_letters=(), action=None)
    await lock(connection, keys)
    for letter in chosen:
        named = {"id": letter.id, "state": "discarded", "now_us": order.now_us}
        if not await connection.fetch(sql(connection, "resolve"), named):
            raise LetterGone(letter.id)
    await recount(connection, keys)
    heads = [await head_of(connection, *key) for key in keys]
    ids = [letter.id for letter in chosen]
    action = await actions.record(connection, consumer, "discard", order, ids, chosen=choice)
    return Discarded(
        consumer=consumer,
        letters=len(chosen),
        next_letters=tuple(head.id for head in heads if head is not None)[:HEADS_SHOWN],
        action=action,
    )


def _checked(choice: Choice, rate: float | None, most: int) -> str:
    if choice.consumer is None:
        raise InvalidInput("say whose letters: --consumer NAME")
    if rate is not None and not 0 < rate <= RATE_MAX:
        raise InvalidInput(
            f"a rate of {rate} letters a second is not above 0 and up to {RATE_MAX:.0f}"
        )
    if not 1 <= most <= LETTERS_MAX:
        raise InvalidInput(f"{most} letters in one go are not 1 to {LETTERS_MAX}")
    return choice.consumer


async def _heads(connection: Connection, choice: Choice) -> list[Letter]:
    named = {**choice.named(), "limit": SEQUENCES_MAX}
    return [letter_from(row) for row in await connection.fetch(sql(connection, "heads"), named)]


async def _matching(connection: Connection, choice: Choice, most: int) -> list[Letter]:
    state = choice.state if choice.state in ("waiting", "due", "quarantined") else "open"
    named = {**choice.named(), "state": state, "after": 0, "limit": most}
    rows = await connection.fetch(sql(connection, "list_letters"), named)
    return [letter_from(row) for row in rows]


class _Chosen(msgspec.Struct, frozen=True):
    id: int
    reason: str


async def _in_order(
    connection: Connection, keys: Sequence[tuple[str, str]], most: int, *, force: bool
) -> list[_Chosen]:
    """The letters of these sequences, each from its first on, until there are enough."""
    chosen: list[_Chosen] = []
    for consumer, sequence in keys:
        named = {"consumer": consumer, "sequence": sequence, "limit": most - len(chosen)}
        if most == len(chosen):
            break
        for id_, reason, state in await connection.fetch(sql(connection, "ids_of_sequence"), named):
            if state == "quarantined" and not force:
                break
            chosen.append(_Chosen(int(id_), str(reason)))
    return chosen


def _due_us(now_us: int, number: int, rate: float | None) -> int:
    return 0 if rate is None else now_us + int(number * MICROSECONDS_PER_SECOND / rate)


def _asked(
    consumer: str,
    heads: Sequence[Letter],
    chosen: Sequence[_Chosen],
    held: Sequence[Letter],
    rate: float | None,
    action: int | None,
) -> Asked:
    ids = {letter.id for letter in chosen}
    first = [head for head in heads if head.id in ids]
    return Asked(
        consumer=consumer,
        sequences=len(first),
        letters=len(chosen),
        reasons=dict(Counter(letter.reason for letter in chosen).most_common()),
        error_classes=dict(Counter(head.error_class for head in first).most_common()),
        first_letters=tuple(head.id for head in first[:HEADS_SHOWN]),
        quarantined=len(held),
        seconds=0.0 if rate is None or not chosen else (len(chosen) - 1) / rate,
        action=action,
    )
