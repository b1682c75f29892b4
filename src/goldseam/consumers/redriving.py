"""Apply dead letters whose redrive was asked for: in order, through today's code, once.

The owner of the partition does it between two batches, so nothing overtakes a letter, and under
the same fence. Upcasters and classes are those of now; the inbox knows what was applied already.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Literal

from goldseam.broker.record import Partition
from goldseam.consumers.claims import Claim
from goldseam.consumers.connection import EachByItself
from goldseam.consumers.dead_letters.errors import LetterGone
from goldseam.consumers.dead_letters.letter import Letter
from goldseam.consumers.dead_letters.store import due, resolved
from goldseam.consumers.effectively_once import run_effects
from goldseam.consumers.items import Item
from goldseam.consumers.lane import Lane
from goldseam.consumers.reading import ReadAs
from goldseam.consumers.tally import Tally
from goldseam.consumers.transaction import NOT_POISON, BatchTransaction, Job, Outcome
from goldseam.consumers.why import described, trace_of
from goldseam.database.connection import Connection, Database
from goldseam.events.event import Recorded
from goldseam.telemetry.signals import signals

REDRIVES_AT_ONCE = 100
"""Letters that are looked at in one go."""

_log = logging.getLogger("goldseam.consumers")


class Redriving:
    """Redrives the letters of one consumer."""

    def __init__(self, job: Job, reading: ReadAs, tally: Tally) -> None:
        self._job, self._reading, self._tally = job, reading, tally
        self._name = job.consumer.name

    async def waiting(self, database: Database) -> set[Partition]:
        """The partitions whose letters were asked for."""
        letters = await database.read(lambda c: due(c, self._name, REDRIVES_AT_ONCE))
        return {Partition(one.topic, one.partition) for one in letters}

    async def run(self, database: Database, lane: Lane) -> None:
        """Redrive what is due of the lane's partition; a letter that fails stops its sequence.

        Raises:
            PartitionMoved: another member holds the partition; it redrives.
        """
        topic, number = lane.place
        went_on = True
        while went_on and not lane.closing.is_set():
            letters = await database.read(
                lambda c: due(c, self._name, REDRIVES_AT_ONCE, topic=topic, partition=number)
            )
            went_on, failed = False, set[str]()
            for letter in letters:
                if letter.sequence in failed or lane.closing.is_set():
                    continue
                if await self._one(database, lane, letter):
                    went_on = True
                else:
                    failed.add(letter.sequence)

    async def _one(self, database: Database, lane: Lane, letter: Letter) -> bool:
        events: Sequence[Recorded[Any]] = ()
        try:
            item = (await self._reading.items([letter.record]))[0]
            if item.error is not None:
                raise item.error
            events = item.events
            if lane.claim is None:
                await self._by_itself(database, letter, item)
            else:
                await self._in_transaction(database, lane.claim, letter, item)
        except LetterGone:
            return False
        except NOT_POISON:
            raise
        except Exception as error:
            _log.warning(
                "consumer %s: the redrive of offset %d of %s failed: %s",
                self._name, letter.offset, lane.label, type(error).__name__,
            )  # fmt: skip
            await self._failed(database, letter, error, described(error, events))
            return False
        signals.count("goldseam_dead_letters_redriven_total", consumer=self._name)
        return True

    async def _failed(
        self, database: Database, letter: Letter, error: Exception, words: str
    ) -> None:
        kind, trace, now_us = type(error).__name__, trace_of(error), self._job.now_us()
        try:
            await database.transact(
                lambda c: resolved(c, letter, "failed", now_us, kind, words, trace=trace)
            )
        except LetterGone:
            _log.info("consumer %s: a letter was settled meanwhile", self._name)

    async def _in_transaction(
        self, database: Database, claim: Claim, letter: Letter, item: Item
    ) -> None:
        batch = BatchTransaction(self._job, claim, [item], None)

        async def operation(connection: Connection) -> Outcome:
            outcome = await batch(connection)
            how: Literal["applied", "duplicate"] = "duplicate" if outcome.duplicates else "applied"
            await resolved(connection, letter, how, self._job.now_us())
            return outcome

        outcome = await database.transact(operation)
        self._tally.batch(outcome.applied, outcome.duplicates, ())
        await run_effects(outcome.effects)

    async def _by_itself(self, database: Database, letter: Letter, item: Item) -> None:
        db = EachByItself(self._name, database, self._job.tables)
        await self._job.consumer.apply_batch(item.events, db)
        await database.transact(lambda c: resolved(c, letter, "applied", self._job.now_us()))
        self._tally.batch(1, 0, ())
        await run_effects(db.effects)
