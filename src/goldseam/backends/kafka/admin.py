"""The desk: topics, what they hold, groups and their offsets; reads outside of any group."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported without saying so
    AdminClient,
    ConfigResource,
    NewTopic,
)

from goldseam.backends.kafka import errors
from goldseam.backends.kafka.config import for_admin, for_reader, for_visitor
from goldseam.backends.kafka.records import at, place_of, received
from goldseam.broker.errors import BrokerUnreachable
from goldseam.broker.port import Member, Span, Topic
from goldseam.broker.record import Partition, Received

SECONDS_MAX = 15.0
"""How long the cluster may take to answer one question."""

READERS_MAX = 64
"""Partitions that are read side by side without starting anew."""

VISITORS_MAX = 8
"""Groups that are asked for their offsets without starting anew."""

_COORDINATOR_MOVES = {
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
}
LOOK_SECONDS = 0.2

T = TypeVar("T")


class Reader:
    """Reads one partition from any offset, going on where it was if that is asked."""

    def __init__(self, settings: Mapping[str, Any], place: Partition) -> None:
        self._consumer, self._place = Consumer(dict(settings)), place
        self._next = -1

    def span(self) -> Span:
        """What the partition holds."""
        low, high = self._consumer.get_watermark_offsets(
            at(self._place), timeout=SECONDS_MAX, cached=False
        )
        return Span(low, high)

    def read(self, offset: int, limit: int) -> list[Received]:
        """Records from ``offset`` on; fewer at the end."""
        span = self.span()
        offset = max(offset, span.low)
        if offset >= span.high:
            return []
        if offset != self._next:
            self._consumer.assign([at(self._place, offset)])
        found: list[Received] = []
        self._next = offset
        until = time.monotonic() + SECONDS_MAX
        while len(found) < limit and self._next < span.high:
            if time.monotonic() > until:
                self._next = -1
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
            messages = self._consumer.consume(min(limit - len(found), span.high - offset), 0.05)
            for message in messages:
                error = message.error()
                if error is None:
                    found.append(received(message))
                    self._next = found[-1].offset + 1
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                    self._next = max(self._next, message.offset() or 0)
                    return found
                else:
                    self._next = -1
                    raise KafkaException(error)
        return found

    def close(self) -> None:
        """Give back its sockets."""
        self._consumer.close()


class KafkaAdmin:
    """See :class:`goldseam.broker.port.Admin`."""

    def __init__(self, bootstrap: str, extra: Mapping[str, str]) -> None:
        self._bootstrap, self._extra = bootstrap, extra
        self._client = AdminClient(for_admin(bootstrap, extra))
        self._readers: dict[Partition, Reader] = {}
        self._visitors: dict[str, Consumer] = {}
        self._turn = threading.Lock()
        self._closed = False

    async def _ask(self, doing: str, function: Callable[[], T]) -> T:
        """Run ``function`` in a thread; one whose caller gave up keeps its turn to its end."""
        try:
            return await asyncio.to_thread(self._in_turn, function)
        except KafkaException as error:
            raise errors.of(error, doing) from None

    def _in_turn(self, function: Callable[[], T]) -> T:
        with self._turn:
            if self._closed:  # whoever asked has gone home: nobody waits for the rest of the queue
                raise BrokerUnreachable("this desk is closed; open another one")
            return function()

    async def topics(self) -> Mapping[str, Topic]:
        """All topics that are not the broker's own."""
        return await self._ask("listing topics", self._topics)

    def _topics(self) -> dict[str, Topic]:
        listed = self._client.list_topics(timeout=SECONDS_MAX).topics
        names = [name for name in listed if not name.startswith("__")]
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        configs = self._asked_configs(resources) if resources else {}
        found = {}
        for resource, future in configs.items():
            config = {name: entry.value or "" for name, entry in future.result().items()}
            partitions = listed[resource.name].partitions
            replication = min((len(one.replicas) for one in partitions.values()), default=0)
            found[resource.name] = Topic(
                name=resource.name,
                partitions=len(partitions),
                replication=replication,
                config=config,
            )
        return found

    def _asked_configs(self, resources: list[ConfigResource]) -> dict[ConfigResource, Any]:
        return self._client.describe_configs(resources, request_timeout=SECONDS_MAX)

    async def create(self, topic: Topic) -> bool:
        """Create ``topic``; False when it was there."""
        return await self._ask(f"creating topic {topic.name}", lambda: self._create(topic))

    def _create(self, topic: Topic) -> bool:
        new = NewTopic(
            topic.name,
            num_partitions=topic.partitions,
            replication_factor=topic.replication,
            config=dict(topic.config),
        )
        try:
            self._client.create_topics([new], request_timeout=SECONDS_MAX)[topic.name].result()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                return False
            raise
        return True

    async def spans(self, topic: str) -> Mapping[Partition, Span]:
        """What each partition of ``topic`` holds."""
        return await self._ask(f"looking at {topic}", lambda: self._spans(topic))

    def _spans(self, topic: str) -> dict[Partition, Span]:
        described = self._client.list_topics(topic, timeout=SECONDS_MAX).topics[topic]
        if described.error is not None:
            raise KafkaException(described.error)
        places = [Partition(topic, number) for number in sorted(described.partitions)]
        return {place: self._reader(place).span() for place in places}

    async def read(self, partition: Partition, offset: int, limit: int) -> Sequence[Received]:
        """Records from ``offset`` on, outside of any group; fewer than ``limit`` at the end."""
        return await self._ask(
            f"reading {partition.topic}/{partition.number}",
            lambda: self._reader(partition).read(offset, limit),
        )

    def _reader(self, place: Partition) -> Reader:
        found = self._readers.pop(place, None)
        if found is None:
            if len(self._readers) >= READERS_MAX:
                self._readers.pop(next(iter(self._readers))).close()
            found = Reader(for_reader(self._bootstrap, self._extra), place)
        self._readers[place] = found  # the last used is the last to go
        return found

    async def groups(self) -> Sequence[str]:
        """The groups that the broker knows."""
        return await self._ask("listing groups", self._groups)

    def _groups(self) -> list[str]:
        found = self._client.list_consumer_groups(request_timeout=SECONDS_MAX).result()
        if found.errors and not found.valid:
            raise found.errors[0]
        return sorted(one.group_id for one in found.valid)

    async def members(self, group: str) -> Sequence[Member]:
        """The present members of ``group``."""
        return await self._ask(f"looking at group {group}", lambda: self._members(group))

    def _members(self, group: str) -> list[Member]:
        try:
            described = _once_coordinated(lambda: self._described(group))
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return []
            raise
        return [
            Member(
                id=one.member_id,
                instance=one.group_instance_id,
                partitions=tuple(map(place_of, _assigned(one))),
            )
            for one in described.members
        ]

    def _described(self, group: str) -> Any:
        asked = self._client.describe_consumer_groups([group], request_timeout=SECONDS_MAX)
        return asked[group].result()

    async def offsets(self, group: str) -> Mapping[Partition, int]:
        """What ``group`` has committed."""
        return await self._ask(f"looking at group {group}", lambda: self._offsets(group))

    def _offsets(self, group: str) -> dict[Partition, int]:
        """Asked through a client of the group that never joins it.

        The admin client's own question kills the process when the group's coordinator is moving
        or loading: https://github.com/confluentinc/librdkafka/issues/5040.
        """
        listed = self._client.list_topics(timeout=SECONDS_MAX).topics.items()
        wanted = [at(Partition(name, n)) for name, one in listed for n in one.partitions]
        if not wanted:
            return {}
        found = _once_coordinated(lambda: self._committed(group, wanted))
        return {place_of(one): one.offset for one in found if one.offset >= 0}

    def _committed(self, group: str, wanted: list[TopicPartition]) -> list[TopicPartition]:
        found = self._visitor(group).committed(wanted, timeout=SECONDS_MAX)
        for one in found:
            if one.error is not None:
                raise KafkaException(one.error)
        return found

    def _visitor(self, group: str) -> Consumer:
        found = self._visitors.pop(group, None)
        if found is None:
            if len(self._visitors) >= VISITORS_MAX:
                self._visitors.pop(next(iter(self._visitors))).close()
            found = Consumer(for_visitor(self._bootstrap, group, self._extra))
        self._visitors[group] = found  # the last used is the last to go
        return found

    async def set_offsets(self, group: str, offsets: Mapping[Partition, int]) -> None:
        """Move a group that has no members now."""
        wanted = [at(place, offset) for place, offset in offsets.items()]
        asked = [ConsumerGroupTopicPartitions(group, wanted)]
        await self._ask(
            f"moving group {group}, which must have no members",
            lambda: self._altered(asked, group),
        )

    def _altered(self, asked: list[ConsumerGroupTopicPartitions], group: str) -> None:
        answers = self._client.alter_consumer_group_offsets(asked, request_timeout=SECONDS_MAX)
        done = answers[group].result()
        for one in done.topic_partitions:
            if one.error is not None:
                raise KafkaException(one.error)

    async def online(self) -> int:
        """How many brokers of the cluster answer."""
        return await self._ask(
            "listing brokers", lambda: len(self._client.list_topics(timeout=SECONDS_MAX).brokers)
        )

    async def copies_in_sync(self) -> Mapping[Partition, tuple[int, int]]:
        """For each partition how many copies it has, and how many of them are in sync."""
        return await self._ask("listing partitions", self._copies)

    def _copies(self) -> dict[Partition, tuple[int, int]]:
        return {
            Partition(name, number): (len(one.replicas), len(one.isrs))
            for name, topic in self._client.list_topics(timeout=SECONDS_MAX).topics.items()
            for number, one in topic.partitions.items()
        }

    async def broker_config(self) -> Mapping[int, Mapping[str, str]]:
        """The settings of each broker by its number."""
        return await self._ask("asking for the brokers' settings", self._broker_config)

    def _broker_config(self) -> dict[int, dict[str, str]]:
        numbers = self._client.list_topics(timeout=SECONDS_MAX).brokers
        if not numbers:
            raise KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN))  # noqa: SLF001
        found = {}
        for number in numbers:  # a request may name one broker only
            resource = ConfigResource(ConfigResource.Type.BROKER, str(number))
            entries = self._asked_configs([resource])[resource].result()
            found[number] = {name: entry.value or "" for name, entry in entries.items()}
        return found

    async def close(self) -> None:
        """Give back sockets and threads. May be called twice."""
        self._closed = True
        await asyncio.to_thread(self._close_clients)

    def _close_clients(self) -> None:
        with self._turn:
            for clients in (self._readers, self._visitors):
                while clients:
                    clients.popitem()[1].close()


def _assigned(member: Any) -> Collection[TopicPartition]:
    return member.assignment.topic_partitions if member.assignment is not None else ()


def _once_coordinated(ask: Callable[[], T]) -> T:
    """What ``ask`` gives; a coordinator that is being found, moved or loaded is waited for."""
    until = time.monotonic() + SECONDS_MAX
    while True:
        try:
            return ask()
        except KafkaException as error:
            moves = error.args[0].code() in _COORDINATOR_MOVES
            if not moves or time.monotonic() > until:
                raise
        time.sleep(LOOK_SECONDS)
