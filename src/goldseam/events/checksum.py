"""What makes a damaged event visible: a checksum for each event, a hash chain for each stream.

The checksum is cheap enough to be checked on every read; the chain binds an event to all that
came before it in its stream and is checked by ``goldseam store verify``.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from zlib import crc32

_SEEDS_MAX = 65_536
"""Stream seeds remembered; beyond it the memory is dropped, so it stays bounded."""


def stream_seed(tenant: str, stream: str) -> int:
    """The part of the checksum that comes from where the event is."""
    return crc32(f"{tenant}/{stream}".encode())


class StreamSeeds(dict[str, int]):
    """Remembered stream seeds of one tenant, bounded."""

    def __init__(self, tenant: str) -> None:
        super().__init__()
        self._tenant = tenant

    def __missing__(self, stream: str) -> int:
        if len(self) >= _SEEDS_MAX:
            self.clear()
        seed = self[stream] = stream_seed(self._tenant, stream)
        return seed


def content_checksum(
    stream: int, type_: int, event_id: bytes, recorded_us: int, metadata: bytes, payload: bytes
) -> int:
    """The checksum over all that the writer knows; the store binds it to version and position.

    A CRC-32 over the bytes, with the numbers folded in whole: each flipped bit of a number flips
    one bit of the checksum.
    """
    return crc32(b"".join((event_id, metadata, payload)), stream ^ type_) ^ recorded_us


def placed_checksum(content: int, version: int, position: int) -> int:
    """The stored checksum: the content's, bound to the event's version and position."""
    return content ^ version ^ position


def content_digest(
    place: bytes, event_id: bytes, recorded_us: int, metadata: bytes, payload: bytes
) -> bytes:
    """SHA-256 over everything that makes the event; ``place`` is :func:`place_bytes`."""
    lengths = b"%d:%d:%d:" % (recorded_us, len(place), len(metadata))
    return sha256(b"".join((lengths, place, event_id, metadata, payload))).digest()


def place_bytes(tenant: str, stream: str, name: str, version: int) -> bytes:
    """Tenant, stream and type in one unambiguous text (names have no control characters)."""
    return f"{tenant}\0{stream}\0{name}\0{version}".encode()


def link(previous_link: bytes, digest: bytes) -> bytes:
    """An event's link inside its own append; the first has an empty previous link."""
    return sha256(previous_link + digest).digest()


def chain(head: bytes, link_: bytes) -> bytes:
    """The stored chain value: ``head`` is the stream's last chain value before the append."""
    return sha256(head + link_).digest()


class ChainWalk:
    """Checks one stream's chain, event by event in order.

    All events of one append share the head that the stream had before it, so an event either
    goes on in the append of the one before or begins a new append.
    """

    __slots__ = ("_head", "_last_chain", "_last_link")

    def __init__(self) -> None:
        self._head = self._last_link = self._last_chain = b""

    def accepts(self, digest: bytes, stored_chain: bytes) -> bool:
        """Whether ``stored_chain`` follows from the events walked so far and this digest."""
        choices: Sequence[tuple[bytes, bytes]] = (
            (self._head, link(self._last_link, digest)),
            (self._last_chain, link(b"", digest)),
        )
        for head, link_ in choices:
            if chain(head, link_) == stored_chain:
                self._head, self._last_link, self._last_chain = head, link_, stored_chain
                return True
        self._last_chain = stored_chain
        return False
