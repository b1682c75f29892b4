"""Arrays in PostgreSQL's binary form, packed whole: the driver's own way costs more per element."""

from __future__ import annotations

from collections.abc import Sequence
from struct import pack

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

_NULL = b"\xff\xff\xff\xff"


class PackedArray:
    """A one-dimensional array, packed for the wire."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class Int2Array(PackedArray):
    """smallint[]"""


class Int4Array(PackedArray):
    """integer[]"""


class Int8Array(PackedArray):
    """bigint[]"""


class TextArray(PackedArray):
    """text[]"""


class ByteaArray(PackedArray):
    """bytea[]"""


class UuidArray(PackedArray):
    """uuid[]"""


def int2s(values: Sequence[int]) -> Int2Array:
    """``values`` as smallint[]."""
    return Int2Array(_fixed(values, 21, 2, "h"))


def int4s(values: Sequence[int]) -> Int4Array:
    """``values`` as integer[]."""
    return Int4Array(_fixed(values, 23, 4, "i"))


def int8s(values: Sequence[int]) -> Int8Array:
    """``values`` as bigint[]."""
    return Int8Array(_fixed(values, 20, 8, "q"))


def texts(values: Sequence[str | None]) -> TextArray:
    """``values`` as text[]; None is NULL."""
    return TextArray(_variable([None if v is None else v.encode() for v in values], 25))


def byteas(values: Sequence[bytes | None]) -> ByteaArray:
    """``values`` as bytea[]; None is NULL."""
    return ByteaArray(_variable(values, 17))


def uuids(values: Sequence[bytes]) -> UuidArray:
    """Sixteen bytes each, as uuid[]."""
    return UuidArray(_variable(values, 2950))


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


class _PackedDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: PackedArray) -> Buffer:
        return obj.data


for _kind, _element in (
    (Int2Array, "int2"),
    (Int4Array, "int4"),
    (Int8Array, "int8"),
    (TextArray, "text"),
    (ByteaArray, "bytea"),
    (UuidArray, "uuid"),
):
    _oid = psycopg.adapters.types[_element].array_oid
    psycopg.adapters.register_dumper(
        _kind, type(f"{_kind.__name__}Dumper", (_PackedDumper,), {"oid": _oid})
    )
