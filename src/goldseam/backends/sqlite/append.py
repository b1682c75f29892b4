"""The append on SQLite: the same judgement as PostgreSQL's function, statement by statement.

It runs inside one BEGIN IMMEDIATE transaction, so nobody else writes while it judges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from goldseam.database.connection import Parameters, Row
from goldseam.database.statements import statements
from goldseam.events.checksum import chain, placed_checksum
from goldseam.store.batch import Append, Batch, StreamWrite, Verdict
from goldseam.store.expected import holds

if TYPE_CHECKING:
    Head = tuple[int, bytes]

_SQL = statements("goldseam.store", "sqlite")


class _Statements(Protocol):
    async def fetch(self, sql: str, parameters: Parameters = {}) -> list[Row]: ...

    async def execute_many(self, sql: str, rows: Sequence[Any]) -> None: ...


async def append_batch(
    connection: _Statements, batch: Batch, *, carefully: bool = True
) -> list[Verdict]:
    """Judge each append of ``batch`` in order and store those that hold.

    Unless asked to go ``carefully``, an append that holds is not searched for in the log first:
    an id that is stored already then breaks the insert, and with it the whole batch.

    Raises:
        IdempotencyMismatch: an id is stored already (the caller asks again, carefully).
    """
    position = int((await connection.fetch(_SQL["head"]))[0][0])
    verdicts, rows = [], []
    for append in batch:
        heads = [await _head(connection, append.tenant, write.stream) for write in append.writes]
        plain = append.key is None and append.fence is None
        verdict = None
        if carefully or not plain or not _all_hold(append, heads):
            verdict = await _refusal_or_replay(connection, append, heads)
        if verdict is None:
            verdict = _accepted(append, heads, position)
            rows += _rows(append, heads, position)
            position = verdict.last_position
            await _remember(connection, append, verdict)
        verdicts.append(verdict)
    if rows:
        await connection.execute_many(_SQL["insert_event"], rows)
    return verdicts


async def _head(connection: _Statements, tenant: str, stream: str) -> Head:
    found = await connection.fetch(_SQL["stream_head"], {"tenant": tenant, "stream": stream})
    return found[0] if found else (0, b"")


def _all_hold(append: Append, heads: Sequence[Head]) -> bool:
    pairs = zip(append.writes, heads, strict=True)
    return all(holds(write.expected, version) for write, (version, _) in pairs)


async def _refusal_or_replay(
    connection: _Statements, append: Append, heads: Sequence[Head]
) -> Verdict | None:
    replay = await _replay_by_key(connection, append) or await _replay_by_ids(connection, append)
    if replay is not None:
        return replay
    versions = tuple(version for version, _ in heads)
    if append.fence is not None:
        found = await connection.fetch(
            _SQL["find_fence"], {"tenant": append.tenant, "name": append.fence.name}
        )
        if found and found[0][0] > append.fence.token:
            return Verdict("fenced", versions, detail=found[0][0])
    for slot, (write, version) in enumerate(zip(append.writes, versions, strict=True)):
        if not holds(write.expected, version):
            return Verdict("conflict", versions, detail=slot)
    return None


async def _replay_by_key(connection: _Statements, append: Append) -> Verdict | None:
    if append.key is None:
        return None
    found = await connection.fetch(_SQL["find_key"], {"tenant": append.tenant, "key": append.key})
    if not found:
        return None
    fingerprint, first, last = found[0]
    if fingerprint != append.fingerprint:
        return Verdict("mismatch", ())
    return await _first_result(connection, append, first, last)


async def _replay_by_ids(connection: _Statements, append: Append) -> Verdict | None:
    """The first result, if the append's first event id is stored already."""
    first_id = append.writes[0].events[0].id_bytes
    if not await _stored(connection, append.tenant, first_id):
        return None
    positions = []
    for write in append.writes:
        for event in write.events:
            found = await _stored(connection, append.tenant, event.id_bytes)
            content = (write.stream, event.type, event.type_version, event.payload)
            if not found or found[0][2:] != content:
                return Verdict("mismatch", ())
            positions.append(found[0][1])
    return await _first_result(connection, append, min(positions), max(positions))


async def _stored(connection: _Statements, tenant: str, event_id: bytes) -> list[Row]:
    return await connection.fetch(_SQL["find_ids"], {"tenant": tenant, "id": event_id})


async def _first_result(connection: _Statements, append: Append, first: int, last: int) -> Verdict:
    versions = []
    for write in append.writes:
        place = {"first": first, "last": last, "tenant": append.tenant, "stream": write.stream}
        versions.append(int((await connection.fetch(_SQL["version_between"], place))[0][0] or 0))
    return Verdict("replayed", tuple(versions), first, last)


def _accepted(append: Append, heads: Sequence[Head], position: int) -> Verdict:
    versions = tuple(
        version + len(write.events)
        for write, (version, _) in zip(append.writes, heads, strict=True)
    )
    return Verdict("committed", versions, position + 1, position + append.size)


def _rows(append: Append, heads: Sequence[Head], position: int) -> list[tuple[Any, ...]]:
    rows = []
    for write, head in zip(append.writes, heads, strict=True):
        rows += _stream_rows(append.tenant, write, head, position)
        position += len(write.events)
    return rows


def _stream_rows(
    tenant: str, write: StreamWrite, head: Head, position: int
) -> list[tuple[Any, ...]]:
    version, last_chain = head
    return [
        (
            position + n,
            tenant,
            write.stream,
            version + n,
            event.id_bytes,
            event.type,
            event.type_version,
            event.recorded_us,
            event.metadata,
            event.payload,
            placed_checksum(event.checksum, version + n, position + n),
            chain(last_chain, event.link),
        )
        for n, event in enumerate(write.events, start=1)
    ]


async def _remember(connection: _Statements, append: Append, verdict: Verdict) -> None:
    if append.fence is not None:
        name, token = append.fence.name, append.fence.token
        await connection.fetch(
            _SQL["raise_fence"], {"tenant": append.tenant, "name": name, "token": token}
        )
    if append.key is not None:
        await connection.fetch(
            _SQL["insert_key"],
            {
                "tenant": append.tenant,
                "key": append.key,
                "fingerprint": append.fingerprint,
                "first": verdict.first_position,
                "last": verdict.last_position,
                "recorded_us": append.writes[0].events[0].recorded_us,
            },
        )
