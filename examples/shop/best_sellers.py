"""A read model in Redis, where there is one: how often each title was shipped.

Redis has no part in any transaction of ours, so every write is safe to repeat (pattern 2 of the
guide: set, do not add): orders are put into a set, and the score is the size of that set.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar
from urllib.parse import urlsplit

from examples.shop.messages import ShipmentCreated
from examples.shop.settings import Settings
from goldseam import Consumer, Recorded
from goldseam.consumers.connection import ConsumerConnection
from goldseam.consumers.modes import AtLeastOnce, Mode

PORT = 6_379
SECONDS = 5.0
KEY = "best-sellers"

_log = logging.getLogger("examples.shop")


class Redis:
    """As much of Redis's protocol as this needs: commands out, answers in, one connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or PORT
        self._database = parts.path.strip("/") or "0"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    async def run(self, *commands: tuple[str, ...]) -> list[Any]:
        """The answers to ``commands``, sent in one go.

        Raises:
            ConnectionError: Redis cannot be reached, or refused one of them.
        """
        async with self._turn, asyncio.timeout(SECONDS):
            try:
                reader, writer = await self._opened()
                writer.writelines(_encoded(one) for one in commands)
                await writer.drain()
                return [await _answer(reader) for _ in commands]
            except BaseException:
                await self.close()
                raise

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
            reader, writer = self._streams
            writer.write(_encoded(("SELECT", self._database)))
            await _answer(reader)
        return self._streams

    async def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            (_, writer), self._streams = self._streams, None
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


class BestSellers(Consumer):
    """Keeps ``best-sellers``: titles by how many orders of them were shipped."""

    mode: ClassVar[Mode] = AtLeastOnce()
    types = (ShipmentCreated,)

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self.name = settings.group("best-sellers")  # type: ignore[misc]
        self.topics = settings.topics("shipment")  # type: ignore[misc]
        self._redis, self._prefix = redis, settings.prefix
        super().__init__()

    async def apply_batch(self, events: Sequence[Recorded[Any]], db: ConsumerConnection) -> None:
        """Put each order into its title's set, then write the sizes down."""
        titles = sorted({one.data.title for one in events})
        adds = [("SADD", self._orders(one.data.title), one.data.order_id) for one in events]
        await self._redis.run(*adds)
        sizes = await self._redis.run(*(("SCARD", self._orders(title)) for title in titles))
        scores = [str(one) for pair in zip(sizes, titles, strict=True) for one in pair]
        await self._redis.run(("ZADD", f"{self._prefix}{KEY}", *scores))

    def _orders(self, title: str) -> str:
        return f"{self._prefix}shipped:{title}"


def best_sellers(settings: Settings) -> list[Consumer]:
    """The consumer, where there is a Redis; else nothing, and said so."""
    if settings.redis is None:
        _log.warning("no Redis (SHOP_REDIS is not set): the best sellers are not kept")
        return []
    return [BestSellers(settings, Redis(settings.redis))]


def _encoded(command: tuple[str, ...]) -> bytes:
    parts = [part.encode() for part in command]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts)


async def _answer(reader: asyncio.StreamReader) -> Any:
    line = (await reader.readuntil(b"\r\n"))[:-2]
    kind, text = line[:1], line[1:].decode()
    match kind:
        case b"+":
            return text
        case b":":
            return int(text)
        case b"$":
            return None if text == "-1" else (await reader.readexactly(int(text) + 2))[:-2].decode()
        case b"*":
            return [await _answer(reader) for _ in range(int(text))]
    raise ConnectionError(f"Redis refused a command: {text}")
