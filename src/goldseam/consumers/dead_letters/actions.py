"""Who did what with dead letters, when and why: the audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from goldseam.consumers.dead_letters.choice import PAGE_MAX
from goldseam.consumers.dead_letters.store import sql
from goldseam.database.connection import Connection, Row
from goldseam.errors import InvalidInput

TEXT_LENGTH_MAX = 1_000
"""Longest name or reason."""

What = Literal["redrive", "discard", "park", "import"]


class Order(msgspec.Struct, frozen=True):
    """Who asks, why, and when."""

    who: str
    why: str
    now_us: int

    def __post_init__(self) -> None:
        for name, text in (("who", self.who), ("why", self.why)):
            if not text.strip() or len(text) > TEXT_LENGTH_MAX:
                raise InvalidInput(
                    f"say {name}: 1 to {TEXT_LENGTH_MAX} characters, this has {len(text.strip())}"
                )


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was done; ``chosen`` is the filter as JSON."""

    id: int
    consumer: str
    what: What
    who: str
    why: str
    chosen: str
    forced: bool
    letters: int
    at_us: int


async def record(
    connection: Connection,
    consumer: str,
    what: What,
    order: Order,
    letters: Sequence[int],
    *,
    chosen: object = None,
    forced: bool = False,
) -> int:
    """Write down what is done in this transaction; the action's number."""
    named = {
        "consumer": consumer,
        "what": what,
        "who": order.who,
        "why": order.why,
        "chosen": msgspec.json.encode(chosen).decode(),
        "forced": int(forced),
        "letters": len(letters),
        "now_us": order.now_us,
    }
    action = int((await connection.fetch(sql(connection, "add_action"), named))[0][0])
    rows = [{"letter": letter, "action": action} for letter in letters]
    await connection.execute_many(sql(connection, "add_history"), rows)
    return action


async def of_letter(connection: Connection, letter: int) -> list[Action]:
    """What was done with one letter, oldest first."""
    rows = await connection.fetch(sql(connection, "actions_of_letter"), {"letter": letter})
    return [_action(row) for row in rows]


async def listed(
    connection: Connection, consumer: str | None = None, after: int = 0, limit: int = PAGE_MAX
) -> list[Action]:
    """What was done with numbers above ``after``, oldest first."""
    named = {"consumer": consumer, "after": after, "limit": min(limit, PAGE_MAX)}
    return [_action(row) for row in await connection.fetch(sql(connection, "list_actions"), named)]


def _action(row: Row) -> Action:
    id_, consumer, what, who, why, chosen, forced, letters, at_us = row
    return Action(
        id=int(id_), consumer=consumer, what=what, who=who, why=why, chosen=chosen,
        forced=bool(forced), letters=int(letters), at_us=int(at_us),
    )  # fmt: skip
