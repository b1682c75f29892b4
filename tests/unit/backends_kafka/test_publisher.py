"""What a publisher does when its brokers fail."""

from __future__ import annotations

import asyncio

import pytest
from confluent_kafka import KafkaError

from goldseam.backends.kafka import KafkaBroker, open_broker
from goldseam.broker.errors import BrokerUnreachable, RecordRefused
from goldseam.broker.record import Partition, Record
from tests.support.mock_kafka import PRODUCE, MockKafka

TOPIC = "facts"
ENOUGH = 1_000
QUICKLY = {"delivery.timeout.ms": "1500", "request.timeout.ms": "1000"}


def numbered(count: int, first: int = 0) -> list[Record]:
    """Records of one key whose values are their numbers."""
    return [Record(TOPIC, b"k", str(n).encode()) for n in range(first, first + count)]


async def stored(broker: KafkaBroker) -> list[bytes | None]:
    """What the one partition holds."""
    admin = await broker.admin()
    return [one.value for one in await admin.read(Partition(TOPIC, 0), 0, ENOUGH)]


async def test_errors_that_pass_leave_one_copy_in_order(kafka: MockKafka) -> None:
    """Requests that are answered with a timeout are sent again, each record is there once."""
    kafka.create(TOPIC)
    broker = open_broker(kafka.url)
    publisher = await broker.publisher()
    await publisher.publish(numbered(1))
    passing = (KafkaError.REQUEST_TIMED_OUT, KafkaError.NOT_ENOUGH_REPLICAS)
    kafka.answer_with(PRODUCE, *passing)
    placed = await publisher.publish(numbered(20, 1))
    assert list(range(1, 21)) == [one.offset for one in placed]
    assert [one.value for one in numbered(21)] == await stored(broker)
    await broker.close()


async def test_a_leader_that_moves_costs_nothing(kafka: MockKafka) -> None:
    """Records go to the new leader, in order and once."""
    kafka.create(TOPIC)
    kafka.lead(TOPIC, 0, 1)
    broker = open_broker(kafka.url)
    publisher = await broker.publisher()
    await publisher.publish(numbered(5))
    kafka.lead(TOPIC, 0, 2)
    kafka.down(1)
    await publisher.publish(numbered(5, 5))
    assert [one.value for one in numbered(10)] == await stored(broker)
    await broker.close()


async def test_brokers_that_are_gone_are_unreachable_and_come_back(kafka: MockKafka) -> None:
    """The call fails within the delivery's bound, and the same publisher works afterwards."""
    kafka.create(TOPIC)
    broker = open_broker(kafka.url, QUICKLY)
    publisher = await broker.publisher()
    await publisher.publish(numbered(1))
    kafka.down()
    with pytest.raises(BrokerUnreachable):
        await publisher.publish(numbered(3, 1))
    kafka.up()
    await publisher.publish(numbered(3, 1))
    assert [one.value for one in numbered(4)] == await stored(broker)
    await broker.close()


async def test_nothing_overtakes_a_batch_that_failed(kafka: MockKafka) -> None:
    """What was queued behind it fails too, so sending all again keeps the order."""
    kafka.create(TOPIC)
    broker = open_broker(kafka.url, QUICKLY)
    publisher = await broker.publisher()
    await publisher.publish(numbered(1))
    kafka.down()
    calls = [publisher.publish(numbered(5, 1 + 5 * n)) for n in range(4)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [BrokerUnreachable] * 4 == [type(one) for one in results]
    kafka.up()
    await publisher.publish(numbered(20, 1))
    assert [one.value for one in numbered(21)] == await stored(broker)
    await broker.close()


async def test_a_record_that_is_too_large_is_refused(kafka: MockKafka) -> None:
    """It would be refused again; the publisher goes on with others."""
    kafka.create(TOPIC)
    broker = open_broker(kafka.url)
    publisher = await broker.publisher()
    with pytest.raises(RecordRefused, match="MSG_SIZE_TOO_LARGE"):
        await publisher.publish([Record(TOPIC, b"k", bytes(2_000_000))])
    await publisher.publish(numbered(1))
    assert [b"0"] == await stored(broker)
    await broker.close()


async def test_a_queue_that_is_full_is_waited_for(kafka: MockKafka) -> None:
    """More records than the client's queue holds are sent all the same, in order."""
    kafka.create(TOPIC)
    broker = open_broker(kafka.url, {"queue.buffering.max.messages": "10"})
    publisher = await broker.publisher()
    await publisher.publish(numbered(300))
    assert [one.value for one in numbered(300)] == await stored(broker)
    await broker.close()
