"""The shop: plain rows, updated in place, through whichever library the program has.

Each function pays an order in a transaction of the caller's own and says so in the outbox. If
the transaction is rolled back, nobody ever hears of it; if it commits, everybody does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.orm import Session

from goldseam.runtime.outbox import Message, add

TOPIC = "shop.orders"
ORDERS = """
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY, cents INTEGER NOT NULL, status TEXT NOT NULL
)
"""


def paid(order: str, cents: int) -> Message:
    """The fact for other services: what they need to know, keyed by what it is about."""
    return Message(topic=TOPIC, key=order, type="order-paid", payload={"cents": cents})


def pay_with_sqlite3(connection: sqlite3.Connection, order: str, cents: int) -> None:
    """The standard library's driver; the transaction begins here and ends here."""
    connection.execute("BEGIN IMMEDIATE")
    with connection:  # commits, or rolls back on an error
        connection.execute("INSERT INTO orders VALUES (?, ?, 'paid')", (order, cents))
        add(connection, [paid(order, cents)])


def pay_with_psycopg(connection: psycopg.Connection[Any], order: str, cents: int) -> None:
    """PostgreSQL; add late, commit soon: the key's lane is locked until the end."""
    with connection.transaction():
        connection.execute("INSERT INTO orders VALUES (%s, %s, 'paid')", (order, cents))
        add(connection, [paid(order, cents)])


def pay_with_sqlalchemy(session: Session, order: str, cents: int) -> None:
    """A session on either database."""
    with session.begin():
        session.execute(
            text("INSERT INTO orders VALUES (:id, :cents, 'paid')"), {"id": order, "cents": cents}
        )
        add(session, [paid(order, cents)])


@contextmanager
def connected(url: str) -> Iterator[sqlite3.Connection | psycopg.Connection[Any]]:
    """A connection of the driver's own to ``sqlite:///file`` or ``postgresql://...``."""
    if urlsplit(url).scheme == "sqlite":
        lite = sqlite3.connect(_file(url), isolation_level=None)
        try:
            yield lite
        finally:
            lite.close()
    else:
        with psycopg.connect(_without_schema(url), options=_search_path(url)) as postgres:
            yield postgres


def engine(url: str) -> Engine:
    """SQLAlchemy's way to the same database."""
    if urlsplit(url).scheme != "sqlite":
        plain = _without_schema(url).replace("postgresql://", "postgresql+psycopg://", 1)
        return create_engine(plain, connect_args={"options": _search_path(url)})
    made = create_engine(f"sqlite:///{_file(url)}")

    # pysqlite begins too late for rows that must commit together: SQLAlchemy begins instead.
    @event.listens_for(made, "connect")
    def leave_it_to_sqlalchemy(raw: sqlite3.Connection, _: object) -> None:
        raw.isolation_level = None

    @event.listens_for(made, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return made


def _file(url: str) -> str:
    return urlsplit(url).path[1:]


def _without_schema(url: str) -> str:
    return url.partition("?")[0]


def _search_path(url: str) -> str:
    schema = parse_qs(urlsplit(url).query).get("schema", ["public"])[0]
    return f"-c search_path={schema}"
