"""The append lane: one connection, three prepared statements, spoken to through libpq itself.

A lone writer waits for each append, so every microsecond between the program and the server
counts here. The lane keeps its socket registered with the event loop and packs parameters and
rows itself; psycopg opens the connection and makes the errors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import errors, pq

from goldseam.backends.postgres.append import (
    APPEND,
    APPEND_CAREFULLY,
    APPEND_ONE,
    is_lone_event,
    lone_parameters,
    parameters,
)
from goldseam.backends.postgres.results import DONE, batch_verdicts, lone_verdict
from goldseam.store.batch import Batch, Verdict

_BINARY = pq.Format.BINARY
_ONE, _MANY, _CAREFULLY = b"one", b"many", b"carefully"
_STATEMENTS = {_ONE: APPEND_ONE, _MANY: APPEND, _CAREFULLY: APPEND_CAREFULLY}


class AppendLane:
    """One connection that does nothing but append; one batch at a time."""

    def __init__(self, raw: psycopg.AsyncConnection[Any]) -> None:
        self._raw, self._libpq = raw, raw.pgconn
        self._loop = asyncio.get_running_loop()
        self._socket = self._libpq.socket
        self._answer: asyncio.Future[pq.abc.PGresult] | None = None
        self._result: pq.abc.PGresult | None = None
        self._loop.add_reader(self._socket, self._readable)

    async def prepare(self) -> None:
        """Prepare the statements on the server."""
        for name, sql in _STATEMENTS.items():
            self._libpq.send_prepare(name, sql.encode())
            await self._wait()

    async def append(self, batch: Batch) -> list[Verdict]:
        """Send ``batch`` in one statement; a lone event takes the short way first.

        Raises:
            psycopg.Error: the server refused it, or the connection is lost.
        """
        if is_lone_event(batch):
            verdict = lone_verdict(await self._execute(_ONE, lone_parameters(batch)))
            if verdict is not None:
                return verdict
            way = _CAREFULLY
        else:
            way = _MANY
        values = parameters(batch)
        try:
            return batch_verdicts(batch, await self._execute(way, values))
        except errors.UniqueViolation:
            if way is _CAREFULLY:
                raise
        return batch_verdicts(batch, await self._execute(_CAREFULLY, values))

    async def close(self) -> None:
        """Forget the socket, close the connection."""
        self._loop.remove_reader(self._socket)
        await self._raw.close()

    async def _execute(self, name: bytes, values: Sequence[bytes | None]) -> pq.abc.PGresult:
        self._libpq.send_query_prepared(name, values, [_BINARY] * len(values), _BINARY)
        return await self._wait()

    async def _wait(self) -> pq.abc.PGresult:
        """Flush what was sent; the result, once the server is ready for the next command."""
        self._answer = self._loop.create_future()
        while self._libpq.flush():
            await asyncio.sleep(0)
            if self._answer.done():
                break
        try:
            result = await self._answer
        finally:
            self._answer = None
        if result.status not in DONE:
            raise errors.error_from_result(result)
        return result

    def _readable(self) -> None:
        try:
            self._libpq.consume_input()
            while not self._libpq.is_busy():
                result = self._libpq.get_result()
                if result is None:
                    self._deliver()
                    return
                self._result = result
        except psycopg.Error as error:
            self._loop.remove_reader(self._socket)
            if self._answer is not None and not self._answer.done():
                self._answer.set_exception(error)

    def _deliver(self) -> None:
        result, self._result = self._result, None
        if result is not None and self._answer is not None and not self._answer.done():
            self._answer.set_result(result)
