"""The append on PostgreSQL: a batch becomes one call of one function, its rows become verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from goldseam.backends.postgres.arrays import byteas, int2s, int4s, int8s, texts, uuids
from goldseam.store.batch import Append, Batch, Outcome, Verdict
from goldseam.store.expected import holds

_OUTCOMES: dict[str, Outcome] = {
    "C": "committed",
    "R": "replayed",
    "V": "conflict",
    "F": "fenced",
    "M": "mismatch",
}


def parameters(batch: Batch) -> dict[str, Any]:
    """The function's arguments: one array for each column."""
    writes = [(a, append, write) for a, append in enumerate(batch, 1) for write in append.writes]
    events = [
        (slot, ordinal, event)
        for slot, (_, _, write) in enumerate(writes, 1)
        for ordinal, event in enumerate(write.events, 1)
    ]
    columns = list(zip(*(event for _, _, event in events), strict=True))
    ids, types, type_versions, recorded_us, metadata, payloads, checksums, links = columns
    return {
        "a_tenant": texts([append.tenant for append in batch]),
        "a_events": int4s([append.size for append in batch]),
        "a_first_id": uuids([append.writes[0].events[0].id_bytes for append in batch]),
        **_keys(batch),
        **_fences(batch),
        "s_append": int4s([a for a, _, _ in writes]),
        "s_tenant": texts([append.tenant for _, append, _ in writes]),
        "s_stream": texts([write.stream for _, _, write in writes]),
        "s_expected": int8s([write.expected for _, _, write in writes]),
        "e_slot": int4s([slot for slot, _, _ in events]),
        "e_ordinal": int4s([ordinal for _, ordinal, _ in events]),
        "e_id": uuids(ids),
        "e_type": texts(types),
        "e_type_version": int2s(type_versions),
        "e_recorded_us": int8s(recorded_us),
        "e_metadata": byteas(metadata),
        "e_payload": byteas(payloads),
        "e_checksum": int8s(checksums),
        "e_link": byteas(links),
    }


def _keys(batch: Batch) -> dict[str, Any]:
    if all(append.key is None for append in batch):
        return {"a_key": None, "a_fingerprint": None}
    return {
        "a_key": texts([append.key for append in batch]),
        "a_fingerprint": byteas([append.fingerprint for append in batch]),
    }


def _fences(batch: Batch) -> dict[str, Any]:
    if all(append.fence is None for append in batch):
        return {"a_fence": None, "a_token": None}
    return {
        "a_fence": texts([append.fence.name if append.fence else None for append in batch]),
        "a_token": int8s([append.fence.token if append.fence else 0 for append in batch]),
    }


def verdicts(batch: Batch, rows: Sequence[tuple[Any, ...]]) -> list[Verdict]:
    """One verdict for each append, from one row for each stream."""
    found, at = [], 0
    for append in batch:
        mine = rows[at : at + len(append.writes)]
        at += len(append.writes)
        found.append(_verdict(append, mine))
    return found


def _verdict(append: Append, rows: Sequence[tuple[Any, ...]]) -> Verdict:
    _, code, version, first, last = rows[0]
    outcome = _OUTCOMES[code]
    versions = tuple(row[2] for row in rows)
    if outcome == "fenced":
        return Verdict(outcome, versions, detail=version)
    if outcome == "conflict":
        return Verdict(outcome, versions, detail=_conflicting(append, versions))
    return Verdict(outcome, versions, first, last)


def _conflicting(append: Append, versions: Sequence[int]) -> int:
    pairs = zip(append.writes, versions, strict=True)
    return next(n for n, (write, actual) in enumerate(pairs) if not holds(write.expected, actual))
