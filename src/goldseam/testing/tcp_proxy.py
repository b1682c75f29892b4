"""A TCP proxy that breaks the way between a program and its server in the ways networks do.

Put it between your program and PostgreSQL, Kafka or any other server, and steer it from the test.
Its special fault is the answer that is lost after the server has done the work.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress

CHUNK_BYTES = 65_536
_RST_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with zero seconds: closing sends RST and forgets what was not sent."""

_LOST = (ConnectionError, TimeoutError, OSError)


class TcpProxy:
    """Forwards connections of a port of its own on the loopback address to ``host``:``port``.

    Attributes:
        port: where it listens; chosen by the operating system when it starts.
        latency_seconds: how long each chunk of bytes is held, in both directions.
        connections: how many it has accepted so far.
        answers_lost: how many answers it has swallowed so far.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self.port = 0
        self.latency_seconds = 0.0
        self.connections = self.answers_lost = 0
        self._marker: bytes | None = None
        self._passing = asyncio.Event()
        self._passing.set()
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> TcpProxy:
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def accept(self) -> None:
        """Listen; after :meth:`refuse` on the same port again."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Stop listening and reset every connection: the server's machine is there, it is not."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.reset()

    def cut(self) -> None:
        """Close every connection politely (FIN), as a server that stops does."""
        for pair in list(self._pairs):
            pair.close()

    def reset(self) -> None:
        """Break every connection (RST), as a crashed machine or a firewall does."""
        for pair in list(self._pairs):
            pair.reset()

    def blackhole(self) -> None:
        """Hold every byte and say nothing, until :meth:`heal`: an unplugged cable."""
        self._passing.clear()

    def lose_answer_to(self, marker: bytes) -> None:
        """The next request that contains ``marker`` reaches the server; its answer is lost.

        The server has done the work when the proxy sees its answer; the proxy swallows it and
        resets the connection.
        """
        self._marker = marker

    def heal(self) -> None:
        """Pass everything again, at once; connections that were broken stay broken."""
        self._marker, self.latency_seconds = None, 0.0
        self._passing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        with suppress(*_LOST, asyncio.CancelledError):
            await self._passing.wait()
            server_reader, server_writer = await asyncio.open_connection(*self._target)
            pair = _Pair(writer, server_writer)
            self._pairs.add(pair)
            try:
                await asyncio.gather(
                    self._requests(pair, reader), self._answers(pair, server_reader)
                )
            finally:
                self._pairs.discard(pair)
                pair.close()
        writer.close()

    async def _requests(self, pair: _Pair, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await self._hold()
            if self._marker is not None and self._marker in data:
                self._marker, pair.loses_answer = None, True
            pair.server.write(data)
            await pair.server.drain()
        pair.close()

    async def _answers(self, pair: _Pair, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await self._hold()
            if pair.loses_answer:
                self.answers_lost += 1
                pair.reset()
                return
            pair.client.write(data)
            await pair.client.drain()
        pair.close()

    async def _hold(self) -> None:
        if self.latency_seconds:
            await asyncio.sleep(self.latency_seconds)
        await self._passing.wait()


class _Pair:
    """The two connections that the proxy joins."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        self.loses_answer = False

    def close(self) -> None:
        self.client.close()
        self.server.close()

    def reset(self) -> None:
        for writer in (self.client, self.server):
            raw = writer.get_extra_info("socket")
            if raw is not None and raw.fileno() >= 0:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
            writer.transport.abort()
