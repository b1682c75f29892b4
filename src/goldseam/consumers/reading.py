"""From records to typed events: CloudEvents taken apart, upcast, and opened where sealed.

What cannot be read is no reason to stop: the item says why, and becomes a dead letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from goldseam.broker.cloudevents import Envelope, NotAnEvent, envelope_of
from goldseam.broker.record import Received
from goldseam.consumers.consumer import Consumer
from goldseam.consumers.items import Item, id_text
from goldseam.consumers.modes import EffectivelyOnce, Watermark
from goldseam.consumers.usual import Usual, usual
from goldseam.errors import (
    Corrupt,
    InvalidName,
    KeysMissing,
    UnknownEventType,
    UnreadableEvent,
)
from goldseam.events.checksum import content_checksum, placed_checksum, stream_seed
from goldseam.events.event import Recorded
from goldseam.events.names import DEFAULT_TENANT
from goldseam.events.personal import SEAL
from goldseam.events.registry import Registry, Untyped, type_seed
from goldseam.store.decode import VERSION, Decoder, sealed_payloads, sealed_type
from goldseam.store.sealing import Sealer

TENANTS_MAX = 1_000
"""Decoders kept, one for each tenant; beyond it they are made anew."""

NO_METADATA = b"{}"


class ReadAs:
    """Reads records for one consumer.

    Args:
        sealer: opens personal fields; None where there are no keys.
    """

    def __init__(self, consumer: Consumer, registry: Registry, sealer: Sealer | None) -> None:
        self._consumer, self._registry, self._sealer = consumer, registry, sealer
        self._types, self._kinds = registry.by_name, consumer.wanted
        self._names = consumer.names_in(registry)
        self._mapped = {name for name, _ in registry.upcasters}
        self._decoders: dict[str, Decoder] = {}
        own = type(consumer).sequence_of
        self._by_stream = own is Consumer.sequence_of
        mode = consumer.mode
        self._counts_all = isinstance(mode, EffectivelyOnce) and isinstance(mode.dedup, Watermark)

    async def items(self, records: Sequence[Received]) -> list[Item]:
        """One item for each record, in order.

        Raises:
            KeysMissing: an event has personal fields and there are no keys to open them.
            KeyStoreUnavailable: the keys cannot be reached; try again.
        """
        return [self._item(record) or await self._special(record) for record in records]

    def _item(self, record: Received) -> Item | None:
        """The quick way: an event of today whose bytes are what its class takes."""
        found = usual(record)
        if found is not None and (item := self._usual(record, found)) is not None:
            return item
        try:
            envelope = envelope_of(record)
        except NotAnEvent as error:
            return _unreadable(record, error)
        name = envelope.type
        if self._names and name not in self._names and name not in self._mapped:
            return self._made(record, envelope, ())
        kind = self._types.get((name, envelope.type_version))
        if kind is None or not kind.plain or SEAL in envelope.payload:
            return None
        try:
            data = kind.decode(envelope.payload)
        except ValueError:
            return None
        return self._made(record, envelope, (_recorded(envelope, data),))

    def _usual(self, record: Received, found: Usual) -> Item | None:
        """The hottest loop of a consumer: keep it flat."""
        event_id, id_, name, type_version, stream, version, position, us, payload = found
        if self._names and name not in self._names and name not in self._mapped:
            every = self._counts_all
            return Item(record, event_id, name, stream, version, stream, (), None, every)
        kind = self._types.get((name, type_version))
        if kind is None or not kind.plain or kind.kind not in self._kinds or SEAL in payload:
            return None
        try:
            data = kind.decode(payload)
        except ValueError:
            return None
        event = Recorded(
            position,
            stream,
            version,
            name,
            type_version,
            data,
            DEFAULT_TENANT,
            us,
            id_,
            NO_METADATA,
        )
        sequence = stream if self._by_stream else self._consumer.sequence_of(event)
        return Item(record, event_id, name, stream, version, sequence, (event,))

    async def _special(self, record: Received) -> Item:
        """What must be opened or upcast first, or is of no known class."""
        envelope = envelope_of(record)
        try:
            events = await self._events(envelope)
            self._refuse_unreadable(events)
        except (Corrupt, InvalidName, UnknownEventType, UnreadableEvent, ValueError) as error:
            item = self._made(record, envelope, ())
            item.error, item.wanted = error, True
            return item
        return self._made(record, envelope, tuple(events))

    async def _events(self, envelope: Envelope) -> Sequence[Recorded[Any]]:
        decoder = self._decoder(envelope.tenant)
        page = decoder.page([_row(envelope)], VERSION, 1)
        if page.sealed:
            if self._sealer is None:
                raise KeysMissing(sealed_type(page))
            opened = await self._sealer.open(envelope.tenant, sealed_payloads(page))
            page = decoder.opened(page, opened)
        return page

    def _decoder(self, tenant: str) -> Decoder:
        found = self._decoders.get(tenant)
        if found is None:
            if len(self._decoders) >= TENANTS_MAX:
                self._decoders.clear()
            found = self._decoders[tenant] = Decoder(self._registry, tenant, tolerant=True)
        return found

    def _refuse_unreadable(self, events: Sequence[Recorded[Any]]) -> None:
        """An event of a wanted name that cannot be read is held, not passed over."""
        for event in events:
            if type(event.data) is Untyped:
                if event.data.unreadable:
                    raise UnreadableEvent(event.type, event.type_version, event.data.unreadable)
                if event.type in self._names:
                    raise UnknownEventType(event.type, event.type_version)

    def _made(
        self, record: Received, envelope: Envelope, events: tuple[Recorded[Any], ...]
    ) -> Item:
        kinds = self._kinds
        if kinds and events:
            events = tuple(event for event in events if type(event.data) in kinds)
        tenant, stream = envelope.tenant, envelope.stream
        key = stream if tenant == DEFAULT_TENANT else f"{tenant}/{stream}"
        sequence = key if self._by_stream or not events else self._consumer.sequence_of(events[0])
        wanted = bool(events) or self._counts_all
        return Item(
            record, id_text(envelope.id_bytes), envelope.type, key, envelope.version, sequence,
            events, None, wanted,
        )  # fmt: skip


def _recorded(one: Envelope, data: object) -> Recorded[Any]:
    return Recorded(
        one.position, one.stream, one.version, one.type, one.type_version, data, one.tenant,
        one.recorded_us, one.id_bytes, one.metadata_bytes,
    )  # fmt: skip


def _row(one: Envelope) -> tuple[Any, ...]:
    """The event as the log's decoder takes it; its checksum is made here, Kafka has its own."""
    content = content_checksum(
        stream_seed(one.tenant, one.stream), type_seed(one.type, one.type_version),
        one.id_bytes, one.recorded_us, one.metadata_bytes, one.payload,
    )  # fmt: skip
    return (
        one.position, one.stream, one.version, one.type, one.type_version, one.payload,
        one.recorded_us, one.id_bytes, one.metadata_bytes,
        placed_checksum(content, one.version, one.position),
    )  # fmt: skip


def _unreadable(record: Received, error: NotAnEvent) -> Item:
    """Its key is the sequence, so that what came after it for the same key waits."""
    key = (record.key or b"").decode("utf-8", "replace")
    sequence = key or f"{record.topic}/{record.partition}"
    said = (record.header("ce_id") or b"").decode("ascii", "replace")
    kind = (record.header("ce_type") or b"").decode("utf-8", "replace")
    return Item(record, said, kind, sequence, 0, sequence, (), error)
