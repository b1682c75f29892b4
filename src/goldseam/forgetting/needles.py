"""A value in all the forms in which it may lie about: UTF-8, UTF-16, JSON, base64, hex."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator

import msgspec

from goldseam.forgetting.search import NEEDLE_BYTES_MIN

VALUES_MAX = 100_000
"""Values searched for at once; about 3 kB of memory each."""

_GROUP = 3
"""Base64 makes four characters of three bytes, so a value in a longer text has three forms."""


def forms_of_text(value: str) -> Iterator[bytes]:
    """Every form of a clear value."""
    plain = value.encode()
    yield from forms_of_bytes(plain)
    for codec in ("utf-16-le", "utf-16-be"):
        yield value.encode(codec)
    yield msgspec.json.encode(value)[1:-1]
    yield value.encode("unicode_escape")  # "\xe9" as a Python repr has it
    yield _ascii_json(value)


def forms_of_bytes(value: bytes) -> Iterator[bytes]:
    """Every form of bytes, such as a key."""
    yield value
    yield value.hex().encode()
    yield value.hex().upper().encode()
    for shift in range(_GROUP):
        for encode in (b64encode, urlsafe_b64encode):
            yield _inner_base64(value, shift, encode(bytes(shift) + value))


def all_forms(values: Iterable[str], keys: Iterable[bytes] = ()) -> Iterator[bytes]:
    """The needles for clear ``values`` and raw ``keys``; forms too short to mean much left out."""
    for value in values:
        yield from (one for one in forms_of_text(value) if len(one) >= NEEDLE_BYTES_MIN)
    for key in keys:
        yield from (one for one in forms_of_bytes(key) if len(one) >= NEEDLE_BYTES_MIN)


def _inner_base64(value: bytes, shift: int, encoded: bytes) -> bytes:
    """The characters that depend on ``value`` alone, not on what stands beside it."""
    first = -(-shift * 8 // 6)
    last = (shift + len(value)) * 8 // 6
    return encoded[first:last]


def _ascii_json(value: str) -> bytes:
    r"""As JSON writers do that escape everything beyond ASCII: ``\u00e9``."""
    units = value.encode("utf-16-be")
    pairs = (units[n : n + 2] for n in range(0, len(units), 2))
    return b"".join(_escaped(int.from_bytes(pair, "big")) for pair in pairs)


def _escaped(unit: int) -> bytes:
    if unit < 128:
        return msgspec.json.encode(chr(unit))[1:-1]
    return f"\\u{unit:04x}".encode()
