"""The read lane: the Connection port on a lane, for the live reader's short reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any
from uuid import UUID

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer

from goldseam.backends.postgres.append import numbered
from goldseam.backends.postgres.errors import translate
from goldseam.backends.postgres.lane import Lane
from goldseam.database.connection import Dialect, Parameters, Row
from goldseam.store.batch import Batch, Verdict

_INT8, _TEXT, _BYTEA, _UUID = 20, 25, 17, 2950
_WIRE: dict[type, tuple[int, Callable[[Any], bytes]]] = {
    int: (_INT8, Struct(">q").pack),
    str: (_TEXT, str.encode),
    bytes: (_BYTEA, bytes),
    UUID: (_UUID, lambda value: bytes(value.bytes)),
}


@lru_cache(1024)
def _numbered(sql: str) -> tuple[str, Sequence[str]]:
    return numbered(sql)


class ReadLane:
    """Reads one statement at a time; ``busy`` while it does."""

    dialect: Dialect = "postgresql"

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.busy = False
        self._rows = Transformer(lane.raw)

    async def fetch(self, sql: str, parameters: Parameters = {}) -> list[Row]:
        """Run one statement; its rows."""
        text, names = _numbered(sql)
        wire = [_WIRE[type(parameters[name])] for name in names]
        values = [pack(parameters[name]) for name, (_, pack) in zip(names, wire, strict=True)]
        try:
            result = await self.lane.execute(text, values, tuple(oid for oid, _ in wire))
        except psycopg.Error as error:
            raise translate(error) from error
        self._rows.set_pgresult(result, set_loaders=True, format=pq.Format.BINARY)
        return self._rows.load_rows(0, result.ntuples, tuple)

    async def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        """Not for reading."""
        raise psycopg.ProgrammingError("a read lane only reads")

    async def append(self, batch: Batch) -> list[Verdict]:
        """Not for reading."""
        raise psycopg.ProgrammingError("a read lane only reads")
