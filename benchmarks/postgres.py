"""PostgreSQL: appends, replay, latency, several processes, each beside the raw limit."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shutil import which
from time import perf_counter
from typing import Any

import psycopg

from benchmarks.measure import Run, Scenario, Stopwatch
from benchmarks.payload import decode, encode, order, registry
from goldseam import ANY, EventStore, open_store

WRITERS = 32
REPLAYED_EVENTS = 100_000
LATENCY_SAMPLES = 300

RAW_TABLE = """
CREATE TABLE IF NOT EXISTS raw (
    position bigserial PRIMARY KEY, tenant text, stream text, version bigint, id uuid, type text,
    type_version smallint, recorded_us bigint, metadata bytea, payload bytea, checksum bigint,
    chain bytea, UNIQUE (tenant, stream, version), UNIQUE (tenant, id));
CREATE INDEX IF NOT EXISTS raw_category ON raw (tenant, split_part(stream, '-', 1), position)
"""
COLUMNS = (
    "tenant, stream, version, id, type, type_version, recorded_us, metadata, payload, checksum,"
    " chain"
)
INSERT = (
    f"INSERT INTO raw ({COLUMNS}) VALUES ('main', %s, %s, %s, 'OrderPlaced', 1, %s, %s, %s, %s, %s)"
)
PAGE = (
    "SELECT position, stream, version, type, type_version, payload, recorded_us, uuid_send(id),"
    " metadata, checksum FROM goldseam_events WHERE position > %s ORDER BY position LIMIT 1000"
)


class Postgres:
    """One schema of its own on the server, dropped at the end."""

    def __init__(self, url: str, seconds: float) -> None:
        self.base, self.seconds = url, seconds
        self.schema = f"bench_{uuid.uuid4().hex[:8]}"
        self.url = f"{url}?schema={self.schema}"
        self.options = f"-c search_path={self.schema}"
        with psycopg.connect(url, autocommit=True) as raw:
            raw.execute(f"CREATE SCHEMA {self.schema}")
        with psycopg.connect(url, autocommit=True, options=self.options) as raw:
            raw.execute(RAW_TABLE)

    def drop(self) -> None:
        """Leave nothing behind."""
        with psycopg.connect(self.base, autocommit=True) as raw:
            raw.execute(f"DROP SCHEMA {self.schema} CASCADE")

    def scenarios(self) -> list[Scenario]:
        """All scenarios on this server."""
        return [*self._appends(), *self._reads()]

    def _appends(self) -> list[Scenario]:
        return [
            Scenario(
                "PostgreSQL: 32 writers, 1 event each",
                1.5,
                self.ours(WRITERS, 1),
                {"psycopg, one INSERT a commit, 32 connections": self.raw_async(WRITERS)},
                beside=self.pgbench(WRITERS),
            ),
            Scenario(
                "PostgreSQL: one writer, 1 event",
                0.75,
                self.ours(1, 1),
                {"psycopg, one INSERT a commit": self.raw_sync},
                beside=self.pgbench(1),
            ),
            Scenario(
                "PostgreSQL: one writer, 100 events an append",
                0.75,
                self.ours(1, 100),
                {"COPY of 100 rows a commit, same columns and indexes": self.copy},
            ),
            Scenario(
                "PostgreSQL: four processes of 32 writers",
                1.0,
                lambda: self.processes(4, WRITERS),
                {"one process of 32 writers": lambda: self.processes(1, WRITERS)},
                beside={"four processes of 8 writers": lambda: self.processes(4, WRITERS // 4)},
            ),
        ]

    def _reads(self) -> list[Scenario]:
        return [
            Scenario(
                "PostgreSQL: replay to typed events",
                0.80,
                self.replay,
                {"pages of 1,000 rows decoded by msgspec": self.raw_replay},
            ),
            Scenario(
                "PostgreSQL: append to handler, other connections, p50",
                1.5,
                self.latency,
                {"INSERT and NOTIFY to a listener": self.raw_latency},
                unit="ms",
                better="lower",
            ),
        ]

    def ours(self, writers: int, events: int) -> Run:
        """``writers`` tasks, each appending ``events`` typed events at the exact version."""

        async def run() -> float:
            async with await open_store(self.url, registry=registry) as store:
                return await appends(store, writers, events, self.seconds)

        return run

    def raw_async(self, writers: int) -> Run:
        """The same rows, one INSERT in one commit, on a connection for each writer."""

        async def writer(watch: Stopwatch, name: str) -> int:
            count = 0
            raw = await psycopg.AsyncConnection.connect(
                self.base, autocommit=True, options=self.options
            )
            async with raw, raw.cursor() as cursor:
                while watch.running:
                    count += 1
                    await cursor.execute(INSERT, _row(name, count), prepare=True)
            return count

        async def run() -> float:
            watch = Stopwatch(self.seconds)
            name = uuid.uuid4().hex[:8]
            jobs = (writer(watch, f"order-{name}-{n}") for n in range(writers))
            return watch.rate(sum(await asyncio.gather(*jobs)))

        return run

    async def raw_sync(self) -> float:
        """One blocking connection, one INSERT in one commit."""
        name, count = f"order-{uuid.uuid4().hex[:8]}", 0
        with psycopg.connect(self.base, autocommit=True, options=self.options) as raw:
            cursor = raw.cursor()
            watch = Stopwatch(self.seconds)
            while watch.running:
                count += 1
                cursor.execute(INSERT, _row(name, count), prepare=True)
            return watch.rate(count)

    def pgbench(self, clients: int) -> dict[str, Run]:
        """The same INSERT from C, where pgbench is installed: for information."""
        program = which("pgbench") or next(
            (str(p) for p in Path("/usr/lib/postgresql").glob("*/bin/pgbench")), None
        )
        if program is None:
            return {}
        return {"pgbench (C)": lambda: self._pgbench(program, clients)}

    async def _pgbench(self, program: str, clients: int) -> float:
        payload = encode(order(1)).decode()
        script = (
            "\\set n random(1, 1000000000000)\n"
            f"INSERT INTO {self.schema}.raw ({COLUMNS}) VALUES ('main', 'order-' || :client_id ||"
            " '-' || :n, 1, gen_random_uuid(), 'OrderPlaced', 1, 1, '{}',"
            f" '{payload}', 1, '\\x{'00' * 32}');\n"
        )
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
            file.write(script)
            file.flush()
            command = [program, "-n", "-M", "prepared", "-f", file.name, "-c", str(clients)]
            command += ["-j", "2", "-T", str(max(1, round(self.seconds))), self.base]
            done = await asyncio.to_thread(
                subprocess.run, command, capture_output=True, text=True, check=True
            )
        line = next(line for line in done.stdout.splitlines() if line.startswith("tps"))
        return float(line.split()[2])

    async def copy(self) -> float:
        """100 rows by COPY in one commit."""
        name, version = f"order-{uuid.uuid4().hex[:8]}", 0
        types = ["text", "text", "int8", "uuid", "text", "int2", "int8", "bytea", "bytea", "int8"]
        with psycopg.connect(self.base, autocommit=True, options=self.options) as raw:
            watch = Stopwatch(self.seconds)
            while watch.running:
                with raw.cursor().copy(f"COPY raw ({COLUMNS}) FROM STDIN (FORMAT BINARY)") as copy:
                    copy.set_types([*types, "bytea"])
                    for _ in range(100):
                        version += 1
                        row = _row(name, version)
                        copy.write_row(("main", *row[:3], "OrderPlaced", 1, *row[3:]))
            return watch.rate(version)

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
        with psycopg.connect(self.base, autocommit=True, options=self.options) as raw:
            cursor: psycopg.Cursor[Any] = raw.cursor(binary=True)
            start, count, position = perf_counter(), 0, 0
            while count < REPLAYED_EVENTS:
                rows = cursor.execute(PAGE, (position,), prepare=True).fetchall()
                events = [(row[0], row[1], row[2], decode(row[5])) for row in rows]
                count, position = count + len(events), rows[-1][0]
            return count / (perf_counter() - start)

    async def latency(self) -> float:
        """From the start of an append to the handler of a follower with its own connections."""
        times: list[float] = []
        async with (
            await open_store(self.url, registry=registry) as writer,
            await open_store(self.url, registry=registry) as reader,
        ):
            arrived = asyncio.Event()

            async def handle() -> None:
                async for _ in reader.follow(after=await reader.head()):
                    arrived.set()

            handler = asyncio.create_task(handle())
            await asyncio.sleep(0.3)
            for number in range(LATENCY_SAMPLES):
                arrived.clear()
                start = perf_counter()
                await writer.append("order-latency", [order(number)], expected=ANY)
                await arrived.wait()
                times.append(perf_counter() - start)
            handler.cancel()
            with suppress(asyncio.CancelledError):
                await handler
        return statistics.median(times) * 1000

    async def raw_latency(self) -> float:
        """INSERT and NOTIFY in one commit on one connection, the notification on another."""
        times, name = [], f"order-{uuid.uuid4().hex[:8]}"
        connect = psycopg.AsyncConnection.connect
        async with (
            await connect(self.base, autocommit=True, options=self.options) as writer,
            await connect(self.base, autocommit=True, options=self.options) as listener,
        ):
            await listener.execute("LISTEN raw")
            arrived = asyncio.Event()

            async def listen() -> None:
                async for _ in listener.notifies():
                    arrived.set()

            task = asyncio.create_task(listen())
            both = (
                f"WITH stored AS ({INSERT} RETURNING position)"
                " SELECT pg_notify('raw', position::text) FROM stored"
            )
            for number in range(1, LATENCY_SAMPLES + 1):
                arrived.clear()
                start = perf_counter()
                await writer.execute(both, _row(name, number), prepare=True)
                await arrived.wait()
                times.append(perf_counter() - start)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        return statistics.median(times) * 1000

    async def processes(self, count: int, writers: int) -> float:
        """``count`` processes append at the same time; the sum of their rates."""
        command = [sys.executable, "-m", "benchmarks.writer", self.url, str(writers)]
        command.append(str(self.seconds))
        started = [
            await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
            for _ in range(count)
        ]
        for process in started:
            assert process.stdout is not None
            await process.stdout.readline()
        rates = []
        for process in started:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
        for process in started:
            out, _ = await process.communicate()
            rates.append(float(json.loads(out)["rate"]))
        return sum(rates)


async def appends(
    store: EventStore,
    writers: int,
    events: int,
    seconds: float,
    make: Callable[[int], Any] = order,
) -> float:
    """Events per second of ``writers`` tasks that append ``events`` at a time."""
    name = uuid.uuid4().hex[:8]

    async def writer(stream: str) -> int:
        version = 0
        while watch.running:
            new = [make(version + n) for n in range(events)]
            await store.append(stream, new, expected=version)
            version += events
        return version

    await store.append(f"order-{name}-warm", [make(0)], expected=ANY)
    watch = Stopwatch(seconds)
    done = await asyncio.gather(*(writer(f"order-{name}-{n}") for n in range(writers)))
    return watch.rate(sum(done))


def _row(stream: str, version: int) -> tuple[Any, ...]:
    payload = encode(order(version))
    return (stream, version, uuid.uuid4(), 1, b"{}", payload, 1, b"\0" * 32)


async def _fill(store: EventStore) -> None:
    while (head := await store.head()) < REPLAYED_EVENTS:
        new = [order(head + n) for n in range(1000)]
        await store.append(f"order-filled-{head}", new, expected=ANY)
