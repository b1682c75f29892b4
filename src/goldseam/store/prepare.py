"""From a caller's events to an append ready to travel: encoded, checked, linked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from uuid import UUID

from goldseam.errors import EventTooLarge, InvalidEvent, InvalidInput, InvalidName, KeysMissing
from goldseam.events.checksum import (
    StreamSeeds,
    content_checksum,
    content_digest,
    link,
    place_bytes,
)
from goldseam.events.event import NO_METADATA, Metadata, NewEvent, encode_metadata
from goldseam.events.names import KEY_LENGTH_MAX, checked_name
from goldseam.events.personal import SEAL
from goldseam.events.registry import EventType, Registry
from goldseam.leadership.fencing import Fence
from goldseam.resilience.clock import Clock, IdFactory
from goldseam.store.batch import Append, StoredEvent, StreamWrite
from goldseam.store.expected import ExpectedVersion, checked_expected
from goldseam.store.sealing import Sealing
from goldseam.telemetry.signals import signals

EVENT_BYTES_MAX = 1_048_576
"""Largest payload of one event unless the store says otherwise: an event is a fact, not a file."""

EVENTS_PER_APPEND_MAX = 10_000
"""Most events of one append: keeps the store's lock short."""


_NO_ID = UUID(int=0)


class Preparer:
    """Turns the events of one tenant into appends.

    Args:
        registry: names and codecs of the event classes.
        clock, new_id: where recorded times and event ids come from.
        tenant: whose streams these are.
        event_bytes_max: largest payload of one event, in bytes.
    """

    def __init__(
        self,
        registry: Registry,
        clock: Clock,
        new_id: IdFactory,
        tenant: str,
        event_bytes_max: int = EVENT_BYTES_MAX,
    ) -> None:
        self._registry, self._clock, self._new_id = registry, clock, new_id
        self._event_bytes_max = event_bytes_max
        self._seeds = StreamSeeds(tenant)
        self.tenant = tenant

    def append(
        self,
        writes: Sequence[tuple[str, ExpectedVersion, Sequence[object]]],
        *,
        key: str | None = None,
        fence: Fence | None = None,
        metadata: Metadata | None = None,
        fingerprint: bytes | None = None,
        sealing: Sealing | None = None,
    ) -> Append:
        """One append over one or several streams.

        ``fingerprint`` is what a second use of ``key`` is compared with; by default it is made
        from the streams, the expected versions and the events. ``sealing`` has the keys of all
        whom personal fields are about.

        Raises:
            InvalidInput: an event, a name or the number of events is not allowed.
        """
        metadata = metadata or NO_METADATA
        try:
            prepared = tuple(self._write(*write, metadata, sealing) for write in writes)
            size = _checked_size(prepared)
        except InvalidInput:
            signals.count("goldseam_rejected_events_total")
            raise
        if key is None:
            return Append(self.tenant, prepared, fence=fence, size=size)
        key = checked_name("idempotency key", key, KEY_LENGTH_MAX)
        if fingerprint is None:
            same = prepared if sealing is None else self._without_ids(writes, sealing)
            fingerprint = _fingerprint(same)
        return Append(self.tenant, prepared, key, fingerprint, fence, size)

    def _without_ids(
        self,
        writes: Sequence[tuple[str, ExpectedVersion, Sequence[object]]],
        sealing: Sealing,
    ) -> list[StreamWrite]:
        """The writes as they are compared: a sealed value differs with the event's id."""
        return [
            self._write(
                stream,
                expected,
                [NewEvent(e.data if type(e) is NewEvent else e, _NO_ID) for e in events],
                NO_METADATA,
                sealing,
            )
            for stream, expected, events in writes
        ]

    def _write(
        self,
        stream: str,
        expected: ExpectedVersion,
        events: Sequence[object],
        metadata: Metadata,
        sealing: Sealing | None,
    ) -> StreamWrite:
        encode = self._encoder(checked_name("stream", stream), metadata, sealing)
        previous, stored = b"", []
        for event in events:
            one = encode(event, previous)
            previous = one.link
            stored.append(one)
        return StreamWrite(stream, checked_expected(expected), tuple(stored))

    def _encoder(
        self, stream: str, metadata: Metadata, sealing: Sealing | None
    ) -> Callable[[object, bytes], StoredEvent]:
        tenant, seed, now_us = self.tenant, self._seeds[stream], self._clock.now_us()
        shared = encode_metadata(metadata)

        def encode(event: object, previous: bytes) -> StoredEvent:
            event_id, meta = None, shared
            if type(event) is NewEvent:
                event_id = None if event.id is None else event.id.bytes
                meta = shared if event.metadata is None else encode_metadata(event.metadata)
                event = event.data
            event_type = self._registry.of(event)
            payload = event_type.encode(event)
            event_id = event_id or self._new_id()
            if event_type.personal or SEAL in payload:
                payload = _sealed(sealing, event_type, payload, event_id)
            if len(payload) + len(meta) > self._event_bytes_max:
                size = len(payload) + len(meta)
                raise EventTooLarge(event_type.name, size, self._event_bytes_max)
            name, version = event_type.name, event_type.version
            place = place_bytes(tenant, stream, name, version)
            digest = content_digest(place, event_id, now_us, meta, payload)
            checksum = content_checksum(seed, event_type.seed, event_id, now_us, meta, payload)
            return StoredEvent(
                event_id, name, version, now_us, meta, payload, checksum, link(previous, digest)
            )

        return encode


def _sealed(
    sealing: Sealing | None, event_type: EventType, payload: bytes, event_id: bytes
) -> bytes:
    if SEAL in payload:
        reason = f"it has a key {SEAL.decode()}, which means an encrypted value"
        raise InvalidEvent(event_type.name, reason)
    if sealing is None:
        raise KeysMissing(event_type.name)
    return sealing.seal(event_type, payload, event_id)


def _checked_size(writes: Sequence[StreamWrite]) -> int:
    """How many events there are, if that and their streams are allowed."""
    sizes = [len(write.events) for write in writes]
    size = sum(sizes)
    if not size or 0 in sizes:
        raise InvalidName("append", size, "each stream needs at least one event")
    if size > EVENTS_PER_APPEND_MAX:
        raise InvalidName("append", size, f"it has more than {EVENTS_PER_APPEND_MAX} events")
    if len(writes) > 1 and len({write.stream for write in writes}) != len(writes):
        raise InvalidName("append", size, "it names one stream twice; put its events together")
    return size


def _fingerprint(writes: Iterable[StreamWrite]) -> bytes:
    """What makes two appends under one key the same: streams, types and payloads."""
    digest = sha256()
    for write in writes:
        digest.update(f"{write.stream}\0{write.expected}\0{len(write.events)}\0".encode())
        for event in write.events:
            head = f"{event.type}\0{event.type_version}\0{len(event.payload)}\0"
            digest.update(head.encode() + event.payload)
    return digest.digest()
