"""Where a write ended: the plain number the guide shows, and the token that names its store.

From the guide, "Eventual Consistency: The Hiding Technique".
"""

from __future__ import annotations

from hashlib import blake2b
from uuid import UUID

from goldseam.errors import InvalidPosition

POSITION_MAX = 2**63 - 1
_MARK = "gs"
_CHECK_BYTES = 4


def encode_token(store_id: UUID, position: int) -> str:
    """The token of ``position`` in this store: ``gs-<store>-<position>-<check>``."""
    return f"{_MARK}-{store_id.hex[-8:]}-{position}-{_check(store_id, position)}"


def parse_token(token: str | int, store_id: UUID) -> int:
    """The position that ``token`` names: a plain number, or a token of this very store.

    Raises:
        InvalidPosition: malformed, negative, forged, or given out by another store.
    """
    text = str(token).strip()
    if text.isascii() and text.isdigit() and len(text) <= len(str(POSITION_MAX)):
        return _bounded(token, int(text))
    parts = text.split("-")
    if len(parts) != 4 or parts[0] != _MARK or not (parts[2].isascii() and parts[2].isdigit()):
        negative = text[:1] == "-" and text[1:].isdigit()
        raise InvalidPosition(token, "it is negative" if negative else "it is not a position")
    if parts[1] != store_id.hex[-8:]:
        raise InvalidPosition(token, "another store gave it out")
    if len(parts[2]) > len(str(POSITION_MAX)) or parts[3] != _check(store_id, int(parts[2])):
        raise InvalidPosition(token, "its check does not hold")
    return _bounded(token, int(parts[2]))


def _bounded(token: object, position: int) -> int:
    if position > POSITION_MAX:
        raise InvalidPosition(token, "it is larger than any position")
    return position


def _check(store_id: UUID, position: int) -> str:
    key = store_id.bytes
    return blake2b(str(position).encode(), digest_size=_CHECK_BYTES, key=key).hexdigest()
