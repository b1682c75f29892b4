"""An auditor's eyes: the services' databases opened from outside, with plain SQL.

Nothing of goldseam is imported: sqlite3 and psycopg are enough.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import UUID

from examples.shop.settings import Settings

SERVICES = ("orders", "inventory", "payments", "shipping")

EVENTS = """
SELECT position, stream, type, payload, metadata, id FROM goldseam_events
WHERE stream LIKE '{category}-%' ORDER BY position
"""


class Fact(NamedTuple):
    """One stored event as its row says it."""

    position: int
    stream: str
    type: str
    data: dict[str, Any]
    cause: str | None
    id: str


@contextmanager
def opened(settings: Settings, service: str) -> Iterator[Any]:
    """A connection to the database of ``service``, for reading."""
    if settings.database is None:
        path = f"file:{settings.folder}/{service}.db?mode=ro"
        connection: Any = sqlite3.connect(path, uri=True)
    else:
        import psycopg

        connection = psycopg.connect(
            settings.database, options=f"-c search_path={settings.schema(service)}"
        )
    try:
        yield connection
    finally:
        connection.close()


def rows(settings: Settings, service: str, sql: str) -> list[tuple[Any, ...]]:
    """What ``sql`` finds in the database of ``service``."""
    with opened(settings, service) as connection:
        return list(connection.execute(sql).fetchall())


def facts(settings: Settings, service: str, category: str) -> list[Fact]:
    """Every stored event of a category of streams, oldest first."""
    found = rows(settings, service, EVENTS.format(category=category))
    return [
        Fact(position, stream, kind, _decoded(payload), _decoded(said).get("causation"), _id(own))
        for position, stream, kind, payload, said, own in found
    ]


def holes(settings: Settings, service: str) -> int:
    """How many positions of the log are missing."""
    sql = "SELECT coalesce(max(position), 0), count(*) FROM goldseam_events"
    head, count = rows(settings, service, sql)[0]
    return int(head) - int(count)


def _id(column: object) -> str:
    return str(UUID(bytes=column)) if isinstance(column, bytes) else str(column)


def _decoded(column: object) -> dict[str, Any]:
    text = column if isinstance(column, str) else bytes(column).decode()  # type: ignore[call-overload]
    found: dict[str, Any] = json.loads(text)
    return found
