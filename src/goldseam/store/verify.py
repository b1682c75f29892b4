"""Prove that the log is what was written: checksums, positions, versions, chains, triggers.

The whole log is walked once in pages. Memory grows with the number of streams (about 250 bytes
each: the last version and the state of the chain), not with the number of events.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from goldseam.database.connection import Database
from goldseam.database.statements import statements
from goldseam.events.checksum import (
    ChainWalk,
    content_checksum,
    content_digest,
    place_bytes,
    placed_checksum,
    stream_seed,
)
from goldseam.events.registry import type_seed
from goldseam.store.snapshots import snapshot_checksum
from goldseam.telemetry.signals import signals

PAGE_EVENTS = 2_000


class Damage(NamedTuple):
    """One thing that is not as it was written."""

    what: str
    position: int
    stream: str
    version: int
    reason: str


class Progress(NamedTuple):
    """How far the walk has come, and what it has found since the last page."""

    events: int
    position: int
    streams: int
    damages: list[Damage]


class _Walk:
    """What is remembered of each stream."""

    def __init__(self) -> None:
        self.streams: dict[tuple[str, str], tuple[int, ChainWalk]] = {}
        self.position = 0

    def check(self, row: tuple[Any, ...]) -> list[Damage]:
        """What is wrong with one event and its place."""
        position, stream, version, name, type_version, payload, recorded_us, id_, meta, stored = (
            row[:10]
        )
        tenant, chained = row[10:]
        found = []
        if position != self.position + 1:
            reason = f"positions {self.position + 1} to {position - 1} are missing"
            found.append(Damage("position", position, stream, version, reason))
        self.position = position
        seed, kind = stream_seed(tenant, stream), type_seed(name, type_version)
        content = content_checksum(seed, kind, id_, recorded_us, meta, payload)
        if placed_checksum(content, version, position) != stored:
            reason = "the checksum does not hold"
            found.append(Damage("checksum", position, stream, version, reason))
        last, walk = self.streams.get((tenant, stream)) or (0, ChainWalk())
        if version != last + 1:
            reason = f"version {last + 1} of the stream is missing"
            found.append(Damage("version", position, stream, version, reason))
        place = place_bytes(tenant, stream, name, type_version)
        if not walk.accepts(content_digest(place, id_, recorded_us, meta, payload), chained):
            reason = "the hash chain of the stream does not hold here"
            found.append(Damage("chain", position, stream, version, reason))
        self.streams[tenant, stream] = version, walk
        return found


async def verify(database: Database) -> AsyncIterator[Progress]:
    """Walk the log and everything beside it; yields after each page, damages included.

    Checks each event's checksum, that positions are 1, 2, 3 ... without a hole, that versions
    are 1, 2, 3 ... in each stream, each stream's hash chain, the snapshots' checksums, that
    idempotency keys point at events, and that the database itself still refuses to change events.
    """
    sql = statements("goldseam.store", database.dialect)
    walk, events = _Walk(), 0
    yield Progress(0, 0, 0, await _beside_the_log(database))
    while True:
        window = {"after": walk.position, "limit": PAGE_EVENTS}
        rows = await database.fetch(sql["read_for_verification"], window)
        damages = [damage for row in rows for damage in walk.check(row)]
        signals.count("goldseam_corrupt_events_total", len(damages))
        events += len(rows)
        yield Progress(events, walk.position, len(walk.streams), damages)
        if not rows:
            return


async def _beside_the_log(database: Database) -> list[Damage]:
    sql = statements("goldseam.store", database.dialect)
    found = []
    guards = {str(row[0]) for row in await database.fetch(sql["immutability_triggers"])}
    for name in sorted(set(sql["immutability_expected"].split()) - guards):
        signals.count("goldseam_refused_mutations_total")
        reason = f"trigger {name} is missing or disabled: events can be changed; restore it"
        found.append(Damage("immutability", 0, "", 0, reason))
    for tenant, key in await database.fetch(sql["keys_without_events"]):
        reason = f"idempotency key {key!r} of tenant {tenant!r} points at no event"
        found.append(Damage("key", 0, "", 0, reason))
    for stream, kind, version, schema_hash, state, checksum in await database.fetch(
        sql["all_snapshots"]
    ):
        if snapshot_checksum(stream, kind, version, schema_hash, state) != checksum:
            reason = f"the snapshot of {kind!r} is damaged; it is ignored and will be rewritten"
            found.append(Damage("snapshot", 0, stream, version, reason))
    return found
