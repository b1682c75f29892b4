"""broker/partition-leader-election: leaders come and go, acknowledged records stay in order."""

from __future__ import annotations

import asyncio
import signal

import pytest

from goldseam.broker.errors import BrokerUnreachable
from goldseam.broker.record import Record
from tests.faults.kafka import (
    STREAMS,
    Load,
    broker_at,
    cluster,
    leader_of,
    lost,
    new_topic,
    on_topic,
    out_of_order,
    revive,
    whole,
)
from tests.support.eventually import eventually
from tools.kafka_cluster import KafkaCluster

__all__ = ["cluster", "whole"]

ROUNDS = 3
ROUNDS_SOAK = 24
"""One every five seconds for two minutes."""

BETWEEN_SECONDS = 2.0


async def _moved(cluster: KafkaCluster, rounds: int) -> tuple[str, int]:
    """Under load, kill the leader of a partition and start it again, round after round."""
    broker = broker_at(cluster)
    topic = await new_topic(broker)
    load = Load(topic, await broker.publisher())
    running = asyncio.create_task(load.run())
    for _ in range(rounds):
        await asyncio.sleep(BETWEEN_SECONDS)
        leader = await leader_of(broker, topic)
        cluster.kill(leader)
        await asyncio.sleep(BETWEEN_SECONDS)
        await asyncio.to_thread(revive, cluster)
    load.stop()
    await running
    await broker.close()
    return topic, load.acknowledged


async def test_leaders_are_killed_under_load(whole: KafkaCluster) -> None:
    """Every acknowledged record is there, in its stream's order."""
    topic, acknowledged = await _moved(whole, ROUNDS)
    found = on_topic(whole, topic)
    assert acknowledged > 0
    assert [] == list(lost(found, acknowledged))
    assert [] == out_of_order(found)


@pytest.mark.soak
async def test_leaders_are_killed_for_two_minutes(whole: KafkaCluster) -> None:
    """The same for long."""
    topic, acknowledged = await _moved(whole, ROUNDS_SOAK)
    found = on_topic(whole, topic)
    assert [] == list(lost(found, acknowledged))
    assert [] == out_of_order(found)


async def test_a_mute_leader_is_passed_over(whole: KafkaCluster) -> None:
    """A broker that is stopped, not dead: writing goes on with another leader."""
    broker = broker_at(whole)
    topic = await new_topic(broker)
    load = Load(topic, await broker.publisher())
    running = asyncio.create_task(load.run())
    await asyncio.sleep(BETWEEN_SECONDS)
    leader = await leader_of(broker, topic)
    whole.signal(leader, signal.SIGSTOP)
    before = load.acknowledged
    await eventually(lambda: load.acknowledged > before + 2 * STREAMS)
    whole.signal(leader, signal.SIGCONT)
    load.stop()
    await running
    await broker.close()
    found = on_topic(whole, topic)
    assert [] == list(lost(found, load.acknowledged))
    assert [] == out_of_order(found)


async def test_control_without_a_second_copy_in_sync_nothing_is_acknowledged(
    whole: KafkaCluster,
) -> None:
    """min.insync.replicas=2 with one copy: the broker would rather refuse than risk the record."""
    broker = broker_at(whole, **{"delivery.timeout.ms": "3000"})
    topic = await new_topic(broker, copies=1, in_sync=2)
    publisher = await broker.publisher()
    with pytest.raises(BrokerUnreachable):
        await publisher.publish([Record(topic, b"k", b"0")])
    await broker.close()
    assert {} == on_topic(whole, topic)
