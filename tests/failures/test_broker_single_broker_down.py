"""broker/single-broker-down: three copies outlive one broker, and even its disk."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.kafka import (
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
from tools.kafka_cluster import KafkaCluster

__all__ = ["cluster", "whole"]

LOAD_SECONDS = 1.5


async def _under_load(cluster: KafkaCluster, copies: int, in_sync: int) -> tuple[str, int, int]:
    """Kill the leader and wipe its disk in the middle of a load; topic, acknowledged, failures."""
    broker = broker_at(cluster)
    topic = await new_topic(broker, copies, in_sync)
    publisher = await broker.publisher()
    load = Load(topic, publisher)
    running = asyncio.create_task(load.run())
    await asyncio.sleep(LOAD_SECONDS)
    leader = await leader_of(broker, topic)
    cluster.kill(leader)
    cluster.wipe(leader)
    if copies == 1:  # nobody else has the partition: it must come back before anything goes on
        revive(cluster)
    await asyncio.sleep(LOAD_SECONDS)
    load.stop()
    await running
    revive(cluster)
    await broker.close()
    return topic, load.acknowledged, load.failures


async def test_the_leader_dies_with_its_disk_and_nothing_is_lost(whole: KafkaCluster) -> None:
    """Killed and wiped under load: every acknowledged record is there, in its stream's order."""
    topic, acknowledged, _ = await _under_load(whole, copies=3, in_sync=2)
    found = on_topic(whole, topic)
    assert acknowledged > 0
    assert [] == list(lost(found, acknowledged))
    assert [] == out_of_order(found)


@pytest.mark.soak
async def test_control_one_copy_is_lost_with_its_disk(whole: KafkaCluster) -> None:
    """The same with one copy: acknowledged records are gone."""
    topic, acknowledged, _ = await _under_load(whole, copies=1, in_sync=1)
    assert lost(on_topic(whole, topic), acknowledged)
