"""librdkafka's messages as records."""

from __future__ import annotations

from confluent_kafka import Message, TopicPartition

from goldseam.broker.record import Partition, Received


def received(message: Message) -> Received:
    """``message`` as the port has it."""
    return Received(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        message.key(),
        message.value(),
        tuple(message.headers() or ()),  # type: ignore[arg-type]
        message.timestamp()[1],
    )


def place_of(one: TopicPartition) -> Partition:
    """Topic and number."""
    return Partition(one.topic, one.partition)


def at(place: Partition, offset: int | None = None) -> TopicPartition:
    """``place`` as librdkafka has it."""
    if offset is None:
        return TopicPartition(place.topic, place.number)
    return TopicPartition(place.topic, place.number, offset)
