"""broker/partition-leader-election: leaders come and go, acknowledged records stay in order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Collection

import pytest

from goldseam.broker.port import Membership, Subscription
from goldseam.broker.record import Partition
from tests.faults.kafka import (
    STREAMS,
    Load,
    broker_at,
    cluster,
    follower_of,
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

ROUNDS = 1
ROUNDS_SOAK = 24
"""One every five seconds for two minutes."""

BETWEEN_SECONDS = 2.0
GIVE_UP_MS = "3000"


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


@pytest.mark.soak
async def test_a_mute_leader_is_passed_over(whole: KafkaCluster) -> None:
    """A broker that is stopped, not dead: writing goes on with another leader, without a failure.

    The first answer that is waited for in vain is the one of the stopped broker; the client must
    ask again elsewhere before it gives the records up.
    """
    broker = broker_at(whole)
    topic = await new_topic(broker)
    load = Load(topic, await broker.publisher())
    running = asyncio.create_task(load.run())
    await asyncio.sleep(BETWEEN_SECONDS)
    leader = await leader_of(broker, topic)
    whole.signal(leader, signal.SIGSTOP)
    before = load.acknowledged
    await eventually(lambda: load.acknowledged > before + 2 * STREAMS)
    assert 0 == load.failures
    whole.signal(leader, signal.SIGCONT)
    load.stop()
    await running
    await broker.close()
    found = on_topic(whole, topic)
    assert [] == list(lost(found, load.acknowledged))
    assert [] == out_of_order(found)


class Nobody:
    """A listener that does nothing."""

    async def assigned(self, partitions: Collection[Partition]) -> None:
        """Theirs to read."""

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """Somebody else's."""

    async def lost(self, partitions: Collection[Partition]) -> None:
        """Somebody else's already."""


async def _read_into(seen: set[int], subscription: Subscription) -> None:
    while True:
        for one in await subscription.poll(1_000, 0.1):
            assert one.value is not None
            seen.add(int(one.value.split(b" ")[0]))


@pytest.mark.soak
async def test_a_consumer_leaves_a_mute_leader(whole: KafkaCluster) -> None:
    """It reads on from the next leader, while the stopped broker still holds its connections."""
    broker = broker_at(whole)
    topic = await new_topic(broker)
    load = Load(topic, await broker.publisher())
    running = asyncio.create_task(load.run())
    seen: set[int] = set()
    subscription = await broker.subscribe([topic], Membership(group=topic), Nobody())
    reading = asyncio.create_task(_read_into(seen, subscription))
    await eventually(lambda: len(seen) > STREAMS)
    leader = await leader_of(broker, topic)
    whole.signal(leader, signal.SIGSTOP)
    before = load.acknowledged
    await eventually(lambda: load.acknowledged > before + 2 * STREAMS)
    wanted = set(range(load.acknowledged))
    await eventually(lambda: wanted <= seen)
    whole.signal(leader, signal.SIGCONT)
    load.stop()
    await running
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await broker.close()


@pytest.mark.soak
async def test_one_of_three_left_refuses_and_loses_nothing(whole: KafkaCluster) -> None:
    """Two of three copies are gone: the last one takes nothing more, and what was taken stays."""
    broker = broker_at(whole, **{"delivery.timeout.ms": GIVE_UP_MS})
    topic = await new_topic(broker)
    load = Load(topic, await broker.publisher())
    running = asyncio.create_task(load.run())
    await eventually(lambda: load.acknowledged > 0)
    leader = await leader_of(broker, topic)
    for number in whole.numbers:
        if number != leader:
            whole.kill(number)
    before = load.failures
    await eventually(lambda: load.failures > before + 1)
    refused_at = load.acknowledged
    await eventually(lambda: load.failures > before + 2)
    assert refused_at == load.acknowledged
    await asyncio.to_thread(revive, whole)
    await eventually(lambda: load.acknowledged > refused_at)
    load.stop()
    await running
    await broker.close()
    found = on_topic(whole, topic)
    assert [] == list(lost(found, load.acknowledged))
    assert [] == out_of_order(found)


async def _stale_copy_comes_back(
    cluster: KafkaCluster, in_sync: int, *, unclean: bool
) -> tuple[str, int]:
    """A follower dies, the leader is written to, the leader dies, the stale follower comes back."""
    broker = broker_at(cluster, **{"delivery.timeout.ms": GIVE_UP_MS})
    topic = await new_topic(broker, 2, in_sync, unclean=unclean)
    load = Load(topic, await broker.publisher())
    running = asyncio.create_task(load.run())
    await eventually(lambda: load.acknowledged > 0)
    leader, follower = await leader_of(broker, topic), await follower_of(broker, topic)
    cluster.kill(follower)
    await asyncio.sleep(3 * BETWEEN_SECONDS)
    load.stop()
    cluster.kill(leader)
    cluster.launch(follower)
    await asyncio.to_thread(cluster.wait_until_started, follower)
    await asyncio.sleep(3 * BETWEEN_SECONDS)
    await asyncio.to_thread(revive, cluster)
    await running
    await broker.close()
    return topic, load.acknowledged


@pytest.mark.soak
async def test_a_stale_copy_does_not_become_the_truth(whole: KafkaCluster) -> None:
    """Two copies in sync are asked for: what the stale copy has missed was never acknowledged."""
    topic, acknowledged = await _stale_copy_comes_back(whole, in_sync=2, unclean=False)
    found = on_topic(whole, topic)
    assert [] == list(lost(found, acknowledged))
    assert [] == out_of_order(found)


@pytest.mark.soak
async def test_control_one_in_sync_and_unclean_election_lose(whole: KafkaCluster) -> None:
    """CONTROL: one copy is enough and any copy may lead: acknowledged records are gone."""
    topic, acknowledged = await _stale_copy_comes_back(whole, in_sync=1, unclean=True)
    assert lost(on_topic(whole, topic), acknowledged)
