"""Letters that a person brings: a record that stops its consumer, or dead letters of others."""

from __future__ import annotations

from collections.abc import Sequence

from goldseam.broker.cloudevents import MAIN_TENANT, NotAnEvent, envelope_of
from goldseam.broker.port import Admin
from goldseam.broker.record import Partition, Received
from goldseam.consumers.dead_letters import actions
from goldseam.consumers.dead_letters.actions import Order
from goldseam.consumers.dead_letters.errors import NothingThere
from goldseam.consumers.dead_letters.headers import origin_of, original_headers
from goldseam.consumers.dead_letters.letter import Letter, Reason, letter_from
from goldseam.consumers.dead_letters.store import park, sql
from goldseam.consumers.items import id_text
from goldseam.database.connection import Connection

BY_HAND = "ParkedByHand"
"""The error class of what a person parked; why is in the audit."""

_REASONS: dict[str, Reason] = {
    "schema": "schema",
    "retries-exhausted": "retries-exhausted",
    "fenced": "fenced",
}


async def record_at(admin: Admin, topic: str, partition: int, offset: int) -> Received:
    """The record at this place.

    Raises:
        NothingThere: it expired, or never was.
    """
    found = await admin.read(Partition(topic, partition), offset, 1)
    if not found or found[0].offset != offset:
        raise NothingThere(topic, partition, offset)
    return found[0]


async def park_by_hand(
    connection: Connection,
    consumer: str,
    received: Received,
    order: Order,
    sequence: str | None = None,
) -> Letter:
    """Park ``received`` before its consumer can handle it: its sequence stops, the rest flows.

    ``sequence`` is needed where the consumer has its own; else it is the stream. Parking what
    waits already changes nothing but the audit.
    """
    own, event_id, kind = described(received)
    letter = Letter(
        consumer=consumer,
        sequence=sequence or own,
        topic=received.topic,
        partition=received.partition,
        offset=received.offset,
        key=received.key,
        value=received.value,
        headers=received.headers,
        timestamp_ms=received.timestamp_ms,
        event_id=event_id,
        type=kind,
        reason="poison",
        error_class=BY_HAND,
        error="parked by hand",
        trace="",
        attempts=0,
        first_failed_us=order.now_us,
        last_failed_us=order.now_us,
    )
    return (await _kept(connection, consumer, [letter], order, "park"))[0]


async def take_in(
    connection: Connection, consumer: str, records: Sequence[Received], order: Order
) -> list[Letter]:
    """Make letters of ``consumer`` of records from a dead letter topic of Connect, Spring or ours.

    They get the place, headers and time that the records had originally; where nothing says it,
    those in the dead letter topic. Taking in twice is taking in once.
    """
    letters = [_letter(consumer, received, order.now_us) for received in records]
    return await _kept(connection, consumer, letters, order, "import")


def described(received: Received) -> tuple[str, str, str]:
    """Sequence, event id and type of ``received``: its stream, or its key when it is no event."""
    try:
        envelope = envelope_of(received)
    except NotAnEvent:
        key = (received.key or b"").decode("utf-8", "replace")
        said = (received.header("ce_id") or b"").decode("ascii", "replace")
        kind = (received.header("ce_type") or b"").decode("utf-8", "replace")
        return key or f"{received.topic}/{received.partition}", said, kind
    tenant, stream = envelope.tenant, envelope.stream
    sequence = stream if tenant == MAIN_TENANT else f"{tenant}/{stream}"
    return sequence, id_text(envelope.id_bytes), envelope.type


def _letter(consumer: str, received: Received, now_us: int) -> Letter:
    origin = origin_of(received)
    known = bool(origin.topic)
    original = Received(
        origin.topic if known else received.topic,
        origin.partition if known else received.partition,
        origin.offset if known else received.offset,
        received.key,
        received.value,
        original_headers(received),
        origin.timestamp_ms,
    )
    sequence, event_id, kind = described(original)
    return Letter(
        consumer=consumer,
        sequence=sequence,
        topic=original.topic,
        partition=original.partition,
        offset=original.offset,
        key=original.key,
        value=original.value,
        headers=original.headers,
        timestamp_ms=original.timestamp_ms,
        event_id=event_id,
        type=kind,
        reason=_REASONS.get(origin.reason, "poison"),
        error_class=origin.error_class or "Imported",
        error=origin.error if origin.reason else "",  # others may have put values into theirs
        trace=origin.trace,
        attempts=origin.attempts,
        first_failed_us=now_us,
        last_failed_us=now_us,
        redrive_count=origin.redrive_count,
    )


async def _kept(
    connection: Connection,
    consumer: str,
    letters: Sequence[Letter],
    order: Order,
    what: actions.What,
) -> list[Letter]:
    await park(connection, letters)
    kept = []
    for letter in letters:
        named = {
            "consumer": consumer,
            "topic": letter.topic,
            "partition": letter.partition,
            "record_offset": letter.offset,
        }
        rows = await connection.fetch(sql(connection, "letter_at"), named)
        kept.append(letter_from(rows[0]))
    await actions.record(connection, consumer, what, order, [letter.id for letter in kept])
    return kept
