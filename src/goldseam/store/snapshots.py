"""Snapshots: a cache of evolve, never a truth. A damaged or foreign one is ignored.

From the guide, "Scaling Strategies": replay stays short although logs are kept for ever.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

from goldseam.database.connection import Connection
from goldseam.database.statements import statements
from goldseam.telemetry.signals import signals


class Snapshot(NamedTuple):
    """The state of one stream at one version, encoded."""

    version: int
    state: bytes


class SnapshotPlace(NamedTuple):
    """Whose snapshot it is: the tenant's stream, what kind of state, of which shape."""

    tenant: str
    stream: str
    kind: str
    schema_hash: str


def snapshot_checksum(stream: str, kind: str, version: int, schema_hash: str, state: bytes) -> int:
    """What makes a damaged snapshot visible."""
    return crc32(state, crc32(f"{stream}\0{kind}\0{schema_hash}".encode())) ^ version


async def read_snapshot(connection: Connection, place: SnapshotPlace) -> Snapshot | None:
    """The newest usable snapshot, or None: then the events are replayed from the first.

    A snapshot of another shape, a damaged one, or one beyond the end of its stream (a restored
    backup) is counted and ignored.
    """
    sql = statements("goldseam.store", connection.dialect)
    where = {"tenant": place.tenant, "stream": place.stream, "kind": place.kind}
    found = await connection.fetch(sql["read_snapshot"], where)
    if not found:
        return None
    version, schema_hash, state, checksum = found[0]
    state = bytes(state)
    ends = {"tenant": place.tenant, "stream": place.stream}
    current = (await connection.fetch(sql["stream_version"], ends))[0][0]
    intact = snapshot_checksum(place.stream, place.kind, version, schema_hash, state) == checksum
    if not intact or schema_hash != place.schema_hash or version > current:
        signals.count("goldseam_snapshots_ignored_total")
        return None
    return Snapshot(int(version), state)


async def write_snapshot(
    connection: Connection, place: SnapshotPlace, snapshot: Snapshot, now_us: int
) -> None:
    """Keep ``snapshot`` if it is newer than the one there, or that one is of another shape."""
    checksum = snapshot_checksum(
        place.stream, place.kind, snapshot.version, place.schema_hash, snapshot.state
    )
    await connection.fetch(
        statements("goldseam.store", connection.dialect)["write_snapshot"],
        {
            **place._asdict(),
            "version": snapshot.version,
            "state": snapshot.state,
            "checksum": checksum,
            "recorded_us": now_us,
        },
    )
