"""Writes events into the target at positions, versions and chain values of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from goldseam.database.connection import Connection
from goldseam.events.checksum import (
    chain,
    content_checksum,
    content_digest,
    link,
    place_bytes,
    placed_checksum,
    stream_seed,
)
from goldseam.events.event import RawEvent
from goldseam.events.registry import type_seed
from goldseam.migration.errors import TargetInUse
from goldseam.migration.progress import sql_of

HEADS_MAX = 65_536
"""Stream heads remembered between pages, about 250 bytes each; beyond it they are read anew."""

_COLUMNS = (
    "positions", "tenants", "streams", "versions", "ids", "types", "type_versions", "recorded_us",
    "metadata", "payloads", "checksums", "chains",
)  # fmt: skip

Key = tuple[str, str]
Head = tuple[int, bytes]
_NO_HEAD: Head = (0, b"")


class Writer:
    """Appends pages to one target; the caller owns the transaction.

    After a transaction that failed, make another one: this one remembers what did not happen.
    """

    def __init__(self) -> None:
        self._heads: dict[Key, Head] = {}
        self._seeds: dict[Key, int] = {}

    async def write(self, connection: Connection, after: int, events: Sequence[RawEvent]) -> int:
        """Store ``events`` behind position ``after``; the new last position.

        Raises:
            TargetInUse: the target does not end at ``after``: somebody else writes there.
        """
        sql = sql_of(connection)
        await connection.fetch(sql["take_log"])
        head = int((await connection.fetch(sql["target_head"]))[0][0])
        if head != after:
            raise TargetInUse(
                f"the target ends at position {head}, the migration at {after}",
                "let nobody write to the target before the cut-over; take an empty store",
            )
        if not events:
            return after
        await self._learn(connection, {(one.tenant, one.stream) for one in events})
        rows = [self._row(one, position) for position, one in enumerate(events, after + 1)]
        if connection.dialect == "sqlite":
            await connection.execute_many(sql["insert_event"], cast(Any, rows))
        else:
            columns = zip(*rows, strict=True)
            values = dict(zip(_COLUMNS, map(list, columns), strict=True))
            values["ids"] = [one.id_bytes.hex() for one in events]
            await connection.fetch(sql["insert_events"], values)
        last = after + len(events)
        await connection.fetch(sql["tell_followers"], {"position": last})
        return last

    async def _learn(self, connection: Connection, keys: set[Key]) -> None:
        """Know the heads of all streams of the page."""
        if len(self._heads) + len(keys) > HEADS_MAX:
            self._heads.clear()
            self._seeds.clear()
        unknown = keys - self._heads.keys()
        if not unknown:
            return
        found = await _stored_heads(connection, unknown)
        for key in unknown:
            self._heads[key] = found.get(key, _NO_HEAD)
            self._seeds[key] = stream_seed(*key)

    def _row(self, one: RawEvent, position: int) -> tuple[Any, ...]:
        """The event as an append of its own: its link has nothing before it."""
        key = one.tenant, one.stream
        version, last_chain = self._heads[key]
        version += 1
        seed, kind = self._seeds[key], type_seed(one.type, one.type_version)
        content = content_checksum(
            seed, kind, one.id_bytes, one.recorded_us, one.metadata_bytes, one.payload
        )
        place = place_bytes(*key, one.type, one.type_version)
        digest = content_digest(
            place, one.id_bytes, one.recorded_us, one.metadata_bytes, one.payload
        )
        chained = chain(last_chain, link(b"", digest))
        self._heads[key] = version, chained
        return (
            position,
            one.tenant,
            one.stream,
            version,
            one.id_bytes,
            one.type,
            one.type_version,
            one.recorded_us,
            one.metadata_bytes,
            one.payload,
            placed_checksum(content, version, position),
            chained,
        )


async def _stored_heads(connection: Connection, keys: Iterable[Key]) -> dict[Key, Head]:
    sql = sql_of(connection)
    if connection.dialect == "postgresql":
        tenants, streams = zip(*keys, strict=True)
        asked = {"tenants": list(tenants), "streams": list(streams)}
        rows = await connection.fetch(sql["stream_heads"], asked)
    else:
        rows = []
        for tenant, stream in keys:
            rows += await connection.fetch(sql["stream_head"], {"tenant": tenant, "stream": stream})
    return {(row[0], row[1]): (int(row[2]), bytes(row[3])) for row in rows}
