"""Looking an idempotency key up before deciding, so that a retry is not decided again.

From the guide, "Idempotency Patterns: Idempotency Key".
"""

from __future__ import annotations

from goldseam.database.connection import Connection
from goldseam.database.statements import statements
from goldseam.errors import IdempotencyMismatch
from goldseam.events.names import KEY_LENGTH_MAX, checked_name

FirstResult = tuple[int, int, dict[str, int]]
"""Last position, first position, and the stream's version of a write that is stored already."""


async def find_first_result(
    connection: Connection, tenant: str, key: str, fingerprint: bytes, stream: str
) -> FirstResult | None:
    """What the first write with ``key`` did, or None.

    Raises:
        IdempotencyMismatch: the key was used for another content or another stream.
    """
    sql = statements("goldseam.store", connection.dialect)
    key = checked_name("idempotency key", key, KEY_LENGTH_MAX)
    found = await connection.fetch(sql["find_key"], {"tenant": tenant, "key": key})
    if not found:
        return None
    stored, first, last = found[0]
    if bytes(stored) != fingerprint:
        raise IdempotencyMismatch(key, "the request differs from the first one")
    place = {"first": first, "last": last, "tenant": tenant, "stream": stream}
    version = (await connection.fetch(sql["version_between"], place))[0][0]
    if version is None:
        raise IdempotencyMismatch(key, "it wrote to another stream")
    return int(last), int(first), {stream: int(version)}
