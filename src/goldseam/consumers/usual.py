"""The records that goldseam's own relay writes, taken apart without looking at every header.

Their headers come in one order; whatever looks different takes the thorough way.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from goldseam.broker.cloudevents import MAIN_TENANT
from goldseam.broker.record import Received

USUAL_HEADERS = (
    "content-type",
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_subject",
    "ce_time",
    "ce_recordedtime",
    "ce_dataschema",
    "ce_partitionkey",
    "ce_sequence",
    "ce_streamversion",
    "ce_tenant",
)

_COUNT = len(USUAL_HEADERS)
_ID_LENGTH, _TIME_LENGTH, _SECONDS_LENGTH = 36, 27, 19
_MAIN = MAIN_TENANT.encode()


class Usual(NamedTuple):
    """What a record says about its event; ``payload`` is its value."""

    event_id: str
    id_bytes: bytes
    type: str
    type_version: int
    stream: str
    version: int
    position: int
    recorded_us: int
    payload: bytes


def usual(record: Received) -> Usual | None:
    """What is in ``record``; None when it is not of the usual shape. The main tenant only."""
    headers, payload = record.headers, record.value
    if len(headers) != _COUNT or payload is None:
        return None
    names, values = zip(*headers, strict=True)
    if names != USUAL_HEADERS:
        return None
    json_, spec, id_, _, type_, stream, _, time, schema, _, position, version, tenant = values
    if (json_, spec, tenant) != (b"application/json", b"1.0", _MAIN) or id_ != id_.lower():
        return None
    if len(id_) != _ID_LENGTH or len(time) != _TIME_LENGTH or not stream:
        return None
    try:
        text = id_.decode()
        id_bytes = bytes.fromhex(text.replace("-", ""))
        name, type_version = _type(type_, schema)
        us = _second_us(time[:_SECONDS_LENGTH]) + int(time[_SECONDS_LENGTH + 1 : -1])
        return Usual(
            text, id_bytes, name, type_version, stream.decode(), int(version), int(position), us,
            payload,
        )  # fmt: skip
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=4_096)
def _type(name: bytes, schema: bytes) -> tuple[str, int]:
    """The type and its version, which is the end of its schema's URI.

    Raises:
        ValueError: the schema does not end in a version.
    """
    version = int(schema.rpartition(b"/")[2])
    if not name or version < 1:
        raise ValueError("no type or version")
    return name.decode(), version


@lru_cache(maxsize=1_024)
def _second_us(text: bytes) -> int:
    moment = datetime.fromisoformat(text.decode()).replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000
