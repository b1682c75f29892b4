"""Looking at a store from outside: plain SQL through the driver, nothing of goldseam."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg


def connect(url: str) -> Any:
    """The caller's own connection, with the driver's default transactions."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return sqlite3.connect(parts.path[1:], isolation_level=None)
    schema = parse_qs(parts.query)["schema"][0]
    return psycopg.connect(url.partition("?")[0], options=f"-c search_path={schema}")


@contextmanager
def transaction(url: str) -> Iterator[Any]:
    """A write transaction of the caller's own; commits at the end, rolls back on an error."""
    connection = connect(url)
    try:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    finally:
        connection.close()


def execute(connection: Any, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Run one statement with ``?`` parameters; its rows."""
    if not isinstance(connection, sqlite3.Connection):
        statement = statement.replace("?", "%s")
    cursor = connection.execute(statement, values)
    return cursor.fetchall() if cursor.description else []


def query(url: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Run one statement in a transaction of its own; its rows."""
    with transaction(url) as connection:
        return execute(connection, statement, *values)


def versions(url: str, stream: str) -> list[int]:
    """The versions of the events that are really there."""
    found = query(
        url, "SELECT version FROM goldseam_events WHERE stream = ? ORDER BY version", stream
    )
    return [version for (version,) in found]


def holes(url: str) -> int:
    """How many positions are missing in the log."""
    return int(
        query(url, "SELECT coalesce(max(position), 0) - count(*) FROM goldseam_events")[0][0]
    )
