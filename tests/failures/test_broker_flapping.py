"""broker/partition-leader-election: the way to the brokers breaks and mends, breaks and mends.

Every broker is behind a proxy of its own, for clients and for the other brokers alike; only the
controllers talk past it, so that a broker nobody can reach goes on leading.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from goldseam.testing.tcp_proxy import TcpProxy
from tests.faults.kafka import (
    JARS,
    REASON,
    Load,
    broker_at,
    leader_of,
    lost,
    new_topic,
    on_topic,
    out_of_order,
)
from tests.support.eventually import eventually
from tools.kafka_cluster import KafkaCluster

pytestmark = pytest.mark.soak

FLAP_SECONDS = 2.0
FLAPS = 15
MUTE_SECONDS = 25.0
"""Longer than a client waits for one answer."""

GIVE_UP_MS = "5000"

Proxied = tuple[KafkaCluster, dict[int, TcpProxy]]


@pytest.fixture
async def proxied(tmp_path: Path) -> AsyncIterator[Proxied]:
    """Three brokers, each behind a proxy."""
    if JARS is None:
        pytest.skip(REASON)
    cluster = KafkaCluster(tmp_path, JARS)
    cluster.prepare()
    async with AsyncExitStack() as stack:
        proxies = {}
        for number in cluster.numbers:
            proxy = TcpProxy("127.0.0.1", cluster.port(number))
            proxies[number] = await stack.enter_async_context(proxy)
            cluster.through[number] = proxy.port
        await asyncio.to_thread(cluster.start)
        yield cluster, proxies
        await asyncio.to_thread(cluster.remove)


async def _judged(cluster: KafkaCluster, topic: str, load: Load) -> None:
    found = await asyncio.to_thread(on_topic, cluster, topic)
    assert [] == list(lost(found, load.acknowledged))
    assert [] == out_of_order(found)


async def test_flapping_every_two_seconds(proxied: Proxied) -> None:
    """All brokers can be reached for two seconds and cannot for two, again and again."""
    cluster, proxies = proxied
    broker = broker_at(cluster, **{"delivery.timeout.ms": GIVE_UP_MS})
    topic = await new_topic(broker)
    load = Load(topic, await broker.publisher())
    running = asyncio.create_task(load.run())
    for _ in range(FLAPS):
        await asyncio.sleep(FLAP_SECONDS)
        for proxy in proxies.values():
            await proxy.refuse()
        await asyncio.sleep(FLAP_SECONDS)
        for proxy in proxies.values():
            await proxy.accept()
    before = load.acknowledged
    await eventually(lambda: load.acknowledged > before)
    load.stop()
    await running
    await broker.close()
    await _judged(cluster, topic, load)


async def test_a_leader_that_says_nothing(proxied: Proxied) -> None:
    """Its cable is out and it goes on leading: what waited for it is there when it is back."""
    cluster, proxies = proxied
    broker = broker_at(cluster, **{"delivery.timeout.ms": GIVE_UP_MS})
    topic = await new_topic(broker)
    load = Load(topic, await broker.publisher())
    running = asyncio.create_task(load.run())
    await eventually(lambda: load.acknowledged > 0)
    mute = proxies[await leader_of(broker, topic)]
    mute.blackhole()
    await asyncio.sleep(MUTE_SECONDS)
    failures, before = load.failures, load.acknowledged
    mute.heal()
    await eventually(lambda: load.acknowledged > before)
    load.stop()
    await running
    await broker.close()
    assert failures > 0
    await _judged(cluster, topic, load)


async def test_control_whoever_does_not_send_again_loses(proxied: Proxied) -> None:
    """CONTROL: a batch that failed is forgotten, as by a publisher without an outbox."""
    cluster, proxies = proxied
    broker = broker_at(cluster, **{"delivery.timeout.ms": GIVE_UP_MS})
    topic = await new_topic(broker)
    load = Load(topic, await broker.publisher(), forgets=True)
    running = asyncio.create_task(load.run())
    await eventually(lambda: load.acknowledged > 0)
    for proxy in proxies.values():
        await proxy.refuse()
    await eventually(lambda: load.failures > 2)  # what was on its way first may have arrived
    for proxy in proxies.values():
        await proxy.accept()
    await asyncio.sleep(FLAP_SECONDS)
    load.stop()
    await running
    await broker.close()
    assert lost(await asyncio.to_thread(on_topic, cluster, topic), load.acknowledged)
