"""From a stream to a state: the newest snapshot, then the facts after it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from goldseam.commands.decider import Decider
from goldseam.commands.snapshots import StateCodec
from goldseam.database.connection import Connection
from goldseam.store.read import PAGE_EVENTS, Reader
from goldseam.store.snapshots import SnapshotPlace, read_snapshot
from goldseam.telemetry.signals import signals

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """A state, the version it stands at, and how many events were replayed for it.

    ``position`` is that of the stream's last replayed event, 0 when none was replayed.
    """

    state: S
    version: int
    replayed: int
    position: int = 0


async def load(
    connection: Connection,
    reader: Reader,
    decider: Decider[Any, S, Any],
    stream: str,
    place: SnapshotPlace | None = None,
    codec: StateCodec[S] | None = None,
) -> Loaded[S]:
    """The state of ``stream``. Colourless: awaits only the connection."""
    start = await _from_snapshot(connection, place, codec)
    state, version = start or (copy.deepcopy(decider.initial), 0)
    replayed, position = 0, 0
    while True:
        events = await reader.stream(connection, stream, after=version, limit=PAGE_EVENTS)
        for event in events:
            state = decider.evolve(state, event.data)
        if events:
            version, position = events[-1].version, events[-1].position
            replayed += len(events)
        if len(events) < PAGE_EVENTS:
            return Loaded(state, version, replayed, position)


async def _from_snapshot(
    connection: Connection, place: SnapshotPlace | None, codec: StateCodec[S] | None
) -> tuple[S, int] | None:
    if place is None or codec is None:
        return None
    snapshot = await read_snapshot(connection, place)
    if snapshot is None:
        return None
    try:
        return codec.decode(snapshot.state), snapshot.version
    except (msgspec.DecodeError, msgspec.ValidationError):
        signals.count("goldseam_snapshots_ignored_total")
        return None
