"""What one member works with: its mode's way of applying, its claims, its dead letters."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from urllib.parse import urlsplit

from goldseam.broker.port import Broker, Subscription, Topic
from goldseam.broker.record import Partition, Received
from goldseam.consumers.claims import FOREIGN_OFFSET, UNKNOWN_OFFSET, claim
from goldseam.consumers.consumer import Consumer
from goldseam.consumers.each_by_itself import AtLeastOnceWork, AtMostOnceWork
from goldseam.consumers.effectively_once import EffectivelyOnceWork
from goldseam.consumers.errors import RecordsExpired
from goldseam.consumers.inbox import PRUNE_BATCH, Inbox, TableInbox, inbox_for
from goldseam.consumers.lane import Lane
from goldseam.consumers.modes import AtLeastOnce, AtMostOnce, EffectivelyOnce, Mode
from goldseam.consumers.parking import Parking
from goldseam.consumers.promises import (
    check_database,
    check_topics,
    remembered_by,
    retention_seconds,
)
from goldseam.consumers.reading import ReadAs
from goldseam.consumers.redriving import Redriving
from goldseam.consumers.tally import Tally
from goldseam.consumers.transaction import Job
from goldseam.database import schema
from goldseam.database.connection import Connection, Database
from goldseam.errors import StoreUnavailable
from goldseam.events.registry import Registry
from goldseam.resilience.clock import MICROSECONDS_PER_SECOND, Clock
from goldseam.store.sealing import Sealer

PRUNE_SECONDS = 60.0
"""How often old event ids are forgotten."""

TOPICS_SECONDS, TOPICS_LOOK_SECONDS = 5.0, 0.2
"""How long a topic may be unknown to the broker that is asked, and how often to look."""

REDRIVE_LOOK_SECONDS = 1.0
"""How often to look for letters whose redrive was asked for."""

PACKAGE, PART = "goldseam.consumers", "consumers"

_log = logging.getLogger("goldseam.consumers")

Work = EffectivelyOnceWork | AtLeastOnceWork | AtMostOnceWork


class Workshop:
    """Everything of a member except its place in the group."""

    def __init__(
        self,
        consumer: Consumer,
        broker: Broker,
        database: Database | None,
        registry: Registry,
        sealer: Sealer | None,
        clock: Clock,
        tally: Tally,
        *,
        holder: str,
        source: str | None,
        attempts_max: int,
        pause_first: float,
        stopped_max: int,
        idle_seconds: float,
    ) -> None:
        self._consumer, self._broker, self._database = consumer, broker, database
        self._clock, self._tally, self._holder = clock, tally, holder
        self._source = source_of(broker.url) if source is None else source
        self._letters = Parking(consumer.name)
        self._reading = ReadAs(consumer, registry, sealer)
        dialect = "sqlite" if database is None else database.dialect
        self._tables = consumer.tables_for(dialect)
        self._inbox = _inbox(consumer)
        job = Job(
            consumer,
            self._tables,
            self._inbox,
            self._letters,
            clock.now_us,
            stopped_max,
            idle_seconds,
        )
        self.claims = isinstance(consumer.mode, EffectivelyOnce)
        """Whether partitions are claimed in the database, which then knows the offsets."""
        bounds = {"attempts_max": attempts_max, "pause_first": pause_first}
        self._work = self._way(consumer.mode, job, bounds)
        self._redriving = Redriving(job, self._reading, tally)
        self._retention_seconds: float | None = None
        self._pruned_at = self._looked_at = clock.monotonic()

    def _way(self, mode: Mode, job: Job, bounds: dict[str, float]) -> Work:
        database, clock, tally = self._database, self._clock, self._tally
        attempts, pause = int(bounds["attempts_max"]), bounds["pause_first"]
        if isinstance(mode, AtMostOnce):
            return AtMostOnceWork(job, self._reading, database, tally)
        if isinstance(mode, AtLeastOnce):
            return AtLeastOnceWork(
                job, self._reading, database, clock, tally, mode,
                attempts_max=attempts, pause_first=pause,
            )  # fmt: skip
        check_database(self._consumer, database)
        assert database is not None
        return EffectivelyOnceWork(
            job, self._reading, database, clock, tally, attempts_max=attempts, pause_first=pause
        )

    async def prepare(self) -> None:
        """Check the promises and make the tables."""
        check_database(self._consumer, self._database)
        topics = await self._topics()
        check_topics(self._consumer, topics)
        self._retention_seconds = retention_seconds(self._consumer, topics)
        if self._database is not None:
            await self._database.transact(self._make_tables)

    async def _topics(self) -> Mapping[str, Topic]:
        """The broker's topics; one that was just made is known to every broker a moment later."""
        wanted, admin = set(self._consumer.topics), await self._broker.admin()
        patience = TOPICS_SECONDS if self._broker.capabilities.replicated else 0.0
        until = self._clock.monotonic() + patience
        try:
            while True:
                found = await admin.topics()
                if wanted <= found.keys() or self._clock.monotonic() >= until:
                    return found
                await asyncio.sleep(TOPICS_LOOK_SECONDS)
        finally:
            await admin.close()

    async def _make_tables(self, connection: Connection) -> None:
        await make_tables(connection, self._clock)
        await self._tables.create(connection)

    async def claim(self, subscription: Subscription, lanes: Sequence[Lane]) -> None:
        """Open ``lanes`` at the offset where their effects end.

        Raises:
            RecordsExpired: the topic no longer has what comes next.
        """
        if not self.claims or self._database is None:
            for lane in lanes:
                lane.begin(UNKNOWN_OFFSET)
            return
        places, now_us = [lane.place for lane in lanes], self._clock.now_us()
        claims = await self._database.transact(
            lambda c: claim(
                c, self._consumer.name, places,
                source=self._source, holder=self._holder, now_us=now_us,
            )
        )  # fmt: skip
        held = {one.place: one for one in claims}
        known = await subscription.committed(places)
        for lane in lanes:
            lane.claim = held[lane.place]
            lane.begin(await self._beginning(lane.place, lane.claim.next_offset, known))

    async def _beginning(self, place: Partition, stored: int, known: Collection[Partition]) -> int:
        """Where to begin: the database knows, unless it never saw this partition of this broker."""
        if stored == FOREIGN_OFFSET or (stored == UNKNOWN_OFFSET and place not in known):
            return UNKNOWN_OFFSET
        admin = await self._broker.admin()
        try:
            low = (await admin.spans(place.topic))[place].low
        finally:
            await admin.close()
        if stored == UNKNOWN_OFFSET:
            _log.warning(
                "consumer %s: the group has offsets at the broker and its database has none for "
                "%s/%d; it begins at the oldest record, because the database has no effects",
                self._consumer.name, place.topic, place.number,
            )  # fmt: skip
            return low
        if stored < low:
            label = f"{place.topic}/{place.number}"
            raise RecordsExpired(self._consumer.name, label, stored, low)
        return stored

    async def work(self, lane: Lane, records: Sequence[Received]) -> None:
        """Redrive what was asked for, then apply ``records``."""
        if lane.redrive and self._database is not None:
            lane.redrive = False
            await self._redriving.run(self._database, lane)
        if records:
            await self._work.apply(lane, records)

    async def look_for_redrives(self, lanes: Collection[Lane]) -> None:
        """Wake the lanes whose letters were asked for; forget old event ids on the way."""
        now, database = self._clock.monotonic(), self._database
        if database is None or now - self._looked_at < REDRIVE_LOOK_SECONDS:
            return
        self._looked_at = now
        try:
            places = await self._redriving.waiting(database)
            for lane in lanes:
                if lane.place in places and lane.open:
                    lane.redrive = True
                    lane.wake()
            if now - self._pruned_at >= PRUNE_SECONDS:
                await self.prune(database)
                self._pruned_at = now
        except StoreUnavailable as error:
            _log.debug("consumer %s: %s", self._consumer.name, type(error).__name__)

    async def prune(self, database: Database) -> int:
        """Forget event ids that can no longer come back; one batch, the rest next time."""
        if self._retention_seconds is None or remembered_by(self._consumer) is None:
            return 0
        kept_us = int(self._retention_seconds * MICROSECONDS_PER_SECOND)
        before_us = self._clock.now_us() - kept_us
        pruned = PRUNE_BATCH
        total = 0
        while pruned == PRUNE_BATCH and total < PRUNE_BATCH * PRUNE_BATCH:
            pruned = await database.transact(lambda c: self._inbox.prune(c, before_us))
            total += pruned
        return total


async def make_tables(connection: Connection, clock: Clock) -> None:
    """Make or upgrade the tables of all consumers and of their dead letters."""
    await schema.apply(connection, PACKAGE, PART, clock)
    await Parking.make_tables(connection, clock)


def source_of(url: str) -> str:
    """The broker's URL without its password: what its offsets are known by."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _inbox(consumer: Consumer) -> Inbox:
    mode = consumer.mode
    if isinstance(mode, EffectivelyOnce):
        return inbox_for(consumer.name, mode.dedup)
    return TableInbox(consumer.name)
