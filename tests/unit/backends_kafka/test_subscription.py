"""A group's member: what it is told, and what it stores."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest
from confluent_kafka import KafkaError

from goldseam.backends.kafka import open_broker
from goldseam.backends.kafka.errors import translated
from goldseam.backends.kafka.subscription import KafkaSubscription
from goldseam.broker.errors import BrokerError, BrokerUnreachable, FencedMember, RecordRefused
from goldseam.broker.port import Membership
from goldseam.broker.record import Partition, Record
from tests.support.mock_kafka import MockKafka

TOPIC = "facts"
PATIENCE_SECONDS = 30.0
"""For a broken program, not a measurement."""


class Told:
    """Writes down what it is told, and yields to the loop while it is told."""

    def __init__(self) -> None:
        self.words: list[tuple[str, frozenset[Partition]]] = []
        self.subscription: KafkaSubscription | None = None
        self.commits: dict[Partition, int] = {}

    async def assigned(self, partitions: Collection[Partition]) -> None:
        await asyncio.sleep(0)
        self.words.append(("assigned", frozenset(partitions)))

    async def revoked(self, partitions: Collection[Partition]) -> None:
        if self.subscription is not None:
            await self.subscription.commit(self.commits)
        self.words.append(("revoked", frozenset(partitions)))

    async def lost(self, partitions: Collection[Partition]) -> None:
        self.words.append(("lost", frozenset(partitions)))


async def until_assigned(subscription: KafkaSubscription) -> None:
    """Poll until it owns something."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not subscription.assigned:
            await subscription.poll(1, 0.1)


@pytest.mark.parametrize("instance", [None, "ledger-0"])
async def test_a_listener_can_commit_while_it_gives_back(
    kafka: MockKafka, instance: str | None
) -> None:
    """What it commits in ``revoked`` is stored before the partition goes."""
    kafka.create(TOPIC)
    place = Partition(TOPIC, 0)
    broker = open_broker(kafka.url)
    publisher = await broker.publisher()
    await publisher.publish([Record(TOPIC, b"k", b"v")] * 5)
    told = Told()
    member = Membership(group="ledger", instance=instance, session_seconds=6.0)
    first = await broker.subscribe([TOPIC], member, told)
    await until_assigned(first)
    told.subscription, told.commits = first, {place: 3}
    await first.close()
    here = frozenset({place})
    assert [("assigned", here), ("revoked", here)] == told.words
    second = await broker.subscribe([TOPIC], member, Told())
    await until_assigned(second)
    assert {place: 3} == await second.committed([place])
    await broker.close()


async def test_a_paused_partition_delivers_nothing_and_stays_owned(kafka: MockKafka) -> None:
    """After ``resume`` everything is there, from where it stopped."""
    kafka.create(TOPIC)
    place = Partition(TOPIC, 0)
    broker = open_broker(kafka.url)
    told = Told()
    member = Membership(group="slow", session_seconds=6.0)
    subscription = await broker.subscribe([TOPIC], member, told)
    await until_assigned(subscription)
    await subscription.pause([place])
    publisher = await broker.publisher()
    await publisher.publish([Record(TOPIC, b"k", str(n).encode()) for n in range(5)])
    for _ in range(5):
        assert [] == list(await subscription.poll(10, 0.1))
    assert {place} == subscription.assigned
    await subscription.resume([place])
    found: list[bytes | None] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < 5:
            found += [one.value for one in await subscription.poll(10, 0.1)]
    assert [b"0", b"1", b"2", b"3", b"4"] == found
    await broker.close()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError.ILLEGAL_GENERATION, FencedMember),
        (KafkaError.UNKNOWN_MEMBER_ID, FencedMember),
        (KafkaError.FENCED_INSTANCE_ID, FencedMember),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, RecordRefused),
        (KafkaError.REQUEST_TIMED_OUT, BrokerUnreachable),
    ],
)
def test_errors_say_what_to_do_next(code: int, kind: type[BrokerError]) -> None:
    """Fenced, refused and unreachable are told apart."""
    assert kind is type(translated(KafkaError(code), "trying"))
