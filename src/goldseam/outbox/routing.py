"""Which topic an event goes to, and which shard relays it."""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_letters, digits
from zlib import crc32

from goldseam.events.event import RawEvent
from goldseam.events.names import category_of

_ALLOWED = frozenset(ascii_letters + digits + "._-")

Routing = Callable[[RawEvent], str | None]
"""The topic of an event; None keeps it inside."""


def by_category(prefix: str = "") -> Routing:
    """Streams ``account-...`` go to the topic ``<prefix>account``, all events of a stream to one.

    Characters that a topic's name cannot have become underscores.
    """

    def topic(event: RawEvent) -> str:
        return prefix + topic_name(category_of(event.stream))

    return topic


def to_topic(name: str) -> Routing:
    """Everything goes to one topic."""
    return lambda _: name


def topic_name(text: str) -> str:
    """``text`` as a name that Kafka accepts."""
    return "".join(
        one if one.isascii() and (one.isalnum() or one in "._-") else "_" for one in text
    )


def shard_of(stream: str, shards: int) -> int:
    """The shard that relays ``stream``: always the same while their number stays."""
    return crc32(stream.encode()) % shards if shards > 1 else 0
