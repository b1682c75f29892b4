"""Where a read model stands, seen on one snapshot together with what is read."""

from __future__ import annotations

import msgspec

from goldseam.database.connection import Connection
from goldseam.database.statements import statements
from goldseam.errors import CorruptCheckpoint, ProjectionError
from goldseam.projections.checkpoint import checked

_CHECKPOINT_COLUMNS = 12


class Standing(msgspec.Struct, frozen=True):
    """What a reader may rely on.

    ``position``: everything up to it is in the rows, but for what is parked. ``generation``:
    changes when the rows are replaced; within one, the position never goes back.
    ``parked_from``: the position of the oldest event that is parked, None when there is none.
    """

    position: int
    generation: int
    parked_from: int | None

    def shows(self, position: int) -> bool:
        """Whether a read on this standing shows everything up to ``position``."""
        if self.position < position:
            return False
        return self.parked_from is None or self.parked_from > position


async def standing(
    connection: Connection, projection: str, source: str, sequence: str | None = None
) -> Standing:
    """The standing of the live colour; only ``sequence`` counts as parked if one is named.

    Raises:
        CorruptCheckpoint: the checkpoint is damaged or belongs to another log.
        ProjectionError: the projection was never prepared in this database.
    """
    found = statements("goldseam.projections", connection.dialect)
    parameters: dict[str, object] = {"projection": projection}
    if sequence is None:
        rows = await connection.fetch(found["standing"], parameters)
    else:
        parameters["sequence"] = sequence
        rows = await connection.fetch(found["standing_of_sequence"], parameters)
    if not rows:
        raise ProjectionError(
            f"projection {projection!r} has no tables in this database; start the application "
            "that owns it once, it makes them"
        )
    live = checked(rows[0][:_CHECKPOINT_COLUMNS])
    if live.source != source:
        raise CorruptCheckpoint(projection, f"it follows log {live.source}, this one is {source}")
    parked_from = int(rows[0][_CHECKPOINT_COLUMNS])
    return Standing(live.position, live.generation, parked_from or None)
