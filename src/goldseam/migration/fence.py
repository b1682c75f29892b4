"""Refuses every append at the source from the cut-over on, by a trigger of its own database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from goldseam.database.connection import Connection
from goldseam.database.schema import split_script
from goldseam.migration.errors import MigrationRefused
from goldseam.migration.progress import sql_of


class Moved(NamedTuple):
    """Where a source has moved to, and since when it refuses writes."""

    target: str
    moved_us: int
    runner: str


async def moved(connection: Connection) -> Moved | None:
    """What the source says of itself; None while it takes writes."""
    sql = sql_of(connection)
    if not int((await connection.fetch(sql["moved_exists"]))[0][0]):
        return None
    rows = await connection.fetch(sql["read_moved"])
    return Moved(str(rows[0][0]), int(rows[0][1]), str(rows[0][2])) if rows else None


async def put_up(connection: Connection, target: UUID, runner: str, now_us: int) -> Moved:
    """Refuse appends from the commit of this transaction on; the first one's time is kept.

    It waits for appends that are being committed, and those wait for it.

    Raises:
        MigrationRefused: the source has moved to another store.
        StoreUnavailable: somebody's long transaction holds the log; try again.
    """
    sql, found = sql_of(connection), await moved(connection)
    if found is not None:
        if found.target != str(target):
            raise MigrationRefused(
                f"the source has moved to store {found.target} already", "migrate from that one"
            )
        await connection.fetch(sql["take_over_moved"], {"runner": runner})
        return found
    await _run(connection, sql, "fence_up", str(target))
    row = {"target": str(target), "runner": runner, "now": now_us}
    await connection.fetch(sql["write_moved"], row)
    return Moved(str(target), now_us, runner)


async def take_down(connection: Connection, target: UUID | None, runner: str | None = None) -> bool:
    """Take writes again, if the source was closed for ``target`` (None: whichever it was).

    With ``runner`` only if that one has closed it: another may have taken over, and rely on it.
    Leaves nothing of the migration behind. False: there was nothing to take down.
    """
    found = await moved(connection)
    if found is None or (target is not None and found.target != str(target)):
        return False
    if runner is not None and found.runner != runner:
        return False
    await _run(connection, sql_of(connection), "fence_down", found.target)
    return True


async def _run(connection: Connection, sql: Mapping[str, str], name: str, target: str) -> None:
    script = sql[name].replace("@target@", str(UUID(target)))  # a parsed id: no text gets in
    for statement in split_script(f"{script};"):
        await connection.fetch(statement)
