"""What goes into a topic and what comes out of it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

Headers = tuple[tuple[str, bytes], ...]
"""Names may repeat; order is kept."""


class Partition(NamedTuple):
    """One ordered part of a topic."""

    topic: str
    number: int


class Record(msgspec.Struct, frozen=True, gc=False):
    """A message on its way to a topic.

    Records with the same ``key`` go to the same partition and keep their order. ``timestamp_ms``
    and ``partition`` are the broker's choice when None.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int | None = None
    partition: int | None = None


class Received(msgspec.Struct, frozen=True, gc=False):
    """A message as a topic holds it; ``offset`` grows within its partition."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int

    @property
    def place(self) -> Partition:
        """The partition it came from."""
        return Partition(self.topic, self.partition)

    def header(self, name: str) -> bytes | None:
        """The last value of the header ``name``; None when there is none."""
        return next((value for key, value in reversed(self.headers) if key == name), None)
