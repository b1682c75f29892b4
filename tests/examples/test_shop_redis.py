"""The best sellers in Redis: safe to repeat, and loudly absent where there is no Redis."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from examples.shop.best_sellers import BestSellers, Redis, best_sellers
from examples.shop.messages import Order, ShipmentCreated, told
from examples.shop.settings import Settings
from goldseam import Recorded

URL_VARIABLE = "GOLDSEAM_TEST_REDIS"
DB: Any = None


class FewCommands:
    """A Redis of four commands, over its real protocol."""

    def __init__(self) -> None:
        self.sets: dict[str, set[str]] = defaultdict(set)
        self.scores: dict[str, dict[str, int]] = defaultdict(dict)
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (line := await reader.readline()) != b"":
            parts = []
            for _ in range(int(line[1:])):
                length = int((await reader.readline())[1:])
                parts.append((await reader.readexactly(length + 2))[:-2].decode())
            writer.write(self.answer(*parts))
        writer.close()
        self.ended.set()

    def answer(self, command: str, key: str, *rest: str) -> bytes:
        if command == "SELECT":
            return b"+OK\r\n"
        if command == "SADD":
            before = len(self.sets[key])
            self.sets[key] |= set(rest)
            return b":%d\r\n" % (len(self.sets[key]) - before)
        if command == "SCARD":
            return b":%d\r\n" % len(self.sets[key])
        if command == "ZADD":
            pairs = zip(rest[1::2], rest[::2], strict=True)
            self.scores[key].update({title: int(score) for title, score in pairs})
            return b":0\r\n"
        if command == "ZSCORE":
            found = str(self.scores[key][rest[0]]).encode()
            return b"$%d\r\n%b\r\n" % (len(found), found)
        return b"-ERR unknown command\r\n"


@asynccontextmanager
async def redis_url() -> AsyncIterator[str]:
    """The real one that the environment names, else one of few commands."""
    if named := os.environ.get(URL_VARIABLE):
        yield named
        return
    few = FewCommands()
    async with await asyncio.start_server(few.serve, "127.0.0.1", 0) as server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        await few.ended.wait()


def shipped(order_id: str, title: str) -> Recorded[ShipmentCreated]:
    sent = told(ShipmentCreated, Order(order_id, "0004", title, 1, 999, "card", "US"))
    return Recorded(
        1, f"shipment-{order_id}", 1, "ShipmentCreated", 1, sent, "main", 0, uuid4().bytes, b"{}"
    )


async def _scores(folder: Path, *batches: list[Recorded[ShipmentCreated]]) -> dict[str, int]:
    prefix = f"shop_{uuid4().hex[:8]}_"
    async with redis_url() as url:
        redis = Redis(url)
        consumer = BestSellers(Settings(folder=folder, prefix=prefix), redis)
        for batch in batches:
            await consumer.apply_batch(batch, DB)
        titles = sorted({one.data.title for batch in batches for one in batch})
        asked = [("ZSCORE", f"{prefix}best-sellers", title) for title in titles]
        found = await redis.run(*asked)
        await redis.close()
    return dict(zip(titles, (int(one) for one in found), strict=True))


def test_titles_are_scored_by_their_orders(tmp_path: Path) -> None:
    """Each shipped order counts for its title."""
    batch = [shipped("1", "Blue"), shipped("2", "Blue"), shipped("3", "Hejira")]

    assert {"Blue": 2, "Hejira": 1} == asyncio.run(_scores(tmp_path, batch))


def test_a_batch_that_comes_again_counts_once(tmp_path: Path) -> None:
    """A crash after the write and before the commit repeats it."""
    batch = [shipped("1", "Blue"), shipped("2", "Blue")]
    found = asyncio.run(_scores(tmp_path, batch, batch, [shipped("4", "Blue")], batch))

    assert {"Blue": 3} == found


def test_what_redis_refuses_is_an_error() -> None:
    """The consumer tries again; it does not go on as if nothing were."""

    async def ask() -> None:
        async with redis_url() as url:
            await Redis(url).run(("NOSUCHCOMMAND", "x"))

    with pytest.raises(ConnectionError, match="refused"):
        asyncio.run(ask())


def test_without_redis_it_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Left out, and not silently."""
    with caplog.at_level(logging.INFO, logger="examples.shop"):
        assert [] == best_sellers(Settings(folder=tmp_path))

    assert "SHOP_REDIS" in caplog.text
