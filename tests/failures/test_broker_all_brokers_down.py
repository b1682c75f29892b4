"""broker/all-brokers-down: the log keeps what was not published, and drains it in order."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from uuid import UUID

import pytest

from goldseam import EventStore
from goldseam.broker.cloudevents import record_of
from goldseam.broker.errors import BrokerUnreachable
from goldseam.telemetry.signals import signals
from tests.faults.facts_to_kafka import (
    EVENTS_PER_SECOND,
    Appends,
    accounts,
    drained,
    facts_on,
    relay_to,
    relaying,
)
from tests.faults.kafka import broker_at, cluster, new_topic, revive, whole
from tests.support.eventually import eventually
from tests.support.relays import RELAY, firsts, log, logged
from tools.kafka_cluster import KafkaCluster

__all__ = ["cluster", "whole"]

BEFORE_EVENTS = 100
OUTAGE_SECONDS = 2.0
OUTAGE_SECONDS_SOAK = 120.0
DRAIN_SECONDS_MAX = 240.0
GIVE_UP_MS = "2000"
"""How long a record may wait for its acknowledgement: short, so that the relay sees the outage."""


def _kill_all(cluster: KafkaCluster) -> None:
    for number in cluster.numbers:
        cluster.kill(number)


async def _through_an_outage(
    cluster: KafkaCluster, url: str, seconds: float, **config: str
) -> None:
    """Appends go on while every broker is dead; then everything is on the topic, in order."""
    broker = broker_at(cluster, **config)
    topic = await new_topic(broker)
    signals.gauge("goldseam_outbox_pending", 0, relay=RELAY, shard="0")
    async with (
        log(url) as store,
        relaying(relay_to(store, await broker.publisher(), topic)) as relay,
    ):
        appends = Appends(store)
        running = asyncio.create_task(appends.run())
        await eventually(lambda: len(appends.acknowledged) > BEFORE_EVENTS)
        _kill_all(cluster)
        wanted = len(appends.acknowledged) + seconds * EVENTS_PER_SECOND
        await eventually(lambda: len(appends.acknowledged) >= wanted, DRAIN_SECONDS_MAX)
        await eventually(_backlog_is_shown)
        await asyncio.to_thread(revive, cluster)
        appends.stop()
        await running
        await eventually(lambda: drained(relay), DRAIN_SECONDS_MAX)
        found = await accounts(store, broker, topic)
    assert found.balanced
    assert found.on_topics == found.in_log == len(appends.acknowledged)
    await broker.close()
    _judged_from_outside(cluster, url, topic, appends.acknowledged)


def _backlog_is_shown() -> bool:
    return signals.value("goldseam_outbox_pending", relay=RELAY, shard="0") > 0


def _judged_from_outside(
    cluster: KafkaCluster, url: str, topic: str, acknowledged: list[UUID]
) -> None:
    """Somebody else's SQL and somebody else's client agree, stream by stream and in order."""
    written = logged(url)
    assert {str(one) for one in acknowledged} == {one.event_id for one in written}
    assert firsts(written) == firsts(facts_on(cluster, topic))


async def test_a_backlog_drains_in_order(whole: KafkaCluster, tmp_path: object) -> None:
    """All three brokers are killed for a few seconds."""
    url = f"sqlite:///{tmp_path}/store.db"
    quick = {"delivery.timeout.ms": GIVE_UP_MS}
    await _through_an_outage(whole, url, OUTAGE_SECONDS, **quick)


@pytest.mark.soak
async def test_two_minutes_without_a_broker(whole: KafkaCluster, store_url: str) -> None:
    """The same for two minutes at 200 events a second, on both stores, as goldseam is set."""
    await _through_an_outage(whole, store_url, OUTAGE_SECONDS_SOAK)


async def _commit_then_publish(store: EventStore, cluster: KafkaCluster, topic: str) -> None:
    """What people write who have no outbox: a publish that fails is logged and forgotten."""
    broker = broker_at(cluster, **{"delivery.timeout.ms": GIVE_UP_MS})
    publisher = await broker.publisher()
    async with asyncio.TaskGroup() as tasks:
        for event in await store.raw_all(limit=BEFORE_EVENTS):
            record = record_of(event, topic, "/naive")
            tasks.create_task(_forgets(publisher.publish([record])))
            await asyncio.sleep(1 / EVENTS_PER_SECOND)
    await broker.close()


async def _forgets(publishing: object) -> None:
    with suppress(BrokerUnreachable):
        await publishing  # type: ignore[misc]


@pytest.mark.soak
async def test_control_without_an_outbox_the_outage_is_lost(
    whole: KafkaCluster, tmp_path: object
) -> None:
    """CONTROL: the same outage, and what was committed in it never reaches the topic."""
    url = f"sqlite:///{tmp_path}/store.db"
    broker = broker_at(whole)
    topic = await new_topic(broker)
    async with log(url, BEFORE_EVENTS) as store:
        _kill_all(whole)
        await _commit_then_publish(store, whole, topic)
        await asyncio.to_thread(revive, whole)
        found = await accounts(store, broker, topic)
    await broker.close()
    assert BEFORE_EVENTS == len(found.missing_ids)
