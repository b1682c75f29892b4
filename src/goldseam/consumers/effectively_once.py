"""Effectively-once: a batch in one transaction, tried a few times, then without its poison."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from itertools import count

from goldseam.broker.record import Received
from goldseam.consumers.claims import Claim, reload
from goldseam.consumers.connection import SideEffect
from goldseam.consumers.errors import PartitionMoved
from goldseam.consumers.inbox import Raced
from goldseam.consumers.items import Item
from goldseam.consumers.lane import Lane
from goldseam.consumers.pauses import ATTEMPTS_MAX, RETRY_PAUSE_SECONDS, pause_seconds
from goldseam.consumers.reading import ReadAs
from goldseam.consumers.tally import Tally
from goldseam.consumers.transaction import NOT_POISON, BatchTransaction, Job, Outcome
from goldseam.database.connection import Database
from goldseam.errors import CommitUnknown, StoreUnavailable
from goldseam.resilience.clock import Clock

SAVE_SECONDS = 1.0
"""How long the stored offset may stay behind records that nobody wants."""

_log = logging.getLogger("goldseam.consumers")


class EffectivelyOnceWork:
    """Applies batches of the lanes that it is given."""

    def __init__(
        self,
        job: Job,
        reading: ReadAs,
        database: Database,
        clock: Clock,
        tally: Tally,
        *,
        attempts_max: int = ATTEMPTS_MAX,
        pause_first: float = RETRY_PAUSE_SECONDS,
    ) -> None:
        self._job, self._reading, self._database = job, reading, database
        self._clock, self._tally = clock, tally
        self._attempts_max, self._pause_first = attempts_max, pause_first

    async def apply(self, lane: Lane, records: Sequence[Received]) -> None:
        """Apply ``records``; returns early, with nothing done, when the lane closes.

        Raises:
            PartitionMoved: another member holds the partition: forget the lane.
            BrokenHandler: too many sequences stopped.
        """
        items = await self._items(lane, records)
        after = records[-1].offset + 1
        if items is None:
            return
        if self._may_wait(lane, items):
            lane.done = after
            return
        outcome = await self._with_retries(lane, items, after)
        if outcome is not None:
            lane.claim, lane.done = outcome.claim, after
            lane.saved_at = self._clock.monotonic()
            self._tally.batch(outcome.applied, outcome.duplicates, outcome.parked)
            await run_effects(outcome.effects)

    def _may_wait(self, lane: Lane, items: Sequence[Item]) -> bool:
        """Whether only the offset would move: that is saved now and then, not each time."""
        if any(item.wanted for item in items):
            return False
        return self._clock.monotonic() - lane.saved_at < SAVE_SECONDS

    async def _items(self, lane: Lane, records: Sequence[Received]) -> list[Item] | None:
        """The records taken apart; keys that cannot be reached are waited for."""
        for attempt in count(1):
            try:
                return await self._reading.items(records)
            except StoreUnavailable as error:
                if not await self._rest(lane, attempt, error):
                    return None
        raise AssertionError("unreachable")

    async def _with_retries(self, lane: Lane, items: list[Item], after: int) -> Outcome | None:
        failures = outages = 0
        maybe_done: Outcome | None = None
        while True:
            assert lane.claim is not None
            isolate = failures >= self._attempts_max
            batch = BatchTransaction(
                self._job, lane.claim, items, after, isolate=isolate, attempts=failures + 1
            )
            try:
                return await self._database.transact(batch)
            except PartitionMoved:
                lane.claim = await self._again(lane.claim)
                items = [item for item in items if item.offset >= lane.claim.next_offset]
                if lane.claim.next_offset >= after:
                    return maybe_done or Outcome(lane.claim, 0, 0, (), ())
            except (StoreUnavailable, CommitUnknown, Raced) as error:
                if isinstance(error, CommitUnknown):
                    maybe_done = batch.outcome  # the next try finds out
                outages += 1
                if not await self._rest(lane, outages, error):
                    return None
            except Exception as error:
                if isolate or isinstance(error, NOT_POISON):
                    raise
                failures += 1
                if not await self._rest(lane, failures, error):
                    return None

    async def _again(self, claim: Claim) -> Claim:
        """A commit whose answer was lost moved the offset itself: go on from there.

        Raises:
            PartitionMoved: it was somebody else.
        """
        found = await self._database.read_one(lambda c: reload(c, claim))
        if found == claim:
            raise PartitionMoved(claim.consumer, f"{claim.place}", claim.generation)
        return found

    async def _rest(self, lane: Lane, attempt: int, error: Exception) -> bool:
        self._tally.retried()
        _log.warning(
            "consumer %s, %s: attempt %d failed: %s",
            self._job.consumer.name, lane.label, attempt, type(error).__name__,
        )  # fmt: skip
        return await lane.rest(pause_seconds(self._clock, attempt, self._pause_first))


async def run_effects(effects: Sequence[SideEffect]) -> None:
    """What handlers wanted done after the commit; the rows stay whatever becomes of it."""
    for effect in effects:
        try:
            result = effect()
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            _log.warning("a side effect failed: %s", type(error).__name__)
