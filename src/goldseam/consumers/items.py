"""A record on its way through a consumer: what is in it, or why that cannot be known."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from goldseam.broker.record import Received
from goldseam.events.event import Recorded


class Item(msgspec.Struct):
    """One record. ``events`` is what it is read as today: none where nobody wants it.

    ``key`` is the stream with its tenant; ``sequence`` what stops when it fails. ``error`` says
    why it cannot be read; ``version`` is 0 when the sender is no event store.
    """

    record: Received
    event_id: str
    type: str
    key: str
    version: int
    sequence: str
    events: tuple[Recorded[Any], ...] = ()
    error: Exception | None = None
    wanted: bool = True

    @property
    def offset(self) -> int:
        """Its offset in the partition."""
        return self.record.offset


def id_text(id_bytes: bytes) -> str:
    """An event id as every tool writes it."""
    return str(UUID(bytes=id_bytes))
