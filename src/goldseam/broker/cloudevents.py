"""Facts as CloudEvents 1.0 on a topic: out in binary mode, in from binary and structured mode.

The value is what the log stores: personal fields stay sealed and old versions stay old; who
reads opens and upcasts. The attributes travel as headers ``ce_...``; see
docs/reference/cloudevents-on-kafka.md.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from goldseam.broker.record import Headers, Received, Record
from goldseam.errors import InvalidInput
from goldseam.events.event import Metadata, RawEvent, decode_metadata, encode_metadata

JSON = b"application/json"
STRUCTURED = "application/cloudevents"
SCHEMA_ID_HEADER = "__value_schema_id"
"""Confluent's header mode: the byte 1 and the 16 bytes of the schema's GUID."""

SEQUENCE_DIGITS = 20
"""``sequence`` is compared as a text, so positions are padded to their longest."""

MAIN_TENANT = "main"
EXTRA_HEADER = "goldseam-extra"
"""The small texts of the application, as one JSON object: not every name fits an attribute."""

_NO_METADATA = b"{}"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CONTENT_TYPE = ("content-type", JSON)
_SPECVERSION = ("ce_specversion", b"1.0")
_ATTRIBUTES = ("correlation", "causation", "actor", "traceparent")
_NAMES = {
    "correlation": "correlationid",
    "causation": "causationid",
    "actor": "actor",
    "traceparent": "traceparent",
}


class NotAnEvent(InvalidInput):
    """A record is no CloudEvent that goldseam can read. From the guide, "Poison Message"."""

    failure = "consumer/poison-message"

    def __init__(self, received: Received, what: str) -> None:
        self.reason = what
        super().__init__(
            f"record {received.topic}/{received.partition} at offset {received.offset} is no "
            f"CloudEvent: {what}"
        )


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """What a record says about the event in it.

    ``position`` and ``version`` are 0 when the sender is no event store. ``id_bytes`` is the
    sender's UUID, or one made of source and id: the same on every delivery.
    """

    id_bytes: bytes
    source: str
    type: str
    type_version: int
    stream: str
    version: int
    position: int
    tenant: str
    recorded_us: int
    metadata_bytes: bytes
    payload: bytes


def record_of(event: RawEvent, topic: str, source: str, schema_id: bytes | None = None) -> Record:
    """``event`` as a record of ``topic``, keyed by its stream.

    Args:
        source: a URI reference that names the store for ever; with the id it is the dedup key.
        schema_id: the schema's GUID (16 bytes), written as Confluent's header mode does.
    """
    kind, schema = _type_headers(event.type, event.type_version, source)
    stream, tenant = event.stream.encode(), event.tenant
    time = _time(event.recorded_us)
    headers: Headers = (
        _CONTENT_TYPE,
        _SPECVERSION,
        ("ce_id", _uuid_text(event.id_bytes)),
        ("ce_source", source.encode()),
        kind,
        ("ce_subject", stream),
        ("ce_time", time),
        ("ce_recordedtime", time),
        schema,
        ("ce_partitionkey", stream),
        ("ce_sequence", b"%020d" % event.position),
        ("ce_streamversion", b"%d" % event.version),
        ("ce_tenant", tenant.encode()),
    )
    if event.metadata_bytes != _NO_METADATA:
        headers += _metadata_headers(event.metadata_bytes)
    if schema_id is not None:
        headers += ((SCHEMA_ID_HEADER, b"\x01" + schema_id),)
    key = stream if tenant == MAIN_TENANT else f"{tenant}/{event.stream}".encode()
    return Record(topic, key, event.payload, headers, event.recorded_us // 1000)


def envelope_of(received: Received) -> Envelope:
    """The event in a record, in either mode of the Kafka binding.

    Raises:
        NotAnEvent: an attribute is missing or malformed.
    """
    headers = dict(received.headers)
    content_type = headers.get("content-type", b"")
    try:
        if content_type[: len(STRUCTURED)].decode().lower() == STRUCTURED:
            return _structured(received)
        return _binary(received, headers)
    except NotAnEvent:
        raise
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        what = f"{type(error).__name__} in its attributes"
        raise NotAnEvent(received, what) from None


def _binary(received: Received, headers: dict[str, bytes]) -> Envelope:
    needed = ("ce_specversion", "ce_id", "ce_source", "ce_type")
    for name in needed:
        if not headers.get(name):
            raise NotAnEvent(received, f"the header {name} is missing")
    if received.value is None:
        raise NotAnEvent(received, "it has no value")
    texts = {name[3:]: value.decode() for name, value in headers.items() if name.startswith("ce_")}
    extra = headers.get(EXTRA_HEADER)
    return _envelope(received, texts, received.value, extra)


def _structured(received: Received) -> Envelope:
    if received.value is None:
        raise NotAnEvent(received, "it has no value")
    try:
        whole = msgspec.json.decode(received.value, type=dict[str, msgspec.Raw])
    except msgspec.MsgspecError:
        raise NotAnEvent(received, "its JSON is malformed") from None
    data, coded = whole.pop("data", None), whole.pop("data_base64", None)
    if coded is not None:
        data = msgspec.Raw(base64.b64decode(msgspec.json.decode(coded, type=str), validate=True))
    if data is None:
        raise NotAnEvent(received, "it has no data")
    texts = {name: _text(msgspec.json.decode(value)) for name, value in whole.items()}
    for name in ("specversion", "id", "source", "type"):
        if not texts.get(name):
            raise NotAnEvent(received, f"the attribute {name} is missing")
    return _envelope(received, texts, bytes(data), None)


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value)


def _envelope(
    received: Received, texts: dict[str, str], payload: bytes, extra: bytes | None
) -> Envelope:
    if texts["specversion"] != "1.0":
        raise NotAnEvent(received, "its specversion is not 1.0")
    source = texts["source"]
    key = (received.key or b"").decode()
    return Envelope(
        _id_bytes(source, texts["id"]),
        source,
        texts["type"],
        _type_version(texts.get("dataschema", "")),
        texts.get("subject") or texts.get("partitionkey") or key,
        _count(texts.get("streamversion", "0")),
        _count(texts.get("sequence", "0")),
        texts.get("tenant", MAIN_TENANT),
        _recorded_us(texts.get("recordedtime") or texts.get("time"), received),
        _metadata_bytes(texts, extra),
        payload,
    )


def _id_bytes(source: str, id_: str) -> bytes:
    try:
        return UUID(id_).bytes
    except ValueError:
        return uuid5(NAMESPACE_URL, f"{source}\n{id_}").bytes


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError("negative")
    return number


def _type_version(schema: str) -> int:
    last = schema.rpartition("/")[2]
    return int(last) if last.isascii() and last.isdigit() and int(last) > 0 else 1


def _recorded_us(text: str | None, received: Received) -> int:
    if text is None:
        return received.timestamp_ms * 1000
    moment = datetime.fromisoformat(text)
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _metadata_bytes(texts: dict[str, str], extra: bytes | None) -> bytes:
    found: dict[str, Any] = {
        name: texts[_NAMES[name]] for name in _ATTRIBUTES if _NAMES[name] in texts
    }
    if extra is not None:
        found["extra"] = msgspec.json.decode(extra, type=dict[str, str])
    return encode_metadata(Metadata(**found)) if found else _NO_METADATA


def _metadata_headers(metadata_bytes: bytes) -> Headers:
    metadata = decode_metadata(metadata_bytes)
    said = [(name, getattr(metadata, name)) for name in _ATTRIBUTES]
    headers = tuple((f"ce_{_NAMES[name]}", v.encode()) for name, v in said if v is not None)
    if metadata.extra:
        headers += ((EXTRA_HEADER, msgspec.json.encode(metadata.extra)),)
    return headers


@lru_cache(maxsize=4096)
def _type_headers(
    name: str, version: int, source: str
) -> tuple[tuple[str, bytes], tuple[str, bytes]]:
    schema = f"{source}/schemas/{name}/{version}"
    return ("ce_type", name.encode()), ("ce_dataschema", schema.encode())


def _uuid_text(id_bytes: bytes) -> bytes:
    text = id_bytes.hex().encode()
    return b"-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


@lru_cache(maxsize=64)
def _second(seconds: int) -> bytes:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S").encode()


def _time(us: int) -> bytes:
    seconds, rest = divmod(us, 1_000_000)
    return b"%s.%06dZ" % (_second(seconds), rest)
