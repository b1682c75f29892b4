"""What one consumer was owed by its topics, and what its own database says became of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from goldseam.broker.port import Admin
from goldseam.broker.record import Partition, Received
from goldseam.consumers.consumer import Consumer
from goldseam.consumers.inbox import TableInbox, WatermarkInbox, inbox_for
from goldseam.consumers.lag import applied_offsets
from goldseam.consumers.modes import EffectivelyOnce
from goldseam.consumers.workshop import make_tables
from goldseam.database.connection import Connection, Database
from goldseam.database.statements import statements
from goldseam.events.registry import Registry
from goldseam.resilience.clock import Clock

BATCH = 1_000
LETTERS = "goldseam.consumers.dead_letters"


class Owed(NamedTuple):
    """One event's first record on a topic."""

    record: Received
    event_id: str
    type: str
    stream: str
    version: int


class Books:
    """The books of one consumer; fed by the ledger, record by record.

    A consumer of a mode that remembers nothing is believed up to its offset.
    """

    def __init__(
        self, consumer: Consumer, database: Database, registry: Registry, clock: Clock
    ) -> None:
        self._consumer, self._database, self._clock = consumer, database, clock
        self.consumer, self.topics = consumer.name, frozenset(consumer.topics)
        self._names = consumer.names_in(registry)
        mode = consumer.mode
        self._inbox = (
            inbox_for(consumer.name, mode.dedup) if isinstance(mode, EffectivelyOnce) else None
        )
        self._offsets: Mapping[Partition, int] = {}
        self._open: frozenset[str] = frozenset()
        self._pending: list[Owed] = []
        self._counts = dict.fromkeys(("owed", "applied", "parked", "discarded", "waiting"), 0)
        self._missing: list[str] = []
        self._doubled: list[str] = []

    async def open(self, admin: Admin) -> None:
        """Take down where the consumer stands: what lies beyond is lag, not loss."""
        await self._database.transact(lambda c: make_tables(c, self._clock))
        self._offsets = await applied_offsets(self._consumer, admin, self._database)
        self._open = await self._database.read_one(self._open_letters)

    def owe(self, one: Owed) -> None:
        """An event of its topics."""
        if self._names and one.type not in self._names:
            return
        self._counts["owed"] += 1
        if one.record.offset >= self._offsets.get(one.record.place, 0):
            self._counts["waiting"] += 1
        else:
            self._pending.append(one)

    async def turn(self) -> None:
        """Compare what has gathered, if it is enough."""
        if len(self._pending) >= BATCH:
            await self._compare()

    async def settle(self) -> dict[str, Any]:
        """Compare the rest; the whole account."""
        await self._compare()
        return {**self._counts, "missing_ids": self._missing, "doubled_ids": self._doubled}

    async def _compare(self) -> None:
        pending, self._pending = self._pending, []
        if not pending:
            return
        applied = await self._database.read_one(lambda c: self._applied(c, pending))
        rest = [one for one in pending if one.event_id not in applied]
        letters = await self._database.read_one(lambda c: self._letters(c, rest))
        for one in pending:
            if one.event_id in applied:
                self._counts["applied"] += 1
                if one.event_id in self._open:
                    self._doubled.append(one.event_id)
            else:
                self._book_letter(one, letters.get(one.event_id))

    def _book_letter(self, one: Owed, state: str | None) -> None:
        if state in ("waiting", "due", "quarantined"):
            self._counts["parked"] += 1
        elif state == "discarded":
            self._counts["discarded"] += 1
        elif state in ("applied", "duplicate"):
            self._counts["applied"] += 1
        else:
            self._missing.append(one.event_id)

    async def _applied(self, connection: Connection, some: list[Owed]) -> Collection[str]:
        ids = [one.event_id for one in some]
        if isinstance(self._inbox, TableInbox):
            return await self._inbox.known(connection, ids)
        if isinstance(self._inbox, WatermarkInbox):
            marks = await self._inbox.marks(connection, {one.stream for one in some})
            return {one.event_id for one in some if one.version <= marks.get(one.stream, 0)}
        return ids

    async def _letters(self, connection: Connection, some: list[Owed]) -> dict[str, str]:
        """The states of those that are, or were, dead letters."""
        sql = statements(LETTERS, connection.dialect)["state_at"]
        found: dict[str, str] = {}
        for one in some:
            place = one.record
            row = {
                "consumer": self.consumer,
                "topic": place.topic,
                "partition": place.partition,
                "record_offset": place.offset,
            }
            rows = await connection.fetch(sql, row)
            if rows:
                found[one.event_id] = str(rows[0][0])
        return found

    async def _open_letters(self, connection: Connection) -> frozenset[str]:
        sql = statements(LETTERS, connection.dialect)["open_ids"]
        rows = await connection.fetch(sql, {"consumer": self.consumer})
        return frozenset(str(row[0]) for row in rows)
