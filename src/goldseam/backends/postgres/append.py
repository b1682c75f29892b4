"""A batch as the arguments of one function call, and the function's rows as verdicts."""

from __future__ import annotations

import re
from collections.abc import Sequence

from goldseam.backends.postgres.arrays import byteas, int2, int2s, int4s, int8, int8s, texts, uuids
from goldseam.database.statements import statements
from goldseam.store.batch import Append, Batch, Outcome, StoredEvent, Verdict
from goldseam.store.expected import holds

_SQL = statements("goldseam.store", "postgresql")


def numbered(sql: str) -> tuple[str, list[str]]:
    """``:name`` parameters as $1, $2 ... and the names in that order."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    return re.sub(r"(?<![:\w]):([a-z_][a-z0-9_]*)", number, sql), names


APPEND = numbered(_SQL["append"])[0]
APPEND_CAREFULLY = numbered(_SQL["append_carefully"])[0]
APPEND_ONE = numbered(_SQL["append_one"])[0]

_OUTCOMES: dict[str, Outcome] = {
    "C": "committed",
    "R": "replayed",
    "V": "conflict",
    "F": "fenced",
    "M": "mismatch",
}


def is_lone_event(batch: Batch) -> bool:
    """Whether the batch is one append of one event without a key or a fence."""
    if len(batch) != 1:
        return False
    append = batch[0]
    plain = append.key is None and append.fence is None
    return plain and len(append.writes) == 1 and len(append.writes[0].events) == 1


def lone_parameters(batch: Batch) -> list[bytes | None]:
    """The arguments of ``goldseam_append_one``, in its order."""
    append = batch[0]
    write = append.writes[0]
    event = write.events[0]
    return [
        append.tenant.encode(),
        write.stream.encode(),
        int8(write.expected),
        event.id_bytes,
        event.type.encode(),
        int2(event.type_version),
        int8(event.recorded_us),
        event.metadata,
        event.payload,
        int8(event.checksum),
        event.link,
    ]


def parameters(batch: Batch) -> list[bytes | None]:
    """The arguments of ``goldseam_append``, in its order: one array for each column."""
    writes = [(a, append, write) for a, append in enumerate(batch, 1) for write in append.writes]
    slots: list[int] = []
    ordinals: list[int] = []
    events: list[StoredEvent] = []
    for slot, (_, _, write) in enumerate(writes, 1):
        count = len(write.events)
        slots += [slot] * count
        ordinals += range(1, count + 1)
        events += write.events
    ids, types, type_versions, recorded_us, metadata, payloads, checksums, links = zip(
        *events, strict=True
    )
    return [
        texts([append.tenant for append in batch]),
        int4s([append.size for append in batch]),
        uuids([append.writes[0].events[0].id_bytes for append in batch]),
        *_keys(batch),
        *_fences(batch),
        int4s([a for a, _, _ in writes]),
        texts([append.tenant for _, append, _ in writes]),
        texts([write.stream for _, _, write in writes]),
        int8s([write.expected for _, _, write in writes]),
        int4s([len(write.events) for _, _, write in writes]),
        int4s(slots),
        int4s(ordinals),
        uuids(ids),
        texts(types),
        int2s(type_versions),
        int8s(recorded_us),
        byteas(metadata),
        byteas(payloads),
        int8s(checksums),
        byteas(links),
    ]


def _keys(batch: Batch) -> tuple[bytes | None, bytes | None]:
    if all(append.key is None for append in batch):
        return None, None
    keys = texts([append.key for append in batch])
    return keys, byteas([append.fingerprint for append in batch])


def _fences(batch: Batch) -> tuple[bytes | None, bytes | None]:
    if all(append.fence is None for append in batch):
        return None, None
    names = texts([append.fence.name if append.fence else None for append in batch])
    return names, int8s([append.fence.token if append.fence else 0 for append in batch])


def all_committed(batch: Batch, head: int, versions: Sequence[int]) -> list[Verdict]:
    """The verdicts when every append held: ``versions`` and ``head`` as they were before."""
    found, at, position = [], 0, head
    for append in batch:
        streams = len(append.writes)
        before = versions[at : at + streams]
        after = tuple(
            version + len(write.events)
            for version, write in zip(before, append.writes, strict=True)
        )
        found.append(Verdict("committed", after, position + 1, position + append.size))
        position += append.size
        at += streams
    return found


def judged(
    batch: Batch,
    outcomes: str,
    versions: Sequence[int],
    firsts: Sequence[int],
    lasts: Sequence[int],
    tokens: Sequence[int],
) -> list[Verdict]:
    """The verdicts of the careful way: one letter for each append, one version for each stream."""
    found, at = [], 0
    for n, append in enumerate(batch):
        mine = tuple(versions[at : at + len(append.writes)])
        at += len(append.writes)
        outcome = _OUTCOMES[outcomes[n]]
        detail = tokens[n]
        if outcome == "conflict":
            detail = _conflicting(append, mine)
        found.append(Verdict(outcome, mine, firsts[n], lasts[n], detail))
    return found


def _conflicting(append: Append, versions: Sequence[int]) -> int:
    pairs = zip(append.writes, versions, strict=True)
    return next(n for n, (write, actual) in enumerate(pairs) if not holds(write.expected, actual))
