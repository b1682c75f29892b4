"""The log as it is stored: for tools that copy it, search it or show it."""

from __future__ import annotations

from goldseam.database.connection import Connection
from goldseam.database.statements import statements
from goldseam.events.checksum import content_checksum, placed_checksum, stream_seed
from goldseam.events.event import RawEvent
from goldseam.events.registry import type_seed
from goldseam.store.decode import damaged
from goldseam.store.read import PAGE_EVENTS, checked_limit


async def raw_page(
    connection: Connection, *, after: int = 0, limit: int = PAGE_EVENTS
) -> list[RawEvent]:
    """The events of all tenants above position ``after``, in order.

    Raises:
        CorruptEvent: an event is damaged, or a position is missing.
    """
    sql = statements("goldseam.store", connection.dialect)["read_for_verification"]
    found = []
    for row in await connection.fetch(sql, {"after": after, "limit": checked_limit(limit)}):
        position, stream, version, name, type_version, payload, us, id_, meta, checksum, tenant = (
            row[:11]
        )
        after += 1
        if position != after:
            raise damaged(position, stream, f"position {after} is missing before it")
        seed, kind = stream_seed(tenant, stream), type_seed(name, type_version)
        content = content_checksum(seed, kind, id_, us, meta, payload)
        if placed_checksum(content, version, position) != checksum:
            raise damaged(position, stream, "its checksum does not hold")
        found.append(
            RawEvent(position, tenant, stream, version, name, type_version, payload, us, id_, meta)
        )
    return found
