"""A lane: one connection spoken to through libpq itself, one statement at a time.

A lone writer waits for each append and a live reader for each page, so every microsecond between
the program and the server counts there. A lane keeps its socket registered with the event loop
and its statements prepared; psycopg opens the connection, loads the rows and makes the errors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import errors, pq

_BINARY = pq.Format.BINARY
_DONE = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)

ANSWER_SECONDS_MAX = 30.0
"""A server that says nothing for so long is treated as lost: a cable that was pulled, or a commit
that waits for a standby that is gone. What was sent to it is then unknown."""

Values = Sequence[bytes | None]


class Lane:
    """One connection; its caller sends one statement at a time."""

    def __init__(self, raw: psycopg.AsyncConnection[Any]) -> None:
        self.raw, self._libpq = raw, raw.pgconn
        self._loop = asyncio.get_running_loop()
        self._socket = self._libpq.socket
        self._prepared: dict[tuple[str, Sequence[int]], bytes] = {}
        self._answer: asyncio.Future[pq.abc.PGresult] | None = None
        self._result: pq.abc.PGresult | None = None
        self.news = asyncio.Event()
        """Set when a notification has come, and when the connection is lost."""
        self._loop.add_reader(self._socket, self._readable)
        self._watched = True

    async def execute(self, sql: str, values: Values, types: Sequence[int] = ()) -> pq.abc.PGresult:
        """Run ``sql`` with binary ``values``; prepared when first seen.

        Raises:
            psycopg.Error: the server refused it, or the connection is lost.
        """
        name = self._prepared.get((sql, types)) or await self._prepare(sql, types)
        formats = [_BINARY] * len(values)
        self._send(lambda: self._libpq.send_query_prepared(name, values, formats, _BINARY))
        return await self._wait()

    async def close(self) -> None:
        """Forget the socket, close the connection."""
        self._unwatch()
        await self.raw.close()

    def _unwatch(self) -> None:
        """Forget the socket at once: libpq closes a lost one, and its number is soon another's."""
        if self._watched:
            self._watched = False
            self._loop.remove_reader(self._socket)
            self.news.set()

    @property
    def lost(self) -> bool:
        """Whether the connection is gone."""
        return not self._watched

    def _send(self, send: Callable[[], None]) -> None:
        try:
            send()
        except psycopg.Error:
            self._unwatch()
            raise

    async def _prepare(self, sql: str, types: Sequence[int]) -> bytes:
        name = b"lane_%d" % len(self._prepared)
        self._send(lambda: self._libpq.send_prepare(name, sql.encode(), types or None))
        await self._wait()
        self._prepared[sql, types] = name
        return name

    async def _wait(self) -> pq.abc.PGresult:
        """Flush what was sent; the result, once the server is ready for the next statement."""
        self._answer = self._loop.create_future()
        late = self._loop.call_later(ANSWER_SECONDS_MAX, self._give_up)
        try:
            while self._flush() and not self._answer.done():  # noqa: ASYNC110 -- libpq says so
                await asyncio.sleep(0)
            result = await self._answer
        finally:
            late.cancel()
            self._answer = None
        if result.status not in _DONE:
            raise errors.error_from_result(result)
        return result

    def _give_up(self) -> None:
        self._unwatch()
        if self._answer is not None and not self._answer.done():
            silence = f"the server has not answered for {ANSWER_SECONDS_MAX:g} s"
            self._answer.set_exception(psycopg.OperationalError(silence))

    def _flush(self) -> int:
        try:
            return self._libpq.flush()
        except psycopg.Error:
            self._unwatch()
            raise

    def _readable(self) -> None:
        try:
            self._libpq.consume_input()
            while self._libpq.notifies() is not None:
                self.news.set()
            while not self._libpq.is_busy():
                result = self._libpq.get_result()
                if result is None:
                    self._deliver()
                    return
                self._result = result
        except psycopg.Error as error:
            self._unwatch()
            if self._answer is not None and not self._answer.done():
                self._answer.set_exception(error)

    def _deliver(self) -> None:
        result, self._result = self._result, None
        if result is not None and self._answer is not None and not self._answer.done():
            self._answer.set_result(result)
