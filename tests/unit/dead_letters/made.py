"""Letters and their tables for the tests of the dead letters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from goldseam.consumers.dead_letters.actions import Order
from goldseam.consumers.dead_letters.choice import Choice, listed
from goldseam.consumers.dead_letters.letter import Letter
from goldseam.consumers.dead_letters.store import apply_tables, park
from goldseam.database.connection import Database
from goldseam.resilience.clock import SystemClock
from goldseam.runtime.wiring import open_database

CONSUMER = "billing"
ORDER = Order("ann", "mended in 1.2", 1_000)

TRACE = (
    '  File "/srv/app/goldseam/consumers/consumer.py", line 90, in apply_batch\n'
    '  File "/srv/app/shop/billing.py", line 12, in charge\n'
    '  File "/usr/lib/python3.11/decimal.py", line 3, in quantize\n'
)


def letter(offset: int, sequence: str = "a", **more: Any) -> Letter:
    """A letter of ``sequence``: poison, unless ``more`` says it is queued."""
    queued = more.get("reason") == "queued"
    fields: dict[str, Any] = {
        "consumer": CONSUMER,
        "sequence": sequence,
        "topic": "orders",
        "partition": 0,
        "offset": offset,
        "key": sequence.encode(),
        "value": b'{"amount":1}',
        "headers": (("ce_id", b"1"), ("twice", b"\x00\xff"), ("twice", b"b")),
        "timestamp_ms": 1_700_000_000_123,
        "event_id": f"{sequence}-{offset}",
        "type": "OrderPlaced",
        "reason": "poison",
        "error_class": "" if queued else "ValueError",
        "error": "" if queued else "no such currency",
        "trace": "" if queued else TRACE,
        "attempts": 0 if queued else 5,
        "first_failed_us": 100 + offset,
        "last_failed_us": 200 + offset,
    }
    return Letter(**{**fields, **more})


def queued(offset: int, sequence: str = "a", **more: Any) -> Letter:
    """A letter that waits behind another."""
    return letter(offset, sequence, reason="queued", **more)


@asynccontextmanager
async def tables(url: str) -> AsyncIterator[Database]:
    """A database with the tables of the dead letters."""
    database = open_database(url)
    try:
        await database.transact(lambda c: apply_tables(c, SystemClock()))
        yield database
    finally:
        await database.close()


async def parked(database: Database, *letters: Letter) -> list[Letter]:
    """Park ``letters``; all that wait, as the store knows them."""
    await database.transact(lambda c: park(c, letters))
    return await database.read(lambda c: listed(c, Choice(consumer=CONSUMER)))
