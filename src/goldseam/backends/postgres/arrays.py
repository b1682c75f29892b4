"""Parameters in PostgreSQL's binary form, packed whole: a driver's way costs more per element."""

from __future__ import annotations

from collections.abc import Sequence
from struct import pack

_NULL = b"\xff\xff\xff\xff"
_INT2, _INT4, _INT8, _TEXT, _BYTEA, _UUID = 21, 23, 20, 25, 17, 2950


def int2(value: int) -> bytes:
    """A smallint."""
    return pack(">h", value)


def int8(value: int) -> bytes:
    """A bigint."""
    return pack(">q", value)


def int2s(values: Sequence[int]) -> bytes:
    """A smallint[]."""
    return _fixed(values, _INT2, 2, "h")


def int4s(values: Sequence[int]) -> bytes:
    """An integer[]."""
    return _fixed(values, _INT4, 4, "i")


def int8s(values: Sequence[int]) -> bytes:
    """A bigint[]."""
    return _fixed(values, _INT8, 8, "q")


def texts(values: Sequence[str | None]) -> bytes:
    """A text[]; None is NULL."""
    return _variable([None if value is None else value.encode() for value in values], _TEXT)


def byteas(values: Sequence[bytes | None]) -> bytes:
    """A bytea[]; None is NULL."""
    return _variable(values, _BYTEA)


def uuids(values: Sequence[bytes]) -> bytes:
    """A uuid[] from sixteen bytes each."""
    return _variable(values, _UUID)


def _header(oid: int, length: int, nulls: bool = False) -> bytes:
    return pack(">iiiii", 1, nulls, oid, length, 1)


def _fixed(values: Sequence[int], oid: int, size: int, code: str) -> bytes:
    sized = [number for value in values for number in (size, value)]
    return _header(oid, len(values)) + pack(">" + f"i{code}" * len(values), *sized)


def _variable(values: Sequence[bytes | None], oid: int) -> bytes:
    parts = [_header(oid, len(values), None in values)]
    for value in values:
        if value is None:
            parts.append(_NULL)
        else:
            parts += (pack(">i", len(value)), value)
    return b"".join(parts)
