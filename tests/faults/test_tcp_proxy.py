"""The proxy breaks what it says it breaks: an echo server behind it, a plain socket before it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from goldseam.testing.tcp_proxy import TcpProxy


class Echo:
    """A server that says everything back, and remembers what it was told."""

    def __init__(self) -> None:
        self.heard = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1_000):
                self.heard += data
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[tuple[Echo, TcpProxy]]:
    """A proxy in front of an echo server."""
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with TcpProxy("127.0.0.1", port) as proxy:
        yield echo, proxy
    server.close()


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _client(proxy: TcpProxy) -> Streams:
    streams = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert b"hello" == await _ask(streams, b"hello")
    return streams


async def _ask(streams: Streams, data: bytes) -> bytes:
    reader, writer = streams
    writer.write(data)
    return await reader.read(1_000)


async def test_it_forwards_both_ways(echo: tuple[Echo, TcpProxy]) -> None:
    """Without a fault it is not noticed."""
    server, proxy = echo
    streams = await _client(proxy)
    assert b"again" == await _ask(streams, b"again")
    assert b"helloagain" == server.heard
    assert 1 == proxy.connections
    streams[1].close()


async def test_a_cut_is_a_polite_end(echo: tuple[Echo, TcpProxy]) -> None:
    """The client reads the end of the stream."""
    reader, writer = await _client(echo[1])
    echo[1].cut()
    assert not await reader.read()
    writer.close()


async def test_a_reset_is_an_error(echo: tuple[Echo, TcpProxy]) -> None:
    """The client gets RST."""
    reader, writer = await _client(echo[1])
    echo[1].reset()
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_it_refuses_and_accepts_again_on_the_same_port(echo: tuple[Echo, TcpProxy]) -> None:
    """Nobody listens in between."""
    proxy = echo[1]
    await proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", proxy.port)
    await proxy.accept()
    (await _client(proxy))[1].close()


async def test_the_server_has_heard_what_the_lost_answer_was_about(
    echo: tuple[Echo, TcpProxy],
) -> None:
    """The marked request arrives, its answer does not; the next connection is whole."""
    server, proxy = echo
    reader, writer = await _client(proxy)
    proxy.lose_answer_to(b"marked")
    writer.write(b"a marked request")
    with pytest.raises(ConnectionResetError):
        await reader.read()
    assert server.heard.endswith(b"a marked request")
    assert 1 == proxy.answers_lost
    writer.close()
    (await _client(proxy))[1].close()


async def test_a_blackhole_holds_everything_until_it_is_healed(
    echo: tuple[Echo, TcpProxy],
) -> None:
    """Nothing arrives and nothing breaks; then all of it arrives."""
    server, proxy = echo
    reader, writer = await _client(proxy)
    proxy.blackhole()
    writer.write(b"silence")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1_000), 0.1)
    assert b"hello" == server.heard
    proxy.heal()
    assert b"silence" == await reader.read(1_000)
    writer.close()
