"""Which letters an operator means, and what the store shows of them."""

from __future__ import annotations

from typing import Any

import msgspec

from goldseam.consumers.dead_letters.errors import NoSuchLetter
from goldseam.consumers.dead_letters.letter import Letter, innermost_frame, letter_from
from goldseam.consumers.dead_letters.store import sql
from goldseam.database.connection import Connection

PAGE_MAX = 500
"""Letters, groups or actions shown in one go."""


class Choice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A filter; None means any. ``contains`` is looked for in the error's text.

    ``state`` is a state or "open" (waiting, due or quarantined). Times are of the last failure.
    """

    consumer: str | None = None
    sequence: str | None = None
    type: str | None = None
    error_class: str | None = None
    reason: str | None = None
    fingerprint: str | None = None
    topic: str | None = None
    contains: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    state: str | None = "open"

    def named(self) -> dict[str, object]:
        """The parameters of the statement ``matching``."""
        values: dict[str, Any] = msgspec.structs.asdict(self)
        if self.contains is not None:
            text = self.contains.lower()
            for special in "!%_":
                text = text.replace(special, f"!{special}")
            values["contains"] = f"%{text}%"
        return values


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Letters with one cause, and how many wait behind them."""

    consumer: str
    fingerprint: str
    error_class: str
    type: str
    error: str
    frame: str
    reason: str
    letters: int
    sequences: int
    behind: int
    first_failed_us: int
    last_failed_us: int
    first_letter: int


async def listed(
    connection: Connection, choice: Choice, after: int = 0, limit: int = PAGE_MAX
) -> list[Letter]:
    """Letters with numbers above ``after``, oldest first."""
    named = {**choice.named(), "after": after, "limit": min(limit, PAGE_MAX)}
    rows = await connection.fetch(sql(connection, "list_letters"), named)
    return [letter_from(row) for row in rows]


async def count(connection: Connection, choice: Choice) -> int:
    """How many letters ``choice`` means."""
    return int((await connection.fetch(sql(connection, "count_letters"), choice.named()))[0][0])


async def groups(connection: Connection, choice: Choice, limit: int = PAGE_MAX) -> list[Group]:
    """The causes, the most frequent first; letters that only wait count as ``behind``."""
    named = {**choice.named(), "limit": min(limit, PAGE_MAX)}
    rows = await connection.fetch(sql(connection, "group_letters"), named)
    waiting = {"consumer": choice.consumer}
    behind = {
        (str(consumer), str(fingerprint)): int(n)
        for consumer, fingerprint, n in await connection.fetch(
            sql(connection, "letters_behind"), waiting
        )
    }
    return [
        Group(
            consumer=row[0], fingerprint=row[1], error_class=row[2], type=row[3], error=row[4],
            frame=innermost_frame(row[5]), reason=row[6], letters=int(row[7]),
            sequences=int(row[8]), behind=behind.get((row[0], row[1]), 0),
            first_failed_us=int(row[9]), last_failed_us=int(row[10]), first_letter=int(row[11]),
        )
        for row in rows
    ]  # fmt: skip


async def one(connection: Connection, letter: int) -> Letter:
    """The letter of this number.

    Raises:
        NoSuchLetter
    """
    rows = await connection.fetch(sql(connection, "load_letter"), {"id": letter})
    if not rows:
        raise NoSuchLetter(letter)
    return letter_from(rows[0])


async def head_of(connection: Connection, consumer: str, sequence: str) -> Letter | None:
    """The first letter that waits in ``sequence``."""
    named = {"consumer": consumer, "sequence": sequence}
    rows = await connection.fetch(sql(connection, "head_of_sequence"), named)
    return letter_from(rows[0]) if rows else None
