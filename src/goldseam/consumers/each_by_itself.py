"""At-least-once and at-most-once: records handled one by one, or different keys at once.

Commit after handling repeats what a crash cut off; commit before handling loses it. That is all
the difference, and why neither is the default.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from itertools import count

from goldseam.broker.record import Received
from goldseam.consumers.connection import EachByItself
from goldseam.consumers.effectively_once import run_effects
from goldseam.consumers.errors import BrokenHandler, NoPlaceForLetters
from goldseam.consumers.inbox import TableInbox
from goldseam.consumers.items import Item
from goldseam.consumers.lane import Lane
from goldseam.consumers.modes import AtLeastOnce
from goldseam.consumers.pauses import ATTEMPTS_MAX, RETRY_PAUSE_SECONDS, pause_seconds
from goldseam.consumers.prefix import Prefix
from goldseam.consumers.reading import ReadAs
from goldseam.consumers.tally import Tally
from goldseam.consumers.transaction import Job, Parked
from goldseam.database.connection import Database
from goldseam.errors import CommitUnknown, StoreUnavailable
from goldseam.resilience.clock import Clock

_log = logging.getLogger("goldseam.consumers")


class AtMostOnceWork:
    """Handles records whose offsets are committed already: what fails is lost, and counted."""

    def __init__(self, job: Job, reading: ReadAs, database: Database | None, tally: Tally) -> None:
        self._job, self._reading, self._database, self._tally = job, reading, database, tally

    async def apply(self, lane: Lane, records: Sequence[Received]) -> None:
        """Handle ``records``, each once at most."""
        consumer = self._job.consumer
        for item in await self._reading.items(records):
            db = EachByItself(consumer.name, self._database, self._job.tables)
            try:
                if item.error is not None:
                    raise item.error
                await consumer.apply_batch(item.events, db)
            except Exception as error:
                self._tally.lost += 1
                _log.error(
                    "consumer %s lost offset %d of %s, at-most-once: %s",
                    consumer.name, item.offset, lane.label, type(error).__name__,
                )  # fmt: skip
            else:
                self._tally.batch(bool(item.wanted), 0, ())
            lane.done = item.offset + 1
            await run_effects(db.effects)


class AtLeastOnceWork:
    """Handles records until each is done: applied, known as applied, or a dead letter."""

    def __init__(
        self,
        job: Job,
        reading: ReadAs,
        database: Database | None,
        clock: Clock,
        tally: Tally,
        mode: AtLeastOnce,
        *,
        attempts_max: int = ATTEMPTS_MAX,
        pause_first: float = RETRY_PAUSE_SECONDS,
    ) -> None:
        self._job, self._reading, self._database = job, reading, database
        self._consumer, self._clock, self._tally = job.consumer, clock, tally
        self._attempts_max, self._pause_first = attempts_max, pause_first
        self._keys = None if mode.dedup is None else TableInbox(job.consumer.name)
        self._places = asyncio.Semaphore(mode.concurrency)
        self._concurrent = mode.concurrency > 1

    async def apply(self, lane: Lane, records: Sequence[Received]) -> None:
        """Handle ``records``; ``lane.done`` follows what is done without a hole.

        Raises:
            NoPlaceForLetters: a record failed for good and there is no database.
            BrokenHandler: too many sequences stopped.
        """
        items = await self._reading.items(records)
        stopped = await self._stopped(lane)
        known = await self._known(lane, items)
        if stopped is None or known is None:
            return
        before = self._tally.applied
        try:
            if self._concurrent:
                await self._by_key(lane, items, stopped, known)
            else:
                async with self._places:
                    await self._in_turn(lane, items, stopped, known)
        finally:
            self._tally.show_applied(self._tally.applied - before)

    async def _in_turn(
        self, lane: Lane, items: Sequence[Item], stopped: set[str], known: set[str]
    ) -> None:
        """One record after the other. A consumer's hottest loop: keep it flat."""
        db = EachByItself(self._consumer.name, self._database, self._job.tables)
        apply, closing, tally = self._consumer.apply_batch, lane.closing.is_set, self._tally
        for item in items:
            if closing():
                return
            failed: Exception | None = None
            simple = item.error is None and item.wanted and self._keys is None
            if simple and item.sequence not in stopped:
                try:
                    await apply(item.events, db)
                except Exception as error:
                    failed = error
                else:
                    tally.applied += 1
                    lane.done = item.record.offset + 1
                    if db.effects:
                        await self._run_effects(db)
                    continue
            if not await self._one(lane, item, stopped, known, failed):
                return
            lane.done = item.offset + 1

    async def _by_key(
        self, lane: Lane, items: Sequence[Item], stopped: set[str], known: set[str]
    ) -> None:
        """Different keys at once, one key in order; commit up to the first that is not done."""
        prefix, chains = Prefix(), dict[str, list[Item]]()
        for item in items:
            prefix.begin(item.offset)
            chains.setdefault(item.sequence, []).append(item)

        async def chain(some: Sequence[Item]) -> None:
            for item in some:
                async with self._places:
                    if lane.closing.is_set() or not await self._one(lane, item, stopped, known):
                        return
                prefix.done(item.offset)
                lane.done = prefix.next or lane.done

        async with asyncio.TaskGroup() as group:
            for some in chains.values():
                group.create_task(chain(some))

    async def _one(
        self,
        lane: Lane,
        item: Item,
        stopped: set[str],
        known: set[str],
        failed: Exception | None = None,
    ) -> bool:
        """Whether the record is done; ``failed`` is what came of a first try, if there was one."""
        if not item.wanted or item.event_id in known:
            self._tally.again(int(item.wanted))
            return True
        if item.sequence in stopped:
            return await self._park(lane, Parked(item, None, 0), stopped)
        if item.error is not None:
            return await self._park(lane, Parked(item, item.error, 1), stopped)
        return await self._try(lane, item, stopped, known, failed)

    async def _try(
        self,
        lane: Lane,
        item: Item,
        stopped: set[str],
        known: set[str],
        failed: Exception | None,
    ) -> bool:
        """Handle until it works, the lane closes, or it has failed for good and is parked."""
        attempt = 0
        while True:
            if failed is not None:
                attempt += 1
                outage = isinstance(failed, StoreUnavailable | CommitUnknown)
                if attempt >= self._attempts_max and not outage:
                    return await self._park(lane, Parked(item, failed, attempt), stopped)
                if not await self._rest(lane, attempt, failed):
                    return False
            try:
                await self._handle(item, known)
            except Exception as error:
                failed = error
            else:
                return True

    async def _handle(self, item: Item, known: set[str]) -> None:
        db = EachByItself(self._consumer.name, self._database, self._job.tables)
        await self._consumer.apply_batch(item.events, db)
        await self._remember(item, known)
        self._tally.applied += 1
        await self._run_effects(db)

    @staticmethod
    async def _run_effects(db: EachByItself) -> None:
        effects, db.effects = db.effects, []
        await run_effects(effects)

    async def _park(self, lane: Lane, parked: Parked, stopped: set[str]) -> bool:
        database = self._database
        if database is None:
            raise NoPlaceForLetters(self._consumer.name, lane.label, parked.item.offset)
        stopped.add(parked.item.sequence)
        if len(stopped) > self._job.stopped_max:
            raise BrokenHandler(self._consumer.name, self._job.stopped_max)
        for attempt in count(1):
            try:
                now_us = self._clock.now_us()
                await database.transact(lambda c: self._job.letters.park(c, [parked], now_us))  # noqa: B023
            except (StoreUnavailable, CommitUnknown) as error:
                if not await self._rest(lane, attempt, error):
                    return False
            else:
                self._tally.batch(0, 0, [parked])
                return True
        raise AssertionError("unreachable")

    async def _stopped(self, lane: Lane) -> set[str] | None:
        database = self._database
        if database is None:
            return set()
        for attempt in count(1):
            try:
                return set(await database.read_one(self._job.letters.stopped))
            except StoreUnavailable as error:
                if not await self._rest(lane, attempt, error):
                    return None
        raise AssertionError("unreachable")

    async def _known(self, lane: Lane, items: Sequence[Item]) -> set[str] | None:
        keys, database = self._keys, self._database
        if keys is None or database is None:
            return set()
        ids = [item.event_id for item in items if item.error is None and item.wanted]
        for attempt in count(1):
            try:
                return await database.transact(lambda c: keys.known(c, ids))
            except StoreUnavailable as error:
                if not await self._rest(lane, attempt, error):
                    return None
        raise AssertionError("unreachable")

    async def _remember(self, item: Item, known: set[str]) -> None:
        keys, database = self._keys, self._database
        if keys is not None and database is not None:
            now_us = self._clock.now_us()
            await database.transact(lambda c: keys.remember(c, [item.event_id], now_us))
            known.add(item.event_id)

    async def _rest(self, lane: Lane, attempt: int, error: Exception) -> bool:
        self._tally.retried()
        _log.warning(
            "consumer %s, %s: attempt %d failed: %s",
            self._consumer.name, lane.label, attempt, type(error).__name__,
        )  # fmt: skip
        return await lane.rest(pause_seconds(self._clock, attempt, self._pause_first))
