"""The tables of a store and its own id, which its position tokens carry."""

from __future__ import annotations

from uuid import UUID

from goldseam.database import schema
from goldseam.database.connection import Connection, Dialect
from goldseam.errors import SchemaError
from goldseam.resilience.clock import Clock, IdFactory

_PACKAGE, _PART = "goldseam.store", "store"

_IDENTIFY: dict[Dialect, str] = {
    "sqlite": "INSERT INTO goldseam_store (one, id, created_us) VALUES (1, :id, :now)",
    "postgresql": (
        "INSERT INTO goldseam_store (one, id, created_us) VALUES (1, CAST(:id AS uuid), :now)"
    ),
}


async def plan(connection: Connection) -> list[schema.Step]:
    """What of the store's tables is applied and what is pending; changes nothing."""
    return await schema.plan(connection, _PACKAGE, _PART)


async def apply(connection: Connection, clock: Clock, new_id: IdFactory) -> list[schema.Migration]:
    """Apply what is pending, inside the caller's transaction, and give the store its id.

    Raises:
        SchemaError: a file that is already applied has changed since.
    """
    done = await schema.apply(connection, _PACKAGE, _PART, clock)
    if not await connection.fetch("SELECT id FROM goldseam_store"):
        identity = {"id": str(UUID(bytes=new_id())), "now": clock.now_us()}
        await connection.fetch(_IDENTIFY[connection.dialect], identity)
    return done


async def check(connection: Connection) -> None:
    """Whether the store's tables are exactly what this version needs.

    Raises:
        SchemaError: something is missing or changed.
    """
    await schema.check(connection, _PACKAGE, _PART)


async def store_identity(connection: Connection) -> UUID:
    """The store's own id, which its position tokens carry."""
    rows = await connection.fetch("SELECT id FROM goldseam_store")
    if not rows:
        raise SchemaError("the store has no identity; run `goldseam store apply`")
    return UUID(str(rows[0][0]))
