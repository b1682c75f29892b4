"""The local buffer itself: records in a file of its own, in order, with limits and checksums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from zlib import crc32

import msgspec

from goldseam.broker.record import Record
from goldseam.database import schema
from goldseam.database.connection import Connection, Database, Operation, T
from goldseam.database.statements import statements
from goldseam.errors import CommitUnknown, Corrupt, InvalidInput, StoreFull
from goldseam.outbox.buffer.errors import BufferFull, BufferTaken
from goldseam.resilience.clock import MICROSECONDS_PER_SECOND, Clock
from goldseam.telemetry.signals import signals

PACKAGE: Final = "goldseam.outbox.buffer"
PART: Final = "buffer"
BYTES_MAX: Final = 64 * 1024 * 1024
RECORDS_MAX: Final = 100_000
ROW_BYTES: Final = 64
"""What a record needs in the file besides its own bytes."""

RETRY_AFTER_SECONDS: Final = 5.0
HEAD_RECORDS: Final = 500

_record = msgspec.msgpack.Decoder(Record)


class Waiting(msgspec.Struct, frozen=True):
    """A record in the buffer, as its file holds it."""

    number: int
    written_us: int
    size: int
    checksum: int
    raw: bytes

    def record(self) -> Record:
        """The record itself.

        Raises:
            Corrupt: the bytes are not those that were written.
        """
        if crc32(self.raw) != self.checksum:
            raise Corrupt(
                f"record {self.number} of the local buffer is damaged: its checksum does not hold; "
                "it stays in the file, set aside; check the disk and ask its producer for it again"
            )
        return _record.decode(self.raw)


class LocalBuffer:
    """A bounded queue on disk; what :meth:`append` returned from outlives a SIGKILL.

    One file, one process: whoever opens it last has it, the one before is refused from then on.

    Args:
        name: shows in metrics and errors.
        database: a SQLite file of its own, ``synchronous=FULL`` (the default).
        bytes_max: limit of all records in it, set-aside ones included.
        records_max: limit of the records that wait.
    """

    def __init__(
        self,
        name: str,
        database: Database,
        clock: Clock,
        *,
        bytes_max: int = BYTES_MAX,
        records_max: int = RECORDS_MAX,
    ) -> None:
        if database.dialect != "sqlite":
            raise InvalidInput(
                f"the local buffer {name!r} is a SQLite file, not {database.dialect}: a publisher "
                "with a database uses the outbox there"
            )
        self.name, self.bytes_max, self.records_max = name, bytes_max, records_max
        self.records = self.bytes = 0
        self._database, self._clock = database, clock
        self._sql = statements(PACKAGE, "sqlite")
        self._epoch = 0

    async def open(self) -> None:
        """Take the file, creating its tables first if need be; from now on it is this object's.

        Raises:
            BufferFull: the disk has no room even for that.
        """

        async def take(connection: Connection) -> tuple[int, int, int]:
            await schema.apply(connection, PACKAGE, PART, self._clock)
            epoch, records, used = (await connection.fetch(self._sql["claim"]))[0]
            return int(epoch), int(records), int(used)

        self._epoch, self.records, self.bytes = await self._transact(take)
        signals.gauge("goldseam_buffer_bytes_limit", self.bytes_max, buffer=self.name)
        self._show()

    async def append(self, records: Sequence[Record]) -> None:
        """Add all of ``records``, or none; returns when they are on the disk.

        Raises:
            BufferFull: over a limit, or the disk is full.
            BufferTaken: the file is another process's now.
        """
        now = self._clock.now_us()
        raws = [msgspec.msgpack.encode(record) for record in records]
        rows = [
            {
                "written_us": now,
                "size": len(raw) + ROW_BYTES,
                "checksum": crc32(raw),
                "record": raw,
            }
            for raw in raws
        ]
        count, size = len(raws), sum(len(raw) + ROW_BYTES for raw in raws)

        async def add(connection: Connection) -> None:
            waiting, used = await self._add(connection, count, size)
            if waiting > self.records_max or used > self.bytes_max:
                raise self._full(
                    f"{count} records of {size} bytes do not fit: it has {waiting - count} of "
                    f"{self.records_max} records and {used - size} of {self.bytes_max} bytes"
                )
            await connection.execute_many(self._sql["insert"], rows)

        try:
            await self._transact(add)
        except BufferFull:
            signals.count("goldseam_buffer_refused_total", count, buffer=self.name)
            raise
        except CommitUnknown:
            self.records += count  # perhaps; an empty head() finds out
            raise
        self.records += count
        self.bytes += size
        self._show()

    async def head(self, limit: int = HEAD_RECORDS) -> list[Waiting]:
        """The oldest records that wait, in order."""
        rows = await self._database.fetch(self._sql["head"], {"limit": limit})
        if not rows:
            totals = (await self._database.fetch(self._sql["totals"]))[0]
            self.records, self.bytes = int(totals[0]), int(totals[1])
        oldest = (self._clock.now_us() - rows[0][1]) / MICROSECONDS_PER_SECOND if rows else 0.0
        signals.gauge("goldseam_buffer_oldest_seconds", max(oldest, 0.0), buffer=self.name)
        return [Waiting(*row) for row in rows]

    async def remove(self, first: int, last: int) -> None:
        """Forget the records from ``first`` to ``last``: a broker has acknowledged them."""
        span = {"first": first, "last": last}

        async def drop(connection: Connection) -> tuple[int, int]:
            count, size = (await connection.fetch(self._sql["sums"], span))[0]
            await self._add(connection, -count, -size)
            await connection.fetch(self._sql["remove"], span)
            return int(count), int(size)

        count, size = await self._transact(drop)
        self.records -= count
        self.bytes -= size
        self._show()

    async def set_aside(self, number: int) -> None:
        """Keep a record that can never be published out of the others' way; see :meth:`aside`."""

        async def aside(connection: Connection) -> int:
            now = self._clock.now_us()
            found = await connection.fetch(self._sql["set_aside"], {"number": number, "now": now})
            await self._add(connection, -len(found), 0)
            return len(found)

        self.records -= await self._transact(aside)

    async def aside(self, limit: int = HEAD_RECORDS) -> list[Waiting]:
        """The records that a broker refused for good or that are damaged; for a person."""
        rows = await self._database.fetch(self._sql["aside"], {"limit": limit})
        return [Waiting(*row) for row in rows]

    async def _add(self, connection: Connection, records: int, size: int) -> tuple[int, int]:
        change = {"records": records, "bytes": size, "epoch": self._epoch}
        found = await connection.fetch(self._sql["add"], change)
        if not found:
            raise BufferTaken(
                f"the local buffer {self.name!r} was opened by another process; give every "
                "process a file of its own, and restart this one"
            )
        return found[0][0], found[0][1]

    async def _transact(self, operation: Operation[T]) -> T:
        try:
            return await self._database.transact(operation)
        except StoreFull as error:
            raise self._full("its disk is full") from error

    def _full(self, why: str) -> BufferFull:
        return BufferFull(self.name, why, RETRY_AFTER_SECONDS)

    def _show(self) -> None:
        signals.gauge("goldseam_buffer_bytes", self.bytes, buffer=self.name)
