"""What a migration did, seen from outside: plain SQL and the test's own idea of the transform."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from tests.crashes.outside import query

LOG_TABLES = ("goldseam_store", "goldseam_events", "goldseam_keys", "goldseam_fences")

_EVENTS = (
    "SELECT position, tenant, stream, version, id, type, type_version, recorded_us, metadata,"
    " payload FROM goldseam_events ORDER BY position"
)


class Event(NamedTuple):
    """A row of the log in the words of the tests."""

    stream: str
    id: str
    type: str
    fields: dict[str, Any]
    recorded_us: int
    metadata: bytes


Expected = Callable[[Event], list[Event]]
"""The events in place of one; an empty id stands for one that the migration makes up."""


def events(url: str) -> list[Event]:
    """The whole log; its positions and versions must have no hole."""
    versions: dict[tuple[str, str], int] = {}
    found = []
    for expected, row in enumerate(query(url, _EVENTS), start=1):
        position, tenant, stream, version, id_, name, _, us, metadata, payload = row
        assert expected == position, f"position {expected} is missing"
        last = versions.get((tenant, stream), 0)
        assert last + 1 == version, f"version {last + 1} of {stream} is missing"
        versions[tenant, stream] = version
        hexed = id_.hex() if isinstance(id_, bytes) else id_.hex
        found.append(Event(stream, hexed, name, json.loads(payload), us, bytes(metadata)))
    return found


def check(source: str, target: str, expected: Expected) -> None:
    """Every source event is in the target exactly once, in order, transformed."""
    wanted = [one for event in events(source) for one in expected(event)]
    there = events(target)
    assert len({one.id for one in there}) == len(there), "an id is there twice"
    assert len(wanted) == len(there), f"{len(wanted)} events expected, {len(there)} are there"
    for position, (one, other) in enumerate(zip(wanted, there, strict=True), start=1):
        known = one if one.id else one._replace(id=other.id)
        assert known == other, f"position {position} is not what it should be"


def unchanged(event: Event) -> list[Event]:
    """No transform."""
    return [event]


def mixed(event: Event) -> list[Event]:
    """What ``transforms.mixed`` shall do, said once more and in another way."""
    number = event.fields["number"]
    if number % 5 == 1:
        return []
    if number % 5 == 2:
        other = event._replace(id="", type="OtherHalfTicked", fields={"of": number})
        return [event._replace(type="HalfTicked"), other]
    if number % 5 == 3:
        return [event._replace(stream=f"moved-{event.fields['writer']}")]
    if number % 5 == 4:
        return [event._replace(type="Counted", fields={"count": number})]
    return [event]


def log_rows(url: str) -> list[list[tuple[Any, ...]]]:
    """Every row of every table of the log, as it is."""
    orders = {"goldseam_events": "position", "goldseam_store": "one"}
    return [
        query(url, f"SELECT * FROM {table} ORDER BY {orders.get(table, 'tenant, 2')}")
        for table in LOG_TABLES
    ]


def objects(url: str) -> list[Any]:
    """Tables, triggers and functions that are there: what an abort must not leave behind."""
    if url.startswith("sqlite"):
        return query(url, "SELECT type, name, sql FROM sqlite_master ORDER BY type, name")
    tables = query(
        url, "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
        " ORDER BY 1",
    )  # fmt: skip
    functions = query(
        url, "SELECT proname FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
        " ORDER BY 1",
    )  # fmt: skip
    triggers = query(
        url, "SELECT tgname, tgenabled::text FROM pg_trigger"
        " WHERE tgrelid = 'goldseam_events'::regclass ORDER BY 1",
    )  # fmt: skip
    return [tables, functions, triggers]


@contextmanager
def empty_stores(kind: str, postgres: str | None, folder: Path) -> Iterator[Callable[[], str]]:
    """Gives URLs of empty stores of one kind; their schemas are gone at the end of the block."""
    schemas: list[str] = []

    def make() -> str:
        name = f"x_{secrets.token_hex(6)}"
        if kind == "sqlite":
            return f"sqlite:///{folder / name}.db"
        assert postgres is not None
        with psycopg.connect(postgres, autocommit=True) as raw:
            raw.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        schemas.append(name)
        return f"{postgres}?schema={name}"

    try:
        yield make
    finally:
        for name in schemas:
            assert postgres is not None
            with psycopg.connect(postgres, autocommit=True) as raw:
                raw.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))
