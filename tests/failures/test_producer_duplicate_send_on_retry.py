"""producer/duplicate-send-on-retry: an answer is lost, all is sent again, and it has the same ids.

A publisher stores what it is given and says that it does not know. What is on the topic is read
from outside. The control makes new ids for its retry.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from goldseam.broker.errors import BrokerUnreachable
from goldseam.broker.record import Record
from goldseam.resilience.clock import uuid7_bytes
from goldseam.telemetry.signals import signals
from goldseam.testing.tcp_proxy import TcpProxy
from tests.faults.kafka import JARS, REASON
from tests.support.eventually import eventually
from tests.support.relays import (
    LosesAnswers,
    checkpoint,
    delivered,
    firsts,
    log,
    logged,
    relay_of,
    sender,
)
from tools.kafka_cluster import KafkaCluster

EVENTS = 9
BATCH_EVENTS = 4
LOST = 2
IMPATIENT = {"delivery.timeout.ms": "1500", "compression.type": "none"}
AWAY_SECONDS = 3.0
"""Longer than the client waits for the answer."""


async def test_a_retry_after_a_lost_answer_has_the_same_ids_and_keeps_the_order(
    store_url: str, broker_url: str
) -> None:
    """Delivered more than once, applied once: the id says which ones are the same."""
    before = signals.value("goldseam_relay_retries_total")
    async with log(store_url, EVENTS) as store, sender(broker_url) as inner:
        publisher = LosesAnswers(inner, LOST)
        one = relay_of(store, publisher, batch_events=BATCH_EVENTS)
        task = asyncio.create_task(one.run())
        await one.prepare()
        await eventually(lambda: checkpoint(store_url) == EVENTS)
        one.stop()
        await task
    found = delivered(broker_url)
    assert EVENTS + LOST * BATCH_EVENTS == len(found)
    assert firsts(logged(store_url)) == firsts(found)
    assert before + LOST == signals.value("goldseam_relay_retries_total")


@pytest.fixture
async def behind_a_proxy(tmp_path: Path) -> AsyncIterator[tuple[KafkaCluster, TcpProxy]]:
    """A Kafka broker that clients reach through a proxy."""
    if JARS is None:
        pytest.skip(REASON)
    cluster = KafkaCluster(tmp_path, JARS, brokers=1)
    cluster.prepare()
    async with TcpProxy("127.0.0.1", cluster.port(1)) as proxy:
        cluster.through[1] = proxy.port
        await asyncio.to_thread(cluster.start)
        yield cluster, proxy
        await asyncio.to_thread(cluster.remove)


@pytest.mark.soak
async def test_kafka_stores_it_and_the_answer_comes_too_late(
    store_url: str, behind_a_proxy: tuple[KafkaCluster, TcpProxy]
) -> None:
    """The client gives up what is stored; the relay sends it again, under the same ids."""
    cluster, proxy = behind_a_proxy
    url = f"kafka://{cluster.bootstrap()}"
    async with log(store_url, 0) as store, sender(url, IMPATIENT) as publisher:
        one = relay_of(store, publisher, batch_events=BATCH_EVENTS)
        task = asyncio.create_task(one.run())
        for turn in range(1, LOST + 1):
            proxy.lose_answer_to(b"ce_id")
            async with log(store_url, EVENTS):
                await eventually(lambda turn=turn: proxy.answers_lost == turn)
            await proxy.refuse()
            await asyncio.sleep(AWAY_SECONDS)
            await proxy.accept()
            await eventually(lambda turn=turn: checkpoint(store_url) == turn * EVENTS)
        one.stop()
        await task
    found = await asyncio.to_thread(delivered, url)
    assert firsts(logged(store_url)) == firsts(found)
    assert len(found) > LOST * EVENTS


async def test_control_a_retry_under_new_ids_is_a_second_fact(broker_url: str) -> None:
    """Nobody downstream can know that the two are one."""
    async with sender(broker_url) as inner:
        publisher = LosesAnswers(inner, 1)
        for _ in range(2):
            body = msgspec.json.encode({"paid": 5})
            made = _uuid_text(uuid7_bytes())
            record = Record("tick", b"tick-0", body, (("ce_id", made),))
            try:
                await publisher.publish([record])
            except BrokerUnreachable:
                continue
    counts = Counter(one.event_id for one in delivered(broker_url))
    assert [1, 1] == list(counts.values())


def _uuid_text(id_: bytes) -> bytes:
    return id_.hex().encode()
