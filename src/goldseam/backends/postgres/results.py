"""The append functions' rows, read from libpq's binary result."""

from __future__ import annotations

from struct import unpack_from

from psycopg import pq

from goldseam.backends.postgres.append import all_committed, judged
from goldseam.store.batch import Batch, Verdict

_HEADER_BYTES = 20
_PAIR_BYTES = 12
_COUNT_AT = 12


def lone_verdict(result: pq.abc.PGresult) -> list[Verdict] | None:
    """The verdict of ``goldseam_append_one``; None when it stored nothing."""
    if result.get_value(0, 0) is None:
        return None
    version, position = _int8s(result, 0)
    return [Verdict("committed", (version,), position, position)]


def batch_verdicts(batch: Batch, result: pq.abc.PGresult) -> list[Verdict]:
    """The verdicts of ``goldseam_append``, whichever way it went."""
    versions, firsts = _int8s(result, 1), _int8s(result, 2)
    outcomes = result.get_value(0, 0)
    if outcomes is None:
        return all_committed(batch, firsts[0], versions)
    return judged(batch, outcomes.decode(), versions, firsts, _int8s(result, 3), _int8s(result, 4))


def _int8s(result: pq.abc.PGresult, column: int) -> tuple[int, ...]:
    """A bigint[]: a header of 20 bytes, then a length and a value for each element."""
    value = result.get_value(0, column) or b""
    count, rest = divmod(len(value) - _HEADER_BYTES, _PAIR_BYTES)
    if rest or (value and count != unpack_from(">i", value, _COUNT_AT)[0]):
        return _with_nulls(value)
    return unpack_from(">" + "4xq" * count, value, _HEADER_BYTES)


def _with_nulls(value: bytes) -> tuple[int, ...]:
    """A null has a length of -1 and no value: a stream that a key was replayed for has gone."""
    found, at = [], _HEADER_BYTES
    while at < len(value):
        (length,) = unpack_from(">i", value, at)
        found.append(0 if length < 0 else unpack_from(">q", value, at + 4)[0])
        at += 4 if length < 0 else _PAIR_BYTES
    return tuple(found)
