"""One member of a consumer group; its client is owned by one thread.

The client sends heartbeats by itself; it is asked for records often enough while handlers work,
because they run beside it. A member that is not asked for ``max_poll_seconds`` has hung: the
group goes on without it, and the fence in the target database refuses what it does afterwards.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from goldseam.backends.kafka import errors
from goldseam.backends.kafka.config import Config
from goldseam.backends.kafka.owner import Owner
from goldseam.backends.kafka.records import at, place_of, received
from goldseam.broker.errors import BrokerError, BrokerUnreachable
from goldseam.broker.port import CLOSED, Listener
from goldseam.broker.record import Partition, Received

CLOSE_SECONDS = 30.0
LISTENER_SECONDS = 60.0
"""How long a member may take to give its partitions back in good order."""

COMMITTED_SECONDS = 10.0

_log = logging.getLogger("goldseam.kafka")


class KafkaSubscription:
    """See :class:`goldseam.broker.port.Subscription`."""

    def __init__(self, config: Config, topics: Sequence[str], listener: Listener) -> None:
        self._owner = Owner(f"{config['group.id']}-kafka")
        self._listener = listener
        self._consumer = Consumer(config, logger=_log)
        self._assigned: frozenset[Partition] = frozenset()
        self._closed = False
        self._late: BrokerError | None = None
        self._consumer.subscribe(
            list(topics),
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    @property
    def assigned(self) -> frozenset[Partition]:
        """The partitions it owns at the moment."""
        return self._assigned

    async def poll(self, limit: int, seconds: float) -> Sequence[Received]:
        """At most ``limit`` records, waiting at most ``seconds`` for the first."""
        if self._closed:
            raise BrokerUnreachable(CLOSED)
        return await self._owner.call(lambda: self._poll(limit, seconds))

    def _poll(self, limit: int, seconds: float) -> list[Received]:
        if self._late is not None:
            error, self._late = self._late, None
            raise error
        try:
            first = self._consumer.poll(seconds)
            if first is None:
                return []
            more = self._consumer.consume(limit - 1, 0) if limit > 1 else []
        except KafkaException as error:
            raise errors.of(error, "asking for records") from None
        return self._without_errors([first, *more])

    def _without_errors(self, messages: Sequence[Message]) -> list[Received]:
        found = []
        for message in messages:
            error = message.error()
            if error is None:
                found.append(received(message))
            elif error.code() != KafkaError._MAX_POLL_EXCEEDED:  # noqa: SLF001 -- it joins again
                self._late = errors.translated(error, "asking for records")
        if self._late is not None and not found:
            error_, self._late = self._late, None
            raise error_
        return found

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Store the next offsets to read."""
        if offsets:
            await self._owner.call(lambda: self._commit(offsets))

    def _commit(self, offsets: Mapping[Partition, int]) -> None:
        wanted = [at(place, offset) for place, offset in offsets.items()]
        try:
            done = self._consumer.commit(offsets=wanted, asynchronous=False)
        except KafkaException as error:
            raise errors.of(error, "committing offsets") from None
        for one in done or ():
            if one.error is not None:
                raise errors.translated(one.error, f"committing {one.topic}/{one.partition}")

    async def committed(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """The stored offsets; a partition without one is left out."""
        wanted = [at(place) for place in partitions]
        try:
            found = await self._owner.call(
                lambda: self._consumer.committed(wanted, timeout=COMMITTED_SECONDS)
            )
        except KafkaException as error:
            raise errors.of(error, "asking for committed offsets") from None
        return {place_of(one): one.offset for one in found if one.offset >= 0}

    async def pause(self, partitions: Collection[Partition]) -> None:
        """Deliver nothing of these until :meth:`resume`."""
        mine = [at(place) for place in partitions if place in self._assigned]
        if mine:
            await self._owner.call(lambda: self._consumer.pause(mine))

    async def resume(self, partitions: Collection[Partition]) -> None:
        """Deliver them again."""
        mine = [at(place) for place in partitions if place in self._assigned]
        if mine:
            await self._owner.call(lambda: self._consumer.resume(mine))

    async def seek(self, partition: Partition, offset: int) -> None:
        """Deliver from ``offset`` next."""
        if partition in self._assigned:
            await self._owner.call(lambda: self._seek(partition, offset))

    def _seek(self, partition: Partition, offset: int) -> None:
        """A seek needs a fetch that has begun; taking the partition up anew does not."""
        try:
            self._consumer.seek(at(partition, offset))
        except KafkaException:
            self._consumer.incremental_unassign([at(partition)])
            self._consumer.incremental_assign([at(partition, offset)])

    async def close(self) -> None:
        """Leave; a static member keeps its place until its session ends."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._owner.call(self._consumer.close)
        except (KafkaException, RuntimeError) as error:
            raise BrokerUnreachable(f"leaving the group: {error}") from None
        finally:
            await self._owner.end(CLOSE_SECONDS)

    # ------------------------------------------------------------------ callbacks, in the thread

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = [place_of(one) for one in partitions]
        self._assigned |= set(places)
        if places:
            self._owner.wait_for(self._listener.assigned(places), LISTENER_SECONDS)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = [place_of(one) for one in partitions]
        try:
            if places:
                self._owner.wait_for(self._listener.revoked(places), LISTENER_SECONDS)
        except TimeoutError:
            _log.warning("a batch outlived its partition's hand-over; the fence will refuse it")
        finally:
            self._assigned -= set(places)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = [place_of(one) for one in partitions]
        self._assigned -= set(places)
        if places:
            self._owner.wait_for(self._listener.lost(places), LISTENER_SECONDS)
