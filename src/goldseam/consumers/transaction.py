"""One batch of one partition: fence, dedup, effects, dead letters and offset in one transaction.

The offset moves first, compared with what this member holds: a batch that woke after its
partition moved has no effect. At least once + dedup + one transaction = effectively once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from goldseam.consumers.claims import IDLE_SECONDS_MAX, Claim, advance, hold
from goldseam.consumers.connection import InTransaction, SideEffect
from goldseam.consumers.consumer import Consumer
from goldseam.consumers.dead_letters.errors import LetterGone
from goldseam.consumers.errors import BrokenHandler, PartitionMoved
from goldseam.consumers.inbox import Inbox, Raced
from goldseam.consumers.items import Item
from goldseam.consumers.tables import ConsumerTables
from goldseam.database.connection import Connection
from goldseam.errors import CommitUnknown, SchemaError, StoreUnavailable
from goldseam.events.event import Recorded
from goldseam.resilience.blocking import run_blocking

STOPPED_SEQUENCES_MAX = 1_000
"""More stopped sequences than this are no poison records but a broken handler: it stops."""

BEFORE_ALL, END = -1, 2**63 - 1
"""Offsets before the first and behind the last record."""

NOT_POISON = (
    PartitionMoved,
    Raced,
    LetterGone,
    StoreUnavailable,
    CommitUnknown,
    SchemaError,
    MemoryError,
)
"""Errors that say nothing about the record: the database, the disk, the machine."""


class Parked(NamedTuple):
    """A record for the dead letters: what failed, or (without an error) what waits behind it."""

    item: Item
    error: Exception | None
    attempts: int


class DeadLetters(Protocol):
    """Where records that cannot be applied wait. Colourless."""

    async def stopped(self, connection: Connection) -> frozenset[str]:
        """The sequences that are stopped now."""
        ...

    async def park(self, connection: Connection, parked: Sequence[Parked], now_us: int) -> None:
        """Keep records, in the transaction of the batch."""
        ...


class Job(NamedTuple):
    """What all batches of one consumer have in common."""

    consumer: Consumer
    tables: ConsumerTables
    inbox: Inbox
    letters: DeadLetters
    now_us: Callable[[], int]
    stopped_max: int = STOPPED_SEQUENCES_MAX
    idle_seconds: float = IDLE_SECONDS_MAX


class Outcome(msgspec.Struct, frozen=True):
    """What a committed batch did."""

    claim: Claim
    applied: int
    duplicates: int
    parked: Sequence[Parked]
    effects: Sequence[SideEffect]


class BatchTransaction:
    """Applies one batch. Colourless: it awaits only the connection it is given.

    Args:
        next_offset: where the consumer goes on after this batch; None for a letter that is
            redriven, which moves no offset.
        isolate: search for the records that fail, and park them.
        attempts: how often this batch was tried, this time included.
    """

    def __init__(
        self,
        job: Job,
        claim: Claim,
        items: Sequence[Item],
        next_offset: int | None,
        *,
        isolate: bool = False,
        attempts: int = 1,
    ) -> None:
        self._job, self._claim, self._items = job, claim, items
        self._next_offset, self._isolate, self._attempts = next_offset, isolate, attempts
        self._parked: list[Parked] = []
        self._applied: list[Item] = []
        self._stopped: dict[str, int] = {}
        """Behind which offset each stopped sequence waits."""
        self.outcome: Outcome | None = None
        """What it did, if it was committed: its caller may have lost the answer."""

    async def __call__(self, connection: Connection) -> Outcome:
        """Move the offset, drop duplicates, apply, park.

        Raises:
            PartitionMoved: another member holds the partition now.
            Raced: another transaction applied one of the events meanwhile.
            Exception: whatever the handler raised, unless failing records are isolated.
        """
        job, now_us = self._job, self._job.now_us()
        claim = await self._fence(connection, now_us)
        wanted = [item for item in self._items if item.wanted]
        db = InTransaction(connection, job.tables)
        duplicates = 0
        if wanted:
            redriven = self._next_offset is None
            fresh = await job.inbox.fresh(connection, wanted, now_us, redriven=redriven)
            duplicates = len(wanted) - len(fresh)
            if not redriven:
                stopped = await job.letters.stopped(connection)
                self._stopped = dict.fromkeys(stopped, BEFORE_ALL)
            await self._apply(connection, db, self._set_aside(fresh))
            if redriven and self._parked:
                raise self._parked[0].error or PartitionMoved(job.consumer.name, "a letter", 0)
            items = [one.item for one in self._parked]
            await job.inbox.settle(connection, self._applied, items)
        if self._parked:
            await self._park(connection, now_us)
        self.outcome = Outcome(claim, len(self._applied), duplicates, self._parked, db.effects)
        return self.outcome

    async def _fence(self, connection: Connection, now_us: int) -> Claim:
        if self._next_offset is None:
            await hold(connection, self._claim, now_us)
            return self._claim
        idle = self._job.idle_seconds
        return await advance(connection, self._claim, self._next_offset, now_us, idle)

    async def _park(self, connection: Connection, now_us: int) -> None:
        """What stopped a sequence keeps its error; whatever is behind it only waits."""
        job, stopped = self._job, self._stopped
        if len(stopped) > job.stopped_max:
            raise BrokenHandler(job.consumer.name, job.stopped_max)
        self._parked = [
            Parked(one.item, None, 0) if one.item.offset > stopped[one.item.sequence] else one
            for one in sorted(self._parked, key=lambda one: one.item.offset)
        ]
        await job.letters.park(connection, self._parked, now_us)

    def _stop(self, item: Item, error: Exception) -> None:
        self._stopped[item.sequence] = min(item.offset, self._stopped.get(item.sequence, END))
        self._parked.append(Parked(item, error, self._attempts))

    def _set_aside(self, items: Sequence[Item]) -> Sequence[Item]:
        """``items`` without what is behind a stop or cannot be read, which is parked."""
        free, stopped = [], self._stopped
        for item in items:
            if item.offset > stopped.get(item.sequence, END):
                self._parked.append(Parked(item, None, 0))
            elif item.error is not None:
                self._stop(item, item.error)
            else:
                free.append(item)
        return free

    async def _apply(
        self, connection: Connection, db: InTransaction, items: Sequence[Item]
    ) -> None:
        """Apply ``items``; when that fails and failures are isolated, by halves."""
        if self._stopped:
            items = self._set_aside(items)
        if not items:
            return
        if not self._isolate:
            await self._handle(items, db)
            return
        effects_before = len(db.effects)
        await connection.fetch("SAVEPOINT goldseam_records")
        try:
            await self._handle(items, db)
        except NOT_POISON:
            raise
        except Exception as error:
            await connection.fetch("ROLLBACK TO SAVEPOINT goldseam_records")
            await connection.fetch("RELEASE SAVEPOINT goldseam_records")
            del db.effects[effects_before:]
            await self._halves(connection, db, items, error)
            return
        await connection.fetch("RELEASE SAVEPOINT goldseam_records")

    async def _halves(
        self,
        connection: Connection,
        db: InTransaction,
        items: Sequence[Item],
        error: Exception,
    ) -> None:
        if len(items) == 1:
            self._stop(items[0], error)
            return
        middle = len(items) // 2
        await self._apply(connection, db, items[:middle])
        await self._apply(connection, db, items[middle:])

    async def _handle(self, items: Sequence[Item], db: InTransaction) -> None:
        """Let the consumer apply ``items``; a handler that awaits more than ``db`` says so."""
        events: list[Recorded[Any]] = [event for item in items for event in item.events]
        if events:
            applying: Awaitable[None] = self._job.consumer.apply_batch(events, db)
            if db.dialect == "sqlite":
                run_blocking(applying)  # type: ignore[arg-type]
            else:
                await applying
        self._applied += items
