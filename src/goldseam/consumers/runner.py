"""Run one member of a consumer: poll, apply, commit, and give partitions back in good order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from itertools import groupby

import msgspec

from goldseam.broker.errors import BrokerUnreachable, FencedMember
from goldseam.broker.port import Broker, Membership, Subscription
from goldseam.broker.record import Partition, Received
from goldseam.consumers.claims import IDLE_SECONDS_MAX, UNKNOWN_OFFSET
from goldseam.consumers.consumer import Consumer
from goldseam.consumers.errors import PartitionMoved
from goldseam.consumers.lane import Lane
from goldseam.consumers.membership import membership_of
from goldseam.consumers.modes import AtMostOnce, EffectivelyOnce
from goldseam.consumers.pauses import ATTEMPTS_MAX, RETRY_PAUSE_SECONDS, pause_seconds
from goldseam.consumers.tally import Tally
from goldseam.consumers.transaction import STOPPED_SEQUENCES_MAX
from goldseam.consumers.workshop import Workshop
from goldseam.database.connection import Database
from goldseam.errors import CommitUnknown, StoreUnavailable
from goldseam.events.registry import Registry, registry
from goldseam.resilience.clock import Clock, SystemClock
from goldseam.store.sealing import Sealer
from goldseam.telemetry.signals import signals

POLL_RECORDS = 1_000
POLL_SECONDS = 0.5
"""How long an idle member waits for a record; also how soon it sees that it should stop."""

BUSY_POLL_SECONDS = 0.02
"""The same while something is being applied: what is done should be committed soon."""

BATCH_RECORDS = 500
"""Records of one transaction."""

QUEUE_RECORDS_MAX = 2_000
"""Records of one partition that may wait in the process; beyond it the partition is paused."""

COMMIT_SECONDS = 1.0
"""How often an effectively-once consumer tells the broker how far it is; its database knows."""

RECLAIM_SECONDS = 5.0
"""How long a fenced member waits before it asks for a partition that is still called its own."""

_log = logging.getLogger("goldseam.consumers")


class Status(msgspec.Struct, frozen=True):
    """One member at a glance."""

    consumer: str
    mode: str
    instance: str | None
    partitions: tuple[str, ...]
    queued: int
    paused: tuple[str, ...]
    tally: Tally
    failure: str | None


class ConsumerRunner:
    """One member of the group that ``consumer`` names; start as many as there are partitions.

    Args:
        database: where the effects are; needed unless the mode can do without.
        membership: how it joins; a dynamic member of the group of the consumer's name unless said.
        sealer: opens personal fields; see goldseam.privacy.
        source: names the broker's offsets; another name, as after a failover to another region,
            makes the consumer begin where the group is there, and dedup drops what is known.
        batch_records, queue_records_max: records of one transaction; of one partition in memory.
        attempts_max, pause_seconds: tries of a batch before its poison is looked for; first pause.
        stopped_max: stopped sequences at which the handler counts as broken.
        idle_seconds: see :func:`goldseam.consumers.claims.advance`.
    """

    def __init__(
        self,
        consumer: Consumer,
        broker: Broker,
        database: Database | None,
        *,
        registry: Registry = registry,
        sealer: Sealer | None = None,
        clock: Clock | None = None,
        membership: Membership | None = None,
        source: str | None = None,
        batch_records: int = BATCH_RECORDS,
        queue_records_max: int = QUEUE_RECORDS_MAX,
        attempts_max: int = ATTEMPTS_MAX,
        pause_seconds: float = RETRY_PAUSE_SECONDS,
        stopped_max: int = STOPPED_SEQUENCES_MAX,
        idle_seconds: float = IDLE_SECONDS_MAX,
    ) -> None:
        self.consumer, self._broker, self.database = consumer, broker, database
        self._clock = clock or SystemClock()
        self.membership = membership or membership_of(consumer.name)
        self._batch_records, self._queue_max = batch_records, queue_records_max
        self._poll_records = min(POLL_RECORDS, queue_records_max)
        self._pause_first = pause_seconds
        self.tally = Tally(consumer.name)
        self._workshop = Workshop(
            consumer,
            broker,
            database,
            registry,
            sealer,
            self._clock,
            self.tally,
            holder=self.membership.instance or self.membership.group,
            source=source,
            attempts_max=attempts_max,
            pause_first=pause_seconds,
            stopped_max=stopped_max,
            idle_seconds=idle_seconds,
        )
        self._commits_first = isinstance(consumer.mode, AtMostOnce)
        self._commit_seconds = COMMIT_SECONDS if isinstance(consumer.mode, EffectivelyOnce) else 0.0
        self._lanes: dict[Partition, Lane] = {}
        self._subscription: Subscription | None = None
        self._stopping = asyncio.Event()
        self._committed_at = 0.0
        self._broken: BaseException | None = None
        self.failure: str | None = None
        """Why it is not going on at the moment; None while all is well."""

    @property
    def name(self) -> str:
        """The consumer's name."""
        return self.consumer.name

    def stop(self) -> None:
        """Finish the batches that are being applied, commit, leave."""
        self._stopping.set()

    def status(self) -> Status:
        """What it holds and has done."""
        lanes = self._lanes.values()
        return Status(
            self.name,
            self.consumer.mode.name,
            self.membership.instance,
            tuple(sorted(lane.label for lane in lanes)),
            sum(len(lane) for lane in lanes),
            tuple(sorted(lane.label for lane in lanes if lane.paused)),
            msgspec.structs.replace(self.tally),
            self.failure,
        )

    async def prepare(self) -> None:
        """Check the promises, make what tables are missing. :meth:`run` does it too.

        Raises:
            ModeRefused, RetentionTooShort, ConsumerError: the mode cannot be kept.
            SchemaError: the database's tables are not what this version needs.
        """
        await self._workshop.prepare()

    async def run(self) -> None:
        """Apply records until stopped; outages are waited for.

        Raises:
            ConsumerError: a promise cannot be kept.
            BrokenHandler, RecordsExpired, KeysMissing: it cannot go on by itself.
        """
        self._stopping.clear()  # first: who says stop while it prepares is heard
        await self.prepare()
        self._broken = None
        failures = 0
        while not self._stopping.is_set():
            try:
                await self._join_and_serve()
            except (BrokerUnreachable, FencedMember) as error:
                failures += 1
                self._say(f"{type(error).__name__}: {error}")
                await self._sleep(failures)
            else:
                failures = 0

    async def _join_and_serve(self) -> None:
        topics = self.consumer.topics
        subscription = await self._broker.subscribe(topics, self.membership, self)
        self._subscription = subscription
        try:
            await self._serve(subscription)
        finally:
            await self._leave(subscription)

    async def _serve(self, subscription: Subscription) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                seconds = BUSY_POLL_SECONDS if self._is_busy() else POLL_SECONDS
                records = await subscription.poll(self._poll_records, seconds)
                if records:
                    await self._take(subscription, records)
                await self._tend(subscription)
                failures = 0
                self.failure = None
            except BrokerUnreachable as error:
                failures += 1
                self._say(f"{type(error).__name__}: {error}")
                await self._sleep(failures)
            if self._broken is not None:
                self.failure = f"{type(self._broken).__name__}: {self._broken}"
                raise self._broken

    def _is_busy(self) -> bool:
        lanes = self._lanes.values()
        return any(one.busy or one.done > one.committed or not one.open for one in lanes)

    async def _take(self, subscription: Subscription, records: Sequence[Received]) -> None:
        by_lane: dict[Partition, list[Received]] = {}
        for place, run in groupby(records, _place):
            by_lane.setdefault(place, []).extend(run)
        if self._commits_first:
            offsets = {place: some[-1].offset + 1 for place, some in by_lane.items()}
            await subscription.commit(offsets)
        for place, some in by_lane.items():
            lane = self._lanes.get(place)
            if lane is not None:
                self.tally.again(lane.put(some))

    async def _tend(self, subscription: Subscription) -> None:
        """Everything that may not happen while the broker is asked for records."""
        await self._claim(subscription)
        for lane in self._lanes.values():
            if lane.seek_to is not None:
                await subscription.seek(lane.place, lane.seek_to)
                lane.seek_to = None
        await self._keep_bounded(subscription)
        await self._workshop.look_for_redrives(self._lanes.values())
        if self._clock.monotonic() - self._committed_at >= self._commit_seconds:
            await self._commit(subscription, self._lanes.values())

    async def _keep_bounded(self, subscription: Subscription) -> None:
        """Pause what is ahead of its effects, resume what has caught up: never a rebalance."""
        full = [one for one in self._lanes.values() if not one.paused and self._is_full(one)]
        if full:
            await subscription.pause([one.place for one in full])
            for lane in full:
                lane.paused = True
        free = [one for one in self._lanes.values() if one.paused and self._is_free(one)]
        if free:
            await subscription.resume([one.place for one in free])
            for lane in free:
                lane.paused = False
        if full or free:
            paused = sum(lane.paused for lane in self._lanes.values())
            signals.gauge("goldseam_consumer_paused_partitions", paused, consumer=self.name)

    def _is_full(self, lane: Lane) -> bool:
        return len(lane) > self._queue_max or not lane.open

    def _is_free(self, lane: Lane) -> bool:
        return lane.open and len(lane) <= self._queue_max // 2

    async def _claim(self, subscription: Subscription) -> None:
        """Take the partitions that are new here, and those that it was fenced from long enough."""
        now = self._clock.monotonic()
        new = [lane for lane in self._lanes.values() if not lane.open and lane.ask_at <= now]
        if not new:
            return
        try:
            await self._workshop.claim(subscription, new)
        except (StoreUnavailable, CommitUnknown) as error:
            self._say(f"{type(error).__name__}: {error}")
            for lane in new:
                lane.ask_at = now + pause_seconds(self._clock, 4, self._pause_first)

    async def _commit(self, subscription: Subscription, lanes: Collection[Lane]) -> None:
        done = {lane.place: lane.done for lane in lanes if lane.done > lane.committed}
        self._committed_at = self._clock.monotonic()
        if done and not self._commits_first:
            await subscription.commit(done)
        for lane in lanes:
            lane.committed = max(lane.committed, done.get(lane.place, UNKNOWN_OFFSET))

    async def _work(self, lane: Lane) -> None:
        """A lane's own task: batch after batch, until it is closed."""
        while not lane.over:
            await lane.news()
            lane.busy = True
            try:
                await self._workshop.work(lane, lane.take(self._batch_records))
            except PartitionMoved as error:
                self.tally.refused()
                _log.warning("%s", error)
                lane.forget()
                lane.ask_at = self._clock.monotonic() + RECLAIM_SECONDS
            except (StoreUnavailable, CommitUnknown) as error:
                self._say(f"{type(error).__name__}: {error}")
                lane.forget()
                lane.ask_at = self._clock.monotonic() + pause_seconds(
                    self._clock, 4, self._pause_first
                )
            except Exception as error:
                self._broken = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
                return
            finally:
                lane.busy = False

    async def assigned(self, partitions: Collection[Partition]) -> None:
        """New partitions: see :class:`Listener`."""
        if not partitions:
            return
        self.tally.rebalanced()
        for place in partitions:
            lane = self._lanes[place] = Lane(place)
            if not self._workshop.claims:
                lane.begin(UNKNOWN_OFFSET)
            lane.task = asyncio.create_task(self._work(lane), name=f"{self.name}-{lane.label}")

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """Finish what is being applied, commit, forget."""
        lanes = await self._close(partitions)
        if lanes and self._subscription is not None:
            try:
                await self._commit(self._subscription, lanes)
            except (FencedMember, BrokerUnreachable) as error:
                _log.warning("consumer %s left without a commit: %s", self.name, error)

    async def lost(self, partitions: Collection[Partition]) -> None:
        """Somebody else has them: what is being applied is refused by the fence."""
        await self._close(partitions)

    async def _close(self, partitions: Collection[Partition]) -> list[Lane]:
        lanes = [self._lanes.pop(place) for place in partitions if place in self._lanes]
        for lane in lanes:
            lane.close(finish=self._commits_first)  # what is committed does not come again
        tasks = [lane.task for lane in lanes if lane.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        return lanes

    async def _leave(self, subscription: Subscription) -> None:
        await self.revoked(list(self._lanes))
        try:
            await subscription.close()
        except BrokerUnreachable as error:
            _log.warning("consumer %s left without a word: %s", self.name, type(error).__name__)
        self._subscription = None

    async def _sleep(self, failures: int) -> None:
        try:
            async with asyncio.timeout(pause_seconds(self._clock, failures, self._pause_first)):
                await self._stopping.wait()
        except TimeoutError:
            pass

    def _say(self, words: str) -> None:
        if words != self.failure:
            _log.warning("consumer %s cannot go on: %s", self.name, words.partition(":")[0])
        self.failure = words


def _place(record: Received) -> Partition:
    return record.place
