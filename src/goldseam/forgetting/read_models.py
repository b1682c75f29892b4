"""Read models made anew without the forgotten, and the bytes of the old ones overwritten.

A handler writes what it reads, in the clear. So what was built from personal fields is dropped
and built again, a half-finished rebuild included; on SQLite the freed pages are overwritten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from goldseam.database.connection import Connection, Database
from goldseam.database.statements import statements
from goldseam.errors import CorruptCheckpoint, ProjectionError
from goldseam.events.registry import Registry
from goldseam.forgetting.errors import FilesHeld
from goldseam.forgetting.progress import PACKAGE
from goldseam.projections import parking
from goldseam.projections.checkpoint import lock, remove
from goldseam.projections.hosted import HostedProjection
from goldseam.projections.projection import Projection

FILLER_BYTES_MAX = 64 * 1024 * 1024
"""Zeros written in one row: far below what SQLite allows in one."""

WAL_NOTE = (
    "PostgreSQL keeps what was written to read models in its WAL until the files are removed: "
    "set wal_recycle = off, or archive nothing and wait"
)


def about_people(projection: Projection, registry: Registry) -> bool:
    """Whether the projection handles events with personal fields, in any of their versions."""
    personal = {one.name for one in registry if one.personal}
    if not projection.wanted:
        return bool(personal)
    return bool(personal & projection.names_in(registry))


def names_about_people(projections: Iterable[Projection], registry: Registry) -> list[str]:
    """The projections that may hold rows about somebody, by name."""
    return sorted(one.name for one in projections if about_people(one, registry))


async def reproject(hosted: HostedProjection) -> None:
    """Build the projection anew; nothing of the rows from before is left in its tables.

    Raises:
        ProjectionError: the rebuild was aborted, or events had to be parked.
    """
    await _scrub(hosted)  # a rebuild under way has rows from before: it begins anew
    try:
        await hosted.status()
    except CorruptCheckpoint:
        await hosted.reset()
    else:
        await _rebuild(hosted)
    await _scrub(hosted)


async def _rebuild(hosted: HostedProjection) -> None:
    wanted = (await hosted.begin_rebuild()).generation
    try:
        await hosted.rebuild()
    except ProjectionError:
        # Another process may have driven it meanwhile; what counts is what readers see.
        if (await hosted.status()).generation < wanted:
            raise


async def _scrub(hosted: HostedProjection) -> None:
    """Drop the tables that are not shown, and overwrite what they leave."""

    async def operation(connection: Connection) -> None:
        sql = statements(PACKAGE, connection.dialect)
        if connection.dialect == "sqlite":
            await connection.fetch(sql["overwrite_deleted"])
        found = await lock(connection, hosted.name)
        for role in ("building", "retired"):
            if role in found:
                await parking.forget(connection, found[role])
                await remove(connection, found[role])
                await hosted.applier.tables.drop(connection, found[role].colour)
        if connection.dialect == "sqlite":
            await _fill_free_pages(connection, sql)

    await hosted.database.transact(operation)


async def _fill_free_pages(connection: Connection, sql: Mapping[str, str]) -> None:
    """Overwrite pages that earlier rebuilds have freed: they still hold their rows."""
    free = int((await connection.fetch(sql["free_pages"]))[0][0])
    if not free:
        return
    left = free * int((await connection.fetch(sql["page_bytes"]))[0][0])
    await connection.fetch(sql["make_filler"])
    while left > 0:
        await connection.fetch(sql["fill"], {"bytes": min(left, FILLER_BYTES_MAX)})
        left -= FILLER_BYTES_MAX
    await connection.fetch(sql["drop_filler"])


async def settle(database: Database) -> list[str]:
    """Bring what was overwritten to the disk; notes on what a server keeps, and why.

    Raises:
        FilesHeld: somebody reads from the WAL of a SQLite file, so it cannot be emptied.
    """
    sql = statements(PACKAGE, database.dialect)
    if database.dialect == "sqlite":
        busy = (await database.fetch(sql["empty_wal"]))[0][0]
        if busy:
            raise FilesHeld
        return []
    notes = [WAL_NOTE]
    for name in ("checkpoint", "next_wal_file", "checkpoint"):
        try:
            await database.fetch(sql[name])
        except Exception as error:  # a right that not every role has; nothing is lost without it
            notes.append(f"{name.replace('_', ' ')} was refused ({type(error).__name__})")
    return notes
