"""The append function's rows, read from libpq's binary result."""

from __future__ import annotations

from struct import Struct

from psycopg import pq

from goldseam.backends.postgres.append import Answer

DONE = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
"""What the server says when it has done what it was asked."""

_INT4, _INT8 = Struct(">i").unpack, Struct(">q").unpack


def answers(result: pq.abc.PGresult) -> list[Answer]:
    """Slot, outcome, version, first and last position of each row."""
    return [_answer(result, row) for row in range(result.ntuples)]


def _answer(result: pq.abc.PGresult, row: int) -> Answer:
    slot, code, version, first, last = (result.get_value(row, column) or b"" for column in range(5))
    return (
        _INT4(slot)[0],
        code.decode(),
        _INT8(version)[0],
        _INT8(first)[0],
        _INT8(last)[0],
    )
