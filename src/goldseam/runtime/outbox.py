"""Write to the outbox in your own transaction: psycopg, sqlite3 or SQLAlchemy, no asyncio.

From the guide, "Message Lost Before Send": the fact and your own rows commit together, and the
relay publishes what is committed. Nothing here commits, rolls back or starts a thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from goldseam.errors import StoreReadOnly
from goldseam.outbox import table
from goldseam.outbox.table import Message
from goldseam.resilience.blocking import run_blocking
from goldseam.resilience.clock import Clock, IdFactory, SystemClock, uuid7_bytes
from goldseam.runtime.transaction import callers_connection

__all__ = ["Message", "add"]


def add(
    connection: object,
    messages: Sequence[Message],
    *,
    clock: Clock | None = None,
    new_id: IdFactory = uuid7_bytes,
) -> list[UUID]:
    """Put ``messages`` into the outbox of the caller's transaction; their event ids.

    Rows of one key are relayed in the order of their commits: a position is drawn under a lock
    that is held to the end of the transaction. Add late and commit soon.

    Raises:
        CannotBePublished: a payload is no JSON or too large; nothing was added.
        StoreReadOnly: there is no transaction, or one above READ COMMITTED.
        InvalidInput: a name or the connection cannot be used.
    """
    port = callers_connection(connection, writing=True)
    if port.dialect == "postgresql":
        level = run_blocking(port.fetch("SHOW transaction_isolation"))[0][0]
        if level != "read committed":
            raise StoreReadOnly(
                f"this transaction is {level}; the outbox needs READ COMMITTED, PostgreSQL's "
                "default, so that positions are given in the order of commits"
            )
    ids = run_blocking(table.add(port, messages, clock or SystemClock(), new_id))
    return [UUID(bytes=one) for one in ids]
