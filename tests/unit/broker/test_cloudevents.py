"""Facts travel as CloudEvents that others read, and come back as what was stored."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

import msgspec
import pytest
from cloudevents.core.bindings import kafka
from cloudevents.core.bindings.kafka import KafkaMessage
from hypothesis import given
from hypothesis import strategies as st

from goldseam.broker.cloudevents import NotAnEvent, envelope_of, record_of
from goldseam.broker.record import Headers, Received, Record
from goldseam.events.event import Metadata, RawEvent, encode_metadata

ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057").bytes
SOURCE = "/goldseam/bank"
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1)


def stored(
    *,
    stream: str = "account-1",
    tenant: str = "main",
    metadata: Metadata | None = None,
    payload: bytes = b'{"amount":50}',
) -> RawEvent:
    meta = b"{}" if metadata is None else encode_metadata(metadata)
    return RawEvent(
        12345, tenant, stream, 7, "DepositApplied", 3, payload, 1_700_000_000_123_456, ID, meta
    )


def received(record: Record) -> Received:
    stamp = record.timestamp_ms or 0
    return Received(record.topic, 2, 99, record.key, record.value, record.headers, stamp)


@given(
    st.builds(
        stored,
        stream=NAMES,
        tenant=NAMES,
        metadata=st.none()
        | st.builds(
            Metadata,
            correlation=st.none() | NAMES,
            causation=st.none() | NAMES,
            actor=st.none() | NAMES,
            traceparent=st.none() | NAMES,
            extra=st.dictionaries(NAMES, st.text()),
        ),
        payload=st.binary(),
    )
)
def test_an_event_comes_back_as_it_was_stored(event: RawEvent) -> None:
    """Every field of a stored event survives its way over a topic, bytes included."""
    envelope = envelope_of(received(record_of(event, "accounts", SOURCE)))
    said = {name: getattr(event, name) for name in event.__struct_fields__}
    assert said == {name: getattr(envelope, name) for name in event.__struct_fields__}
    assert envelope.source == SOURCE


def test_the_cloudevents_sdk_reads_our_records() -> None:
    """The reference implementation finds the same attributes in our headers."""
    metadata = Metadata(correlation="c-1", causation="c-0", actor="ann", traceparent="00-1-2-01")
    record = record_of(stored(metadata=metadata), "accounts", SOURCE)
    message = KafkaMessage(headers=dict(record.headers), key=record.key, value=record.value or b"")
    event = kafka.from_binary_event(message)
    assert event.get_id() == str(UUID(bytes=ID))
    assert event.get_source() == SOURCE
    assert event.get_type() == "DepositApplied"
    assert event.get_subject() == "account-1"
    assert event.get_data() == {"amount": 50}
    assert event.get_datacontenttype() == "application/json"
    assert event.get_dataschema() == "/goldseam/bank/schemas/DepositApplied/3"
    assert event.get_extension("streamversion") == "7"
    assert event.get_extension("sequence") == "00000000000000012345"
    assert event.get_extension("correlationid") == "c-1"
    time = event.get_time()
    assert time is not None
    assert time.timestamp() == 1_700_000_000.123456


def test_we_read_what_the_sdk_writes_in_structured_mode() -> None:
    """An event in structured mode is the same fact as in binary mode."""
    ours = record_of(stored(metadata=Metadata(correlation="c-1")), "accounts", SOURCE)
    message = KafkaMessage(headers=dict(ours.headers), key=ours.key, value=ours.value or b"")
    structured = kafka.to_structured_event(kafka.from_binary_event(message))
    headers: Headers = tuple((k, v) for k, v in structured.headers.items())
    key = structured.key.encode() if isinstance(structured.key, str) else structured.key
    theirs = envelope_of(Received("accounts", 0, 0, key, structured.value, headers, 0))
    mine = envelope_of(received(ours))
    assert {"amount": 50} == msgspec.json.decode(theirs.payload)
    for name in ("id_bytes", "source", "type", "type_version", "stream", "version", "position"):
        assert getattr(mine, name) == getattr(theirs, name)
    assert mine.metadata_bytes == theirs.metadata_bytes


def test_an_event_of_another_sender_has_an_id_that_stays() -> None:
    """An id that is no UUID becomes one of source and id: the same on every delivery."""
    headers: Headers = (
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", b"order 7"),
        ("ce_source", b"urn:shop"),
        ("ce_type", b"OrderPlaced"),
    )
    one = envelope_of(Received("orders", 0, 1, b"order-7", b"{}", headers, 5))
    again = envelope_of(Received("orders", 3, 8, b"order-7", b"{}", headers, 9))
    elsewhere = tuple((k, b"urn:other" if k == "ce_source" else v) for k, v in headers)
    other = envelope_of(Received("orders", 0, 1, b"order-7", b"{}", elsewhere, 5))
    assert one.id_bytes == again.id_bytes
    assert one.id_bytes != other.id_bytes
    assert (one.stream, one.version, one.position, one.tenant) == ("order-7", 0, 0, "main")
    assert one.recorded_us == 5_000


@pytest.mark.parametrize("name", ["ce_specversion", "ce_id", "ce_source", "ce_type"])
def test_a_record_without_a_needed_attribute_is_refused(name: str) -> None:
    """The error names the place and the attribute, and nothing of the content."""
    record = record_of(stored(), "accounts", SOURCE)
    poor = Record(
        record.topic, record.key, record.value, tuple(h for h in record.headers if h[0] != name)
    )
    with pytest.raises(NotAnEvent, match=f"accounts/2 at offset 99 .* {name} is missing") as caught:
        envelope_of(received(poor))
    assert "50" not in str(caught.value)


@given(
    st.none() | st.binary(max_size=200),
    st.lists(
        st.tuples(
            st.sampled_from(["content-type", "ce_id", "ce_time", "ce_sequence", "ce_specversion"])
            | st.text(max_size=8),
            st.binary(max_size=60) | st.sampled_from([b"1.0", b"application/cloudevents+json"]),
        ),
        max_size=8,
    ),
)
def test_hostile_records_are_refused_and_nothing_else(
    value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    """Whatever stands in a topic is an event or a NotAnEvent, never another error."""
    with suppress(NotAnEvent):
        assert (
            len(envelope_of(Received("t", 0, 0, b"\xff", value, tuple(headers), 0)).id_bytes) == 16
        )


def test_a_schema_id_travels_in_confluents_header() -> None:
    """Header mode: the byte 1 and the GUID; the payload is untouched."""
    guid = UUID("7f2a1c3e-0000-4000-8000-000000000001").bytes
    record = record_of(stored(), "accounts", SOURCE, guid)
    assert (b"\x01" + guid) == dict(record.headers)["__value_schema_id"]
    assert record.value == b'{"amount":50}'
