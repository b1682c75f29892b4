"""Snapshots about somebody: unreadable once the key is gone, and deleted all the same."""

from __future__ import annotations

import msgspec

from goldseam.database.connection import Connection, Database
from goldseam.database.statements import statements
from goldseam.forgetting.progress import PACKAGE

PAGE = 500
"""Snapshots deleted in one transaction."""


async def delete_snapshots(database: Database, tenant: str, subject: str) -> int:
    """Delete the snapshots that are sealed for ``subject``; how many.

    A sealed snapshot begins with whom it is about. One too many is no harm: it is a cache.
    """
    sql = statements(PACKAGE, database.dialect)
    needle = b"[" + msgspec.json.encode(subject) + b","
    where = {"tenant": tenant, "needle": needle, "limit": PAGE}

    async def operation(connection: Connection) -> int:
        found = await connection.fetch(sql["snapshots_about"], where)
        rows = [{"tenant": tenant, "stream": stream, "kind": kind} for stream, kind in found]
        if rows:
            await connection.execute_many(sql["delete_snapshot"], rows)
        return len(rows)

    count = 0
    while deleted := await database.transact(operation):
        count += deleted
    return count
