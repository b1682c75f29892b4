"""The headers of a mirrored letter: Kafka Connect's and Spring's, so that their tools read it.

Names and encodings are those of Kafka Connect's DeadLetterQueueReporter (texts) and of Spring
Kafka's KafkaHeaders (numbers in big-endian bytes: 4 for a partition, 8 for offset and time).
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from goldseam.broker.record import Headers, Received, Record
from goldseam.consumers.dead_letters.letter import TRACE_BYTES_MAX, Letter

SUFFIX = "-dlq"
"""What the mirror of a topic is called; Spring's own is ``.DLT``."""

CONNECT = "__connect.errors."
SPRING = "kafka_dlt-"
OURS = "goldseam-"

REDRIVE_COUNT_MAX = 2**31 - 1

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OURS = tuple(
    OURS + name
    for name in ("dlq-reason", "attempts", "first-failed-at", "last-failed-at", "redrive-count")
)
_STAGES = {"schema": "VALUE_CONVERTER"}


class Origin(NamedTuple):
    """What the headers of a dead letter topic say: ours, Spring's or Connect's.

    ``topic`` is empty where they do not say where the record came from, ``reason`` where the
    letter is not one of ours.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    reason: str
    error_class: str
    error: str
    trace: str
    attempts: int
    redrive_count: int


def mirrored(letter: Letter, suffix: str = SUFFIX) -> Record:
    """The record for ``<topic><suffix>``: key, value, headers, time as they were, and why.

    What the original carried already stays in front: readers take a header's last value.
    """
    headers = letter.headers + _connect(letter) + _spring(letter) + _ours(letter)
    return Record(letter.topic + suffix, letter.key, letter.value, headers, letter.timestamp_ms)


def origin_of(received: Received) -> Origin:
    """Where a record of a dead letter topic came from, and why, in either family's words."""
    connect, spring = _Family(received, CONNECT), _Family(received, SPRING)
    ours = _Family(received, OURS)
    place = _spring_place(spring) or _connect_place(connect) or ("", 0, 0)
    timestamp = spring.number("original-timestamp", ">q")
    return Origin(
        *place,
        received.timestamp_ms if timestamp is None else timestamp,
        ours.text("dlq-reason"),
        spring.text("exception-fqcn") or connect.text("exception.class.name"),
        spring.text("exception-message") or connect.text("exception.message"),
        _capped(spring.text("exception-stacktrace") or connect.text("exception.stacktrace")),
        _count(ours.text("attempts")),
        _count(ours.text("redrive-count")),
    )


def original_headers(received: Received) -> Headers:
    """The headers without what dead letter queues have added."""
    added = (CONNECT, SPRING, *_OURS)
    return tuple(one for one in received.headers if not one[0].startswith(added))


class _Family:
    """The headers of one family, by the rest of their names."""

    def __init__(self, received: Received, prefix: str) -> None:
        cut = len(prefix)
        self._values = {name[cut:]: v for name, v in received.headers if name.startswith(prefix)}

    def text(self, name: str) -> str:
        return self._values.get(name, b"").decode("utf-8", "replace")

    def number(self, name: str, form: str) -> int | None:
        """A big-endian number; None when it is missing or of another length."""
        value = self._values.get(name)
        if value is None or len(value) != struct.calcsize(form):
            return None
        return int(struct.unpack(form, value)[0])


def _spring_place(spring: _Family) -> tuple[str, int, int] | None:
    topic = spring.text("original-topic")
    partition, offset = (
        spring.number("original-partition", ">i"),
        spring.number("original-offset", ">q"),
    )
    if not topic or partition is None or offset is None:
        return None
    return topic, partition, offset


def _connect_place(connect: _Family) -> tuple[str, int, int] | None:
    topic, partition, offset = (connect.text(name) for name in ("topic", "partition", "offset"))
    if not topic or not _is_number(partition) or not _is_number(offset):
        return None
    return topic, int(partition), int(offset)


def _connect(letter: Letter) -> Headers:
    texts = {
        "topic": letter.topic,
        "partition": str(letter.partition),
        "offset": str(letter.offset),
        "connector.name": letter.consumer,
        "task.id": str(letter.partition),
        "stage": _STAGES.get(letter.reason, "TASK_PUT"),
        "class.name": "goldseam.consumers",
    }
    if letter.error_class:
        texts["exception.class.name"] = letter.error_class
        texts["exception.message"] = letter.error
        texts["exception.stacktrace"] = _capped(letter.trace)
    return tuple((CONNECT + name, text.encode()) for name, text in texts.items())


def _spring(letter: Letter) -> Headers:
    values = {
        "original-topic": letter.topic.encode(),
        "original-partition": struct.pack(">i", letter.partition),
        "original-offset": struct.pack(">q", letter.offset),
        "original-timestamp": struct.pack(">q", letter.timestamp_ms),
        "original-timestamp-type": b"CreateTime",
        "original-consumer-group": letter.consumer.encode(),
    }
    if letter.error_class:
        values["exception-fqcn"] = letter.error_class.encode()
        values["exception-cause-fqcn"] = letter.error_class.encode()
        values["exception-message"] = letter.error.encode()
        values["exception-stacktrace"] = _capped(letter.trace).encode()
    return tuple((SPRING + name, value) for name, value in values.items())


def _ours(letter: Letter) -> Headers:
    texts = {
        "dlq-reason": letter.reason,
        "attempts": str(letter.attempts),
        "first-failed-at": _time(letter.first_failed_us),
        "last-failed-at": _time(letter.last_failed_us),
        "redrive-count": str(letter.redrive_count),
    }
    return tuple((OURS + name, text.encode()) for name, text in texts.items())


def _capped(trace: str) -> str:
    """The innermost end of a trace."""
    return trace.encode()[-TRACE_BYTES_MAX:].decode("utf-8", "ignore")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(2**63))


def _count(text: str) -> int:
    return min(int(text), REDRIVE_COUNT_MAX) if _is_number(text) else 0


def _time(us: int) -> str:
    return (_EPOCH + timedelta(microseconds=us)).isoformat(timespec="microseconds")
