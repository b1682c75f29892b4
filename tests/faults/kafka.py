"""A Kafka cluster of a test's own, to be broken; and a load on it whose outcome is written down."""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from goldseam.backends.kafka import KafkaBroker, open_broker
from goldseam.broker.errors import BrokerUnreachable
from goldseam.broker.port import Publisher, Topic
from goldseam.broker.record import Record
from tools import kafka_jars
from tools.kafka_cluster import KafkaCluster

JARS = kafka_jars.find()
REASON = "missing part: Kafka's jars are not here; run: make services"
PARTITIONS = 3
STREAMS = 6
DRAIN_SECONDS_MAX = 60.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Three brokers that no other test uses."""
    if JARS is None:
        pytest.skip(REASON)
    made = KafkaCluster(tmp_path_factory.mktemp("kafka"), JARS)
    made.start()
    yield made
    made.remove()


@pytest.fixture
def whole(cluster: KafkaCluster) -> Iterator[KafkaCluster]:
    """The cluster with all its brokers, before and after the test."""
    revive(cluster)
    yield cluster
    revive(cluster)


def revive(cluster: KafkaCluster) -> None:
    """Start what was killed, wake what was stopped."""
    for number in cluster.numbers:
        cluster.signal(number, signal.SIGCONT)
        cluster.launch(number)
    for number in cluster.numbers:
        cluster.wait_until_started(number)


def broker_at(cluster: KafkaCluster, **config: str) -> KafkaBroker:
    """goldseam's own client of the cluster."""
    return open_broker(f"kafka://{cluster.bootstrap()}", config)


async def new_topic(
    broker: KafkaBroker,
    copies: int = 3,
    in_sync: int = 2,
    *,
    unclean: bool = False,
    config: Mapping[str, str] | None = None,
) -> str:
    """A topic of its own."""
    name = f"fault-{uuid4().hex[:12]}"
    admin = await broker.admin()
    settings = {
        "min.insync.replicas": str(in_sync),
        "unclean.leader.election.enable": str(unclean).lower(),
        **(config or {}),
    }
    topic = Topic(name=name, partitions=PARTITIONS, replication=copies, config=settings)
    assert await admin.create(topic)
    await admin.close()
    return name


async def leader_of(broker: KafkaBroker, topic: str, number: int = 0) -> int:
    """The broker that leads a partition; -1 while there is none."""
    return (await _copies_of(broker, topic, number))[0]


async def follower_of(broker: KafkaBroker, topic: str, number: int = 0) -> int:
    """A broker that copies a partition and does not lead it."""
    leader, copies = await _copies_of(broker, topic, number)
    return next(one for one in copies if one != leader)


async def _copies_of(broker: KafkaBroker, topic: str, number: int) -> tuple[int, list[int]]:
    """The leader and all copies of a partition."""
    admin = await broker.admin()
    listed = await asyncio.to_thread(admin._client.list_topics, topic, 15)
    await admin.close()
    found = listed.topics[topic].partitions[number]
    return found.leader, found.replicas


class Load:
    """Numbered records of a few streams, sent one batch after another until told to stop.

    A batch that fails is sent again before anything newer, as the relay does; one that ``forgets``
    goes on with the next. ``ballast`` follows the number in each record.
    """

    def __init__(
        self,
        topic: str,
        publisher: Publisher,
        *,
        pause_seconds: float = 0.005,
        ballast: bytes = b"",
        forgets: bool = False,
    ) -> None:
        self._topic, self._publisher, self._pause = topic, publisher, pause_seconds
        self._ballast, self._forgets = ballast, forgets
        self._stopping = asyncio.Event()
        self.acknowledged = 0
        self.failures = 0

    def stop(self) -> None:
        """End after the batch that is on its way."""
        self._stopping.set()

    async def run(self) -> None:
        """Send until stopped; everything that was begun is acknowledged then."""
        while not self._stopping.is_set():
            await self._send(self.acknowledged)
            self.acknowledged += STREAMS
            await asyncio.sleep(self._pause)

    async def _send(self, first: int) -> None:
        records = [
            Record(self._topic, f"s{n % STREAMS}".encode(), b"%d %b" % (n, self._ballast))
            for n in range(first, first + STREAMS)
        ]
        while True:
            try:
                await self._publisher.publish(records)
            except BrokerUnreachable:
                self.failures += 1
                if self._forgets:
                    return
                await asyncio.sleep(0.1)
            else:
                return


def on_topic(cluster: KafkaCluster, topic: str) -> dict[str, list[int]]:
    """What a plain client finds: each stream's numbers in the order of their first arrival."""
    streams: dict[str, list[int]] = defaultdict(list)
    seen: set[int] = set()
    for message in read_to_end(cluster, topic):
        key, value = message.key(), message.value()
        assert key is not None
        assert value is not None
        number = int(value.split(b" ")[0])
        if number not in seen:
            seen.add(number)
            streams[key.decode()].append(number)
    return streams


def read_to_end(cluster: KafkaCluster, topic: str) -> Iterator[Message]:
    """Every record of a topic, in the order of each partition, through the client alone."""
    consumer = Consumer(
        {
            "bootstrap.servers": cluster.bootstrap(),
            "group.id": "judge",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    consumer.assign([TopicPartition(topic, n, 0) for n in range(PARTITIONS)])
    ended: set[int] = set()
    while len(ended) < PARTITIONS:
        message = consumer.poll(DRAIN_SECONDS_MAX)
        assert message is not None, "the topic cannot be read to its end"
        error = message.error()
        if error is None:
            yield message
        elif error.code() == KafkaError._PARTITION_EOF:
            ended.add(message.partition() or 0)
    consumer.close()


def lost(found: dict[str, list[int]], acknowledged: int) -> Sequence[int]:
    """Acknowledged numbers that are on no partition."""
    there = {number for numbers in found.values() for number in numbers}
    return sorted(set(range(acknowledged)) - there)


def out_of_order(found: dict[str, list[int]]) -> list[str]:
    """Streams whose numbers did not first arrive in order."""
    return [stream for stream, numbers in found.items() if numbers != sorted(numbers)]
