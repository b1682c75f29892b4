"""Who is told to stop while it still prepares, stops: a signal may come at any moment."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from goldseam.consumers.modes import EffectivelyOnce
from goldseam.consumers.runner import ConsumerRunner
from goldseam.outbox.routing import by_category
from goldseam.outbox.shards import ShardedRelay
from goldseam.outbox.sources import LogSource
from goldseam.resilience.clock import SystemClock
from tests.support.consumers import of_mode
from tests.support.relays import log, sender
from tests.support.river import SETTLE_SECONDS_MAX, river, target


@pytest.mark.parametrize("turns", [1, 2, 5, 20])
async def test_a_consumer_hears_it_while_it_makes_its_tables(tmp_path: Path, turns: int) -> None:
    """After the first, second, ... turn of the event loop."""
    where, base = f"sqlite:///{tmp_path / 'broker.db'}", f"sqlite:///{tmp_path / 'target.db'}"
    async with river(where) as broker, target(base) as database:
        runner = ConsumerRunner(of_mode(EffectivelyOnce()), broker, database)
        running = asyncio.create_task(runner.run())
        for _ in range(turns):
            await asyncio.sleep(0)
        runner.stop()
        await asyncio.wait_for(running, SETTLE_SECONDS_MAX)


@pytest.mark.parametrize("turns", [1, 2, 3, 20])
async def test_a_sharded_relay_hears_it_before_its_shards_began(tmp_path: Path, turns: int) -> None:
    """Shards whose tasks had not begun when it came end all the same."""
    store_url, where = f"sqlite:///{tmp_path / 'log.db'}", f"sqlite:///{tmp_path / 'broker.db'}"
    async with log(store_url, 3) as store, sender(where) as publisher:
        relay = ShardedRelay(
            "main", LogSource(store, by_category()), publisher, store.database, SystemClock(),
            holder="a", shards=4,
        )  # fmt: skip
        running = asyncio.create_task(relay.run())
        for _ in range(turns):
            await asyncio.sleep(0)
        relay.stop()
        await asyncio.wait_for(running, SETTLE_SECONDS_MAX)
