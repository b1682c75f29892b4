"""A dead letter: the original record, why it could not be applied, and what became of it."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from typing import Literal

import msgspec

from goldseam.broker.record import Headers, Received
from goldseam.database.connection import Row

TRACE_BYTES_MAX = 8_192
"""Longest stack trace that is kept; its end, where the handler is."""

ERROR_LENGTH_MAX = 300

FINGERPRINT_LENGTH = 12

Reason = Literal["poison", "schema", "retries-exhausted", "fenced", "queued"]
State = Literal["waiting", "due", "quarantined", "applied", "duplicate", "discarded"]

_FRAME = re.compile(r'File "([^"]+)", line \d+, in (\S+)')
_OUR_FOLDER = str(Path(__file__).resolve().parents[2])
_LIBRARY_FRAME = re.compile(r"[/\\](?:site-packages|python3\.\d+)[/\\]")
_PATH_PARTS = 2
"""Parts of a path that name a module wherever it is installed."""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One record that waits: the one that failed, or one ``queued`` behind it.

    The record is kept as the topic had it, sealed and of its old version; a redrive reads it
    with the code of then. ``error`` holds no value of the payload. The fields after
    ``last_failed_us`` are the store's.
    """

    consumer: str
    sequence: str
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int
    event_id: str
    type: str
    reason: Reason
    error_class: str
    error: str
    trace: str
    attempts: int
    first_failed_us: int
    last_failed_us: int
    id: int = 0
    state: State = "waiting"
    redrive_count: int = 0
    fingerprint: str = ""
    resolved_us: int = 0

    @property
    def record(self) -> Received:
        """The record as the topic had it."""
        return Received(
            self.topic, self.partition, self.offset, self.key, self.value, self.headers,
            self.timestamp_ms,
        )  # fmt: skip

    @property
    def bytes(self) -> int:
        """What it takes of the store, roughly."""
        texts = len(self.trace) + len(self.error) + len(self.sequence)
        heads = sum(len(name) + len(value) for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + heads + texts


def fingerprint_of(error_class: str, trace: str, event_type: str) -> str:
    """The cause as one short text: error class, innermost frame of the handler, event type.

    Line numbers are left out, so a cause keeps its fingerprint when lines above it change. Empty
    for a letter without an error.
    """
    if not error_class:
        return ""
    text = "\0".join((error_class, innermost_frame(trace), event_type))
    return sha256(text.encode()).hexdigest()[:FINGERPRINT_LENGTH]


def innermost_frame(trace: str) -> str:
    """The deepest function of the application in ``trace``, as ``package/module.py:function``.

    Libraries count only when nothing of the application is there. Empty without frames.
    """
    frames = _FRAME.findall(trace)
    theirs = [one for one in frames if not one[0].startswith(_OUR_FOLDER)]
    own = [one for one in theirs if not _LIBRARY_FRAME.search(one[0])]
    for some in (own, theirs, frames):
        if some:
            path, function = some[-1]
            return "/".join(re.split(r"[/\\]", path)[-_PATH_PARTS:]) + f":{function}"
    return ""


def letter_row(letter: Letter) -> dict[str, object]:
    """``letter`` as the parameters of the statement that parks it."""
    trace = letter.trace.encode()[-TRACE_BYTES_MAX:].decode("utf-8", "ignore")
    fields = ("consumer", "sequence", "topic", "partition", "key", "value", "timestamp_ms",
              "event_id", "type", "reason", "error_class", "attempts", "redrive_count",
              "first_failed_us", "last_failed_us", "bytes")  # fmt: skip
    return {
        **{name: getattr(letter, name) for name in fields},
        "record_offset": letter.offset,
        "headers": msgspec.msgpack.encode(letter.headers),
        "error": letter.error[:ERROR_LENGTH_MAX],
        "trace": trace,
        "fingerprint": fingerprint_of(letter.error_class, trace, letter.type),
    }


def letter_from(row: Row) -> Letter:
    """The letter in a row of the statement ``letter_columns``."""
    (id_, consumer, sequence, topic, partition, offset, key, value, headers, timestamp_ms,
     event_id, type_, reason, error_class, error, trace, fingerprint, attempts, first_failed_us,
     last_failed_us, redrive_count, state, resolved_us) = row  # fmt: skip
    return Letter(
        id=int(id_), consumer=consumer, sequence=sequence, topic=topic, partition=int(partition),
        offset=int(offset), key=None if key is None else bytes(key),
        value=None if value is None else bytes(value),
        headers=msgspec.msgpack.decode(bytes(headers), type=Headers),
        timestamp_ms=int(timestamp_ms), event_id=event_id, type=type_, reason=reason,
        error_class=error_class, error=error, trace=trace, fingerprint=fingerprint,
        attempts=int(attempts), first_failed_us=int(first_failed_us),
        last_failed_us=int(last_failed_us), redrive_count=int(redrive_count), state=state,
        resolved_us=int(resolved_us),
    )  # fmt: skip
