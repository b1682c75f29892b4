"""An event before it is stored, and the same event as the log recorded it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

E = TypeVar("E", covariant=True)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Metadata(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Who and what caused an event. Never put personal data in here: it is not encrypted.

    ``traceparent`` is the W3C trace context; ``extra`` is for small texts of your own.
    """

    correlation: str | None = None
    causation: str | None = None
    actor: str | None = None
    traceparent: str | None = None
    extra: dict[str, str] = {}


NO_METADATA = Metadata()
_metadata_encoder = msgspec.json.Encoder()
_metadata_decoder = msgspec.json.Decoder(Metadata)
_NO_METADATA_BYTES = b"{}"


def encode_metadata(metadata: Metadata) -> bytes:
    """The stored form of ``metadata``."""
    return _NO_METADATA_BYTES if metadata is NO_METADATA else _metadata_encoder.encode(metadata)


def decode_metadata(metadata: bytes) -> Metadata:
    """The metadata of its stored form."""
    return _metadata_decoder.decode(metadata)


class NewEvent(msgspec.Struct, frozen=True):
    """An event with an id or metadata of its own, to be appended.

    Give ``id`` (a UUID, best version 7) when a retry may come from another process:
    the store writes each id once.
    """

    data: Any
    id: UUID | None = None
    metadata: Metadata | None = None


class Recorded(msgspec.Struct, Generic[E], frozen=True, gc=False):
    """A fact as the log keeps it.

    ``position`` counts the whole store from 1 without holes; ``version`` counts its stream from 1.
    ``shredded`` names the fields whose subject is forgotten: they hold stand-ins of their type.
    """

    position: int
    stream: str
    version: int
    type: str
    type_version: int
    data: E
    tenant: str
    recorded_us: int
    id_bytes: bytes
    metadata_bytes: bytes
    shredded: tuple[str, ...] = ()

    @property
    def id(self) -> UUID:
        """The event's own id: the same on every retry and every delivery."""
        return UUID(bytes=self.id_bytes)

    @property
    def metadata(self) -> Metadata:
        """Correlation, causation, actor, trace."""
        return _metadata_decoder.decode(self.metadata_bytes)

    @property
    def recorded_at(self) -> datetime:
        """When the store took the event (UTC)."""
        return _EPOCH + timedelta(microseconds=self.recorded_us)

    def caused(self, *, actor: str | None = None) -> Metadata:
        """Metadata for what follows from this event: same correlation, this event as the cause."""
        mine = self.metadata
        return Metadata(
            correlation=mine.correlation or str(self.id),
            causation=str(self.id),
            actor=actor or mine.actor,
            traceparent=mine.traceparent,
        )


class RawEvent(msgspec.Struct, frozen=True, gc=False):
    """One event as it is stored: neither upcast nor opened."""

    position: int
    tenant: str
    stream: str
    version: int
    type: str
    type_version: int
    payload: bytes
    recorded_us: int
    id_bytes: bytes
    metadata_bytes: bytes
