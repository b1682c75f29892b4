"""Where a projection stands: one row for each colour, checked whenever it is read.

A flipped bit, a checkpoint of another store or beyond the end of the log is never trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Literal

import msgspec

from goldseam.database.connection import Connection, Row
from goldseam.database.statements import statements
from goldseam.errors import CorruptCheckpoint, ProjectionError

Role = Literal["live", "building", "retired"]
State = Literal["running", "paused"]

_CHECK_BYTES = 8
_COLUMNS = 11


class Superseded(Exception):
    """The checkpoint has moved or was steered meanwhile: whoever holds an old copy backs off."""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One colour of a projection.

    ``position``: every event up to it is in the rows, is parked, or does not concern them.
    ``generation``: counts builds; within one, positions never go back.
    ``quiet_until``: no side effects for events up to here, they were live once already.
    ``source``: the identity of the log it follows.
    """

    projection: str
    colour: int
    role: Role
    state: State
    position: int
    generation: int
    quiet_until: int
    source: str
    version: int
    code_hash: str
    updated_us: int

    def checksum(self) -> str:
        """Over every field: what one flipped bit changes."""
        content = "\0".join(str(value) for value in msgspec.structs.astuple(self))
        return blake2b(content.encode(), digest_size=_CHECK_BYTES).hexdigest()

    def but(self, **changes: object) -> Checkpoint:
        """The same with some fields changed."""
        return msgspec.structs.replace(self, **changes)


Checkpoints = Mapping[str, Checkpoint]
"""The colours of one projection by their roles."""


def checked(row: Row) -> Checkpoint:
    """The checkpoint in a row of its table.

    Raises:
        CorruptCheckpoint: its checksum does not hold.
    """
    fields = dict(zip(Checkpoint.__struct_fields__, row[:_COLUMNS], strict=True))
    found = Checkpoint(**fields)
    if found.checksum() != row[_COLUMNS]:
        raise CorruptCheckpoint(str(found.projection), "its checksum does not hold")
    return found


async def load(connection: Connection, projection: str) -> Checkpoints:
    """The colours of ``projection`` by role, as this connection sees them."""
    return await _rows(connection, "load_checkpoints", projection)


async def lock(connection: Connection, projection: str) -> Checkpoints:
    """Like :func:`load`; nobody else moves or steers them until the transaction ends.

    Rows are replaced whole, and who waits for a row that is replaced would not see the new one:
    operators take turns before they look. Runners only change a row and need no turn.
    """
    await connection.fetch(_sql(connection, "take_turns"), {"projection": projection})
    return await _rows(connection, "lock_checkpoints", projection)


async def _rows(connection: Connection, name: str, projection: str) -> Checkpoints:
    rows = await connection.fetch(_sql(connection, name), {"projection": projection})
    return {one.role: one for one in map(checked, rows)}


async def save(connection: Connection, *checkpoints: Checkpoint) -> None:
    """Write whole rows, in place of what is there for their colours."""
    for one in checkpoints:
        await remove(connection, one)
    for one in checkpoints:
        fields = {**msgspec.structs.asdict(one), "checksum": one.checksum()}
        await connection.fetch(_sql(connection, "insert_checkpoint"), fields)


async def remove(connection: Connection, one: Checkpoint) -> None:
    """Forget one colour."""
    where = {"projection": one.projection, "colour": one.colour}
    await connection.fetch(_sql(connection, "delete_checkpoint"), where)


async def remove_all(connection: Connection, projection: str) -> None:
    """Forget every colour of ``projection``, damaged ones too."""
    await connection.fetch(_sql(connection, "delete_checkpoints"), {"projection": projection})


async def highest_generation(connection: Connection, projection: str) -> int:
    """The highest generation that was ever begun, without trusting the rows."""
    rows = await connection.fetch(
        _sql(connection, "highest_generation"), {"projection": projection}
    )
    return max(int(number) for number in rows[0])


async def advance(
    connection: Connection, old: Checkpoint, position: int, now_us: int
) -> Checkpoint:
    """Move ``old`` to ``position`` if the row is still exactly ``old``; this locks it.

    Raises:
        Superseded: another runner or an operator was here meanwhile.
    """
    new = old.but(position=position, updated_us=now_us)
    moved = await connection.fetch(
        _sql(connection, "advance_checkpoint"),
        {
            "projection": old.projection,
            "colour": old.colour,
            "position": position,
            "updated_us": now_us,
            "checksum": new.checksum(),
            "old_position": old.position,
            "old_checksum": old.checksum(),
            "generation": old.generation,
        },
    )
    if not moved:
        raise Superseded
    return new


def live_of(found: Checkpoints, projection: str) -> Checkpoint:
    """The live colour.

    Raises:
        ProjectionError: the projection was never prepared in this database.
    """
    if "live" not in found:
        raise ProjectionError(
            f"projection {projection!r} has no tables in this database; start the application "
            "that owns it once, it makes them"
        )
    return found["live"]


def trusted(one: Checkpoint, source: str, head: int) -> Checkpoint:
    """``one``, if it belongs to the log ``source`` that ends at ``head``.

    Raises:
        CorruptCheckpoint: it is of another log, or beyond the end of this one.
    """
    if one.source != source:
        raise CorruptCheckpoint(
            one.projection, f"it follows log {one.source}, this store is {source}"
        )
    if one.position > head:
        raise CorruptCheckpoint(
            one.projection,
            f"it is at position {one.position}, the store ends at {head}: the store went backwards",
        )
    return one


def _sql(connection: Connection, name: str) -> str:
    return statements("goldseam.projections", connection.dialect)[name]
