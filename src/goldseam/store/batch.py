"""What travels to the database in one group commit, and the verdicts that come back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple
from uuid import UUID

from goldseam.errors import (
    CommitUnknown,
    Fenced,
    GoldseamError,
    IdempotencyMismatch,
    VersionConflict,
)
from goldseam.events.positions import encode_token
from goldseam.leadership.fencing import Fence
from goldseam.store.expected import shown_expected


class StoredEvent(NamedTuple):
    """One event, encoded, with its checksum and its link inside its append."""

    id_bytes: bytes
    type: str
    type_version: int
    recorded_us: int
    metadata: bytes
    payload: bytes
    checksum: int
    link: bytes


class StreamWrite(NamedTuple):
    """The events of one append for one stream, and the version it is expected to have."""

    stream: str
    expected: int
    events: tuple[StoredEvent, ...]


class Append(NamedTuple):
    """One caller's append: all of it is stored, or nothing."""

    tenant: str
    writes: tuple[StreamWrite, ...]
    key: str | None = None
    fingerprint: bytes | None = None
    fence: Fence | None = None
    size: int = 0
    """How many events it has in all."""

    @property
    def event_ids(self) -> list[str]:
        """The ids of its events, as texts."""
        return [str(UUID(bytes=e.id_bytes)) for write in self.writes for e in write.events]


Batch = Sequence[Append]
Outcome = Literal["committed", "replayed", "conflict", "fenced", "mismatch"]


class Verdict(NamedTuple):
    """What the store decided about one append.

    ``versions`` are the streams' versions in the order of the append's writes: after the append
    where it was committed or replayed, the actual ones where it was refused.
    ``detail`` is the current fencing token where it was fenced.
    """

    outcome: Outcome
    versions: tuple[int, ...]
    first_position: int = 0
    last_position: int = 0
    detail: int = 0


class Appended(NamedTuple):
    """The answer to a write: where it stands in the log.

    ``position`` is the number to read after (the guide's ``position: 12345``), ``token`` the
    same position bound to this store. ``replayed`` says that this very write had been stored
    before and nothing new was written.
    """

    position: int
    first_position: int
    versions: dict[str, int]
    store_id: UUID
    replayed: bool = False

    @property
    def token(self) -> str:
        """The position as a token that only this store accepts."""
        return encode_token(self.store_id, self.position)

    @property
    def version(self) -> int:
        """The version of the stream that was written (of the first, if there were several)."""
        return next(iter(self.versions.values()))


def answer(append: Append, verdict: Verdict, store_id: UUID) -> Appended:
    """The caller's answer.

    Raises:
        VersionConflict, Fenced, IdempotencyMismatch: the append was refused.
    """
    if verdict.outcome in ("committed", "replayed"):
        streams = [write.stream for write in append.writes]
        return Appended(
            verdict.last_position,
            verdict.first_position,
            dict(zip(streams, verdict.versions, strict=True)),
            store_id,
            verdict.outcome == "replayed",
        )
    raise _refusal(append, verdict)


def _refusal(append: Append, verdict: Verdict) -> GoldseamError:
    if verdict.outcome == "fenced" and append.fence is not None:
        return Fenced(append.fence.name, append.fence.token, verdict.detail)
    if verdict.outcome == "mismatch":
        key = append.key or append.event_ids[0]
        return IdempotencyMismatch(key, "the content differs from what was stored first")
    write, actual = append.writes[verdict.detail], verdict.versions[verdict.detail]
    return VersionConflict(write.stream, shown_expected(write.expected), actual)


def unknown(append: Append, cause: str) -> CommitUnknown:
    """The error for an append whose outcome could not be learnt."""
    return CommitUnknown(append.event_ids, cause)
