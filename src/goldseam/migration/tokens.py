"""A position token of the old store means a position of the new one.

From the guide, "Eventual Consistency: The Hiding Technique": clients keep tokens for a while.
"""

from __future__ import annotations

from uuid import UUID

from goldseam.database.connection import Connection
from goldseam.errors import InvalidPosition
from goldseam.events.positions import parse_token
from goldseam.migration.position_map import at_least
from goldseam.migration.progress import load

_STORE_PART = 1
_STORE_CHARACTERS = 8


async def translated(connection: Connection, token: str) -> int | None:
    """The position here of a ``token`` that the store gave out from which this one was migrated.

    Whoever has read up to it has seen all that the token stands for. None: the token is not of
    that store. A plain number cannot be told apart and is never translated.

    Raises:
        InvalidPosition: the token is forged, was never given out, or the cut-over is still to come.
    """
    found = await load(connection)
    if found is None or found.phase == "aborted":
        return None
    source = UUID(found.source)
    parts = token.strip().split("-")
    if len(parts) <= _STORE_PART or parts[_STORE_PART] != source.hex[-_STORE_CHARACTERS:]:
        return None
    position = parse_token(token, source)
    if found.phase != "done":
        raise InvalidPosition(token, "the store that gave it out is still being migrated")
    if position > found.source_position:
        raise InvalidPosition(token, "the old store never gave it out")
    return await at_least(connection, position, found.target_position)
