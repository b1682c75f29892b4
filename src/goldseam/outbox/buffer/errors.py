"""What a local buffer refuses."""

from __future__ import annotations

from goldseam.errors import GoldseamError, Rejected


class BufferFull(GoldseamError):
    """The broker is out of reach and the local buffer has no room: nothing was taken.

    Attributes:
        name: which buffer.
        retry_after_seconds: when it is worth another try; a door says 503 and Retry-After.
    """

    failure = "producer/broker-unreachable"

    def __init__(self, name: str, why: str, retry_after_seconds: float) -> None:
        self.name, self.retry_after_seconds = name, retry_after_seconds
        super().__init__(
            f"the local buffer {name!r} took nothing: {why}; what it had taken before is safe; "
            f"send the same again in {retry_after_seconds:g} s"
        )


class BufferTaken(Rejected):
    """Another process has opened this buffer's file: this one must not touch it any more."""

    failure = "producer/broker-unreachable"
