"""Every exception of goldseam: a fact, its values, the next step, and the failure it belongs to.

GoldseamError
├── InvalidInput            the caller's mistake; nothing was written
│   ├── InvalidEvent            an event that does not fit its own class
│   ├── EventTooLarge           one event beyond the store's limit
│   ├── InvalidName             a stream, tenant, key or event name that cannot be stored
│   ├── UnknownEventType        a name or class that nobody registered
│   ├── InvalidPosition         a position token that this store never gave out
│   ├── DuplicateRegistration   one name for two classes
│   ├── UpcasterGap             a chain of upcasters with a hole
│   └── KeysMissing             personal fields and no keys to seal or open them with
├── Rejected                the store said no; nothing was written
│   ├── VersionConflict         the stream is not at the expected version
│   ├── Fenced                  a newer fencing token has been seen
│   ├── IdempotencyMismatch     the same key or event id, another content
│   └── StoreReadOnly           a transaction that cannot give out positions safely
├── CommitUnknown           no answer came back: it may or may not be written
├── StoreUnavailable        nothing was written, or nothing could be read; try again
│   └── StoreFull               the disk has no room
├── Corrupt                 what is stored is not what was written
│   ├── CorruptEvent
│   ├── CorruptSnapshot
│   └── CorruptCheckpoint
├── UnreadableEvent         an intact event that this program's classes cannot read
│   └── UpcastFailed            its upcasters cannot bring it up to date
├── ReadModelBehind         the read model has not reached the position asked for
├── ProjectionError         a projection that cannot go on
├── SchemaError             the database's tables are not what this version needs
├── MissingExtra            an optional part is not installed
└── BlockedCoroutine        a transactional coroutine waited for something else
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class GoldseamError(Exception):
    """Base of every error goldseam raises on purpose.

    ``failure`` is the slug of its entry in the failure catalogue.
    ``retry_safe`` says whether the same call may simply be made again.
    """

    failure: ClassVar[str | None] = None
    retry_safe: ClassVar[bool] = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep errors picklable although their constructors take named fields."""
        return _rebuild, (type(self), self.args, dict(self.__dict__))


def _rebuild(
    kind: type[GoldseamError], args: tuple[Any, ...], fields: Mapping[str, Any]
) -> GoldseamError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(fields)
    return error


class InvalidInput(GoldseamError):
    """What the caller handed over cannot be stored or asked for; nothing was written."""

    failure = "store/hostile-input"


class InvalidEvent(InvalidInput):
    """An event does not fit the class it is an instance of, so no reader could decode it."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(f"event {name!r} cannot be stored: {reason}; correct the value")


class EventTooLarge(InvalidInput):
    """One event is larger than the store's limit."""

    def __init__(self, name: str, size_bytes: int, limit_bytes: int) -> None:
        self.name, self.size_bytes, self.limit_bytes = name, size_bytes, limit_bytes
        super().__init__(
            f"event {name!r} has {size_bytes} bytes, the limit is {limit_bytes}; "
            "store the large part elsewhere and keep a reference in the event"
        )


class InvalidName(InvalidInput):
    """A name (stream, tenant, key, projection) has characters or a length that is not allowed."""

    def __init__(self, what: str, value: object, rule: str) -> None:
        self.what, self.value, self.rule = what, value, rule
        shown = repr(value)
        super().__init__(f"{what} {shown[:80]} is not allowed: {rule}")


class UnknownEventType(InvalidInput):
    """No class is registered for this event, or this version of it."""

    failure = "versioning/unknown-event-type"

    def __init__(self, name: str, version: int | None = None) -> None:
        self.name, self.version = name, version
        of = "" if version is None else f" version {version}"
        super().__init__(
            f"event type {name!r}{of} is not registered; decorate its class with @event, "
            "or import the module that does, before reading or appending"
        )


class DuplicateRegistration(InvalidInput):
    """Two classes claim one event name and version."""

    failure = "versioning/unknown-event-type"

    def __init__(self, name: str, version: int, first: str, second: str) -> None:
        self.name, self.version = name, version
        super().__init__(
            f"event type {name!r} version {version} is registered for {first} already and cannot "
            f"also mean {second}; give one of them another name or version"
        )


class UpcasterGap(InvalidInput):
    """A chain of upcasters does not reach the newest version of its event type."""

    failure = "versioning/upcasting"

    def __init__(self, name: str, version: int, newest: int) -> None:
        self.name, self.version, self.newest = name, version, newest
        fact = (
            f"no upcaster leads on from version {version}"
            if version < newest
            else f"upcasters lead to version {version}"
        )
        super().__init__(
            f"event type {name!r}: {fact}, the newest class is version {newest}; declare "
            f"@upcaster({name!r}, {min(version, newest)}) or register the class of that version"
        )


class KeysMissing(InvalidInput):
    """An event has personal fields, and the store was opened without keys."""

    failure = "privacy/encrypt-at-write"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"event type {name!r} has personal fields and this store was opened without keys; "
            "open it with open_store(..., vault=...), nothing personal is written in clear"
        )


class InvalidPosition(InvalidInput):
    """A position token is malformed, negative, in the future, or of another store."""

    failure = "read/stale-read"

    def __init__(self, token: object, reason: str) -> None:
        self.token, self.reason = token, reason
        super().__init__(
            f"position token {str(token)[:80]!r} is not valid: {reason}; "
            "use the token that a write to this store returned"
        )


class Rejected(GoldseamError):
    """The store refused the write for a reason; nothing of it was written."""


class VersionConflict(Rejected):
    """The stream is not at the version the writer expected: somebody else wrote first."""

    failure = "store/version-conflict"

    def __init__(self, stream: str, expected: int | str, actual: int) -> None:
        self.stream, self.expected, self.actual = stream, expected, actual
        super().__init__(
            f"stream {stream!r} is at version {actual}, not at the expected {expected}; "
            "reload it and decide again"
        )


class Fenced(Rejected):
    """The writer's fencing token is older than one the store has already accepted."""

    failure = "store/stale-writer"

    def __init__(self, name: str, token: int, current: int) -> None:
        self.name, self.token, self.current = name, token, current
        super().__init__(
            f"fencing token {token} for {name!r} is stale, the store has seen {current}; "
            "stop writing and acquire the lease again"
        )


class IdempotencyMismatch(Rejected):
    """An idempotency key or event id was used before with another content."""

    failure = "store/duplicate-append"

    def __init__(self, key: str, reason: str) -> None:
        self.key, self.reason = key, reason
        super().__init__(
            f"idempotency key {key!r} was used before for another write ({reason}); "
            "use a new key for a new write"
        )


class StoreReadOnly(Rejected):
    """The transaction or the server cannot take this write."""

    failure = "store/lost-event-gap"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the append was refused: {reason}")


class CommitUnknown(GoldseamError):
    """The commit was sent and no answer came: the events may or may not be stored.

    Append again with the same events (same event ids) or the same idempotency key:
    the store answers with the first result if it is there, and writes it once if not.
    """

    failure = "store/unknown-outcome"
    retry_safe = True

    def __init__(self, event_ids: Sequence[str], cause: str) -> None:
        self.event_ids, self.cause = tuple(event_ids), cause
        super().__init__(
            f"no answer to the commit of {len(self.event_ids)} event(s) ({cause}): it may or may "
            "not be stored; append the same events again, the store writes them once"
        )


class StoreUnavailable(GoldseamError):
    """The database cannot be reached; nothing was written by this call."""

    failure = "store/database-restart"
    retry_safe = True

    def __init__(self, cause: str) -> None:
        self.cause = cause
        super().__init__(f"the store cannot be reached: {cause}; nothing was written, try again")


class StoreFull(StoreUnavailable):
    """The disk of the database has no room; nothing was written."""

    failure = "store/disk-full"

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.args = (
            f"the store's disk is full: {cause}; nothing was written, free space and try again",
        )


class Corrupt(GoldseamError):
    """What is stored differs from what was written; it is never served."""

    failure = "store/corrupt-event"


class CorruptEvent(Corrupt):
    """An event's checksum, place in its stream or place in the log does not hold."""

    def __init__(self, position: int, stream: str, reason: str) -> None:
        self.position, self.stream, self.reason = position, stream, reason
        super().__init__(
            f"event at position {position} of stream {stream!r} is damaged: {reason}; "
            "run `goldseam store verify` and restore it from a backup or replica"
        )


class CorruptSnapshot(Corrupt):
    """A snapshot's checksum does not hold; the state is replayed from events instead."""

    failure = "store/snapshot-drift"

    def __init__(self, stream: str, version: int, reason: str) -> None:
        self.stream, self.version, self.reason = stream, version, reason
        super().__init__(
            f"snapshot of stream {stream!r} at version {version} is damaged: {reason}; "
            "it is ignored and the state is replayed from the events"
        )


class CorruptCheckpoint(Corrupt):
    """A projection's checkpoint is damaged, or belongs to another store or a longer log."""

    def __init__(self, projection: str, reason: str) -> None:
        self.projection, self.reason = projection, reason
        super().__init__(
            f"checkpoint of projection {projection!r} cannot be trusted: {reason}; "
            f"run `goldseam projections rebuild {projection}`"
        )


class UnreadableEvent(GoldseamError):
    """A stored event is intact, and the classes of this program cannot read it."""

    failure = "versioning/old-event-misread"

    def __init__(self, name: str, version: int, reason: str) -> None:
        self.name, self.version, self.reason = name, version, reason
        super().__init__(
            f"stored event {name!r} version {version} does not fit its class: {reason}; raise the "
            f"class's version and declare @upcaster({name!r}, {version}); the event is intact"
        )


class UpcastFailed(UnreadableEvent):
    """An upcaster raised or returned nonsense: the event is held, never passed over."""

    failure = "versioning/upcasting"

    def __init__(self, name: str, version: int, reason: str) -> None:
        super().__init__(name, version, reason)
        fact = f"upcaster of event type {name!r} version {version} failed: {reason}"
        self.args = (f"{fact}; mend it, the stored event is intact",)


class ReadModelBehind(GoldseamError):
    """The read model has not reached the position the reader asked for; ask again later."""

    failure = "read/stale-read"
    retry_safe = True

    def __init__(
        self, projection: str, position: int, target: int, retry_after_seconds: int, why: str = ""
    ) -> None:
        self.projection, self.position, self.target = projection, position, target
        self.retry_after_seconds, self.why = retry_after_seconds, why
        super().__init__(
            f"read model {projection!r} is at position {position}, the reader asked for {target}"
            f"{'; ' + why if why else ''}; ask again in {retry_after_seconds} s"
        )


class ProjectionError(GoldseamError):
    """A projection is declared, started or steered in a way that cannot work."""

    failure = "projection/poison-event"


class SchemaError(GoldseamError):
    """The database's tables are missing, older, newer or not those this version made."""

    failure = "store/schema-drift"


class MissingExtra(GoldseamError):
    """An optional part of goldseam is needed and not installed."""

    def __init__(self, what: str, extra: str) -> None:
        self.what, self.extra = what, extra
        super().__init__(f'{what} needs an extra; run: pip install "goldseam[{extra}]"')


class BlockedCoroutine(GoldseamError):
    """A coroutine that may await only its database connection awaited something else."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(
            f"{what} awaited something other than its database connection; inside a transaction "
            "await only the connection it was given"
        )
