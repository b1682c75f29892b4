"""SQLite with synchronous=FULL, beside plain sqlite3 with the same settings."""

from __future__ import annotations

import sqlite3
import uuid
from pathlib import Path
from time import perf_counter

from benchmarks.measure import Run, Scenario, Stopwatch
from benchmarks.payload import decode, encode, order, registry
from benchmarks.postgres import REPLAYED_EVENTS, WRITERS, _fill, appends
from goldseam import open_store

TABLE = """
CREATE TABLE IF NOT EXISTS raw (
    position INTEGER PRIMARY KEY, tenant TEXT, stream TEXT, version INTEGER, id BLOB, type TEXT,
    type_version INTEGER, recorded_us INTEGER, metadata BLOB, payload BLOB, checksum INTEGER,
    chain BLOB, UNIQUE (tenant, stream, version), UNIQUE (tenant, id)) STRICT;
CREATE INDEX IF NOT EXISTS raw_category
    ON raw (tenant, substr(stream, 1, instr(stream || '-', '-') - 1), position)
"""
INSERT = (
    "INSERT INTO raw (tenant, stream, version, id, type, type_version, recorded_us, metadata,"
    " payload, checksum, chain) VALUES ('main', ?, ?, ?, 'OrderPlaced', 1, 1, x'7b7d', ?, 1, ?)"
)
PAGE = (
    "SELECT position, stream, version, type, type_version, payload, recorded_us, id, metadata,"
    " checksum FROM goldseam_events WHERE position > ? ORDER BY position LIMIT 1000"
)


class Sqlite:
    """One database file of its own in ``folder``."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.path, self.seconds = folder / "bench.db", seconds
        self.url = f"sqlite:///{self.path}"
        with self._connect() as raw:
            raw.executescript(TABLE)

    def _connect(self) -> sqlite3.Connection:
        raw = sqlite3.connect(self.path, isolation_level=None)
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("PRAGMA synchronous = FULL")
        return raw

    def scenarios(self) -> list[Scenario]:
        """All scenarios on SQLite."""
        limit = {"sqlite3, one INSERT a commit": self.raw_commits}
        return [
            Scenario("SQLite: 32 writers, 1 event each", 3.0, self.ours(WRITERS), limit),
            Scenario("SQLite: one writer, 1 event", 0.60, self.ours(1), limit),
            Scenario(
                "SQLite: replay to typed events",
                0.75,
                self.replay,
                {"pages of 1,000 rows decoded by msgspec": self.raw_replay},
            ),
        ]

    def ours(self, writers: int) -> Run:
        """``writers`` tasks, one typed event an append."""

        async def run() -> float:
            async with await open_store(self.url, registry=registry) as store:
                return await appends(store, writers, 1, self.seconds)

        return run

    async def raw_commits(self) -> float:
        """One connection, one row in one commit."""
        raw, name, count = self._connect(), uuid.uuid4().hex[:8], 0
        watch = Stopwatch(self.seconds)
        while watch.running:
            count += 1
            payload = encode(order(count))
            raw.execute(INSERT, (name, count, uuid.uuid4().bytes, payload, b"\0" * 32))
        rate = watch.rate(count)
        raw.close()
        return rate

    async def replay(self) -> float:
        """The log from its start, as typed events, through the public API."""
        async with await open_store(self.url, registry=registry) as store:
            await _fill(store)
            start, count = perf_counter(), 0
            async for _ in store.replay(until=REPLAYED_EVENTS):
                count += 1
            return count / (perf_counter() - start)

    async def raw_replay(self) -> float:
        """The same rows in pages, each payload decoded, nothing checked."""
        async with await open_store(self.url, registry=registry) as store:
            await _fill(store)
        raw = self._connect()
        start, count, position = perf_counter(), 0, 0
        while count < REPLAYED_EVENTS:
            rows = raw.execute(PAGE, (position,)).fetchall()
            events = [(row[0], row[1], row[2], decode(row[5])) for row in rows]
            count, position = count + len(events), rows[-1][0]
        rate = count / (perf_counter() - start)
        raw.close()
        return rate
