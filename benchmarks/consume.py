"""Consumers beside what they add to: a raw consumer loop, plain psycopg, one process alone.

``python -m benchmarks.consume``: the records are made once, so brokers' own speed is left out
unless a scenario names one.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

import msgspec
import psycopg

from benchmarks.canned import (
    PARTITIONS,
    TOPIC,
    CannedBroker,
    Deposited,
    canned,
    record,
    registry,
)
from benchmarks.measure import Scenario, measure
from goldseam.broker.port import Membership, Topic
from goldseam.broker.record import Record
from goldseam.consumers.connection import ConsumerConnection
from goldseam.consumers.consumer import Consumer
from goldseam.consumers.modes import AtLeastOnce, DedupTable, EffectivelyOnce, Mode, Watermark
from goldseam.consumers.runner import BATCH_RECORDS, POLL_RECORDS, ConsumerRunner
from goldseam.database.connection import Database
from goldseam.events.event import Recorded
from goldseam.runtime.brokers import open_broker
from goldseam.runtime.wiring import open_database

RECORDS = 40_000
WAIT_SECONDS = 0.002
WAITED_RECORDS = 2_000
PROCESSES = 4
BOOTSTRAP_FILE = Path(".services/kafka.bootstrap")
URL_FILE = Path(".services/postgres.url")
TABLE = (
    "CREATE TABLE {deposits} (account TEXT NOT NULL, version BIGINT NOT NULL, "
    "amount BIGINT NOT NULL, note TEXT NOT NULL)"
)
INSERT = "INSERT INTO {deposits} VALUES (:account, :version, :amount, :note)"
PLAIN = "INSERT INTO plain VALUES (%(account)s, %(version)s, %(amount)s, %(note)s)"


class Writing(Consumer):
    """One row for each fact, in batches."""

    name = "writing"
    topics = (TOPIC,)
    tables = TABLE
    types = (Deposited,)

    async def apply_batch(self, events: Sequence[Recorded[Any]], db: ConsumerConnection) -> None:
        await db.execute_many(INSERT, [row(event.stream, event.version, event) for event in events])


class Counting(Consumer):
    """Does nothing but look: what the loop itself costs."""

    name = "counting"
    topics = (TOPIC,)
    mode: ClassVar[Mode] = AtLeastOnce()
    types = (Deposited,)

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    async def apply_batch(self, events: Sequence[Recorded[Any]], db: ConsumerConnection) -> None:
        for event in events:
            self.total += event.data.amount


class Waiting(Consumer):
    """Waits 2 ms for each fact, as a slow service would."""

    name = "waiting"
    topics = (TOPIC,)
    mode: ClassVar[Mode] = AtLeastOnce()
    types = (Deposited,)

    async def apply_batch(self, events: Sequence[Recorded[Any]], db: ConsumerConnection) -> None:
        await asyncio.sleep(WAIT_SECONDS)


def row(stream: str, version: int, event: Recorded[Any]) -> dict[str, object]:
    """The row of one fact."""
    data = event.data
    return {"account": stream, "version": version, "amount": data.amount, "note": data.note}


async def consumed(
    consumer: Consumer,
    broker: Any,
    database: Database | None,
    count: int,
    *,
    from_first: bool = False,
) -> float:
    """Records per second until ``count`` are applied; ``from_first``: from the first one on."""
    runner = ConsumerRunner(consumer, broker, database, registry=registry)
    await runner.prepare()
    began = perf_counter()
    task = asyncio.create_task(runner.run())
    waiting = from_first
    while runner.tally.applied < count:
        if task.done():
            task.result()
        if waiting and runner._lanes and (runner._is_busy() or runner.tally.applied):
            waiting, began = False, perf_counter()
        await asyncio.sleep(0.001)
    took = perf_counter() - began
    runner.stop()
    await task
    return count / took


class Postgres:
    """Effectively-once into PostgreSQL beside plain psycopg: same rows, same batches."""

    def __init__(self, url: str) -> None:
        self._base, self._schema = url, f"bench_{uuid.uuid4().hex[:8]}"
        self._url = f"{url}?schema={self._schema}"
        self._topic = canned(RECORDS)
        with psycopg.connect(url, autocommit=True) as raw:
            raw.execute(f"CREATE SCHEMA {self._schema}")
        with self._connect() as raw:
            raw.execute(TABLE.replace("{deposits}", "plain"))

    def _connect(self) -> psycopg.Connection[Any]:
        options = f"-c search_path={self._schema}"
        return psycopg.connect(self._base, autocommit=True, options=options)

    def drop(self) -> None:
        """Leave nothing behind."""
        with psycopg.connect(self._base, autocommit=True) as raw:
            raw.execute(f"DROP SCHEMA {self._schema} CASCADE")

    def _ours(self, mode: Mode) -> Any:
        class InMode(Writing):
            name = f"writing-{uuid.uuid4().hex[:6]}"

        async def run() -> float:
            InMode.name, InMode.mode = f"writing-{uuid.uuid4().hex[:6]}", mode
            database = open_database(self._url)
            try:
                return await consumed(InMode(), CannedBroker(self._topic), database, RECORDS)
            finally:
                await database.close()

        return run

    async def _plain(self) -> float:
        """What a careful program does: decode, one executemany and one commit for each batch."""
        decode = msgspec.json.Decoder(Deposited).decode
        batches = [
            some[start : start + BATCH_RECORDS]
            for some in self._topic.values()
            for start in range(0, len(some), BATCH_RECORDS)
        ]
        options = f"-c search_path={self._schema}"
        raw = await psycopg.AsyncConnection.connect(self._base, options=options)
        async with raw:
            began = perf_counter()
            for batch in batches:
                rows = []
                for one in batch:
                    data = decode(one.value or b"")
                    version = int(dict(one.headers)["ce_streamversion"])
                    rows.append(
                        {"account": (one.key or b"").decode(), "version": version,
                         "amount": data.amount, "note": data.note}
                    )  # fmt: skip
                async with raw.cursor() as cursor:
                    await cursor.executemany(PLAIN, rows)
                await raw.commit()
            return RECORDS / (perf_counter() - began)

    def scenarios(self) -> list[Scenario]:
        """The watermark is measured against the target, the dedup table is shown beside it."""
        plain = {"psycopg, same rows and batches": self._plain}
        mark = self._ours(EffectivelyOnce(dedup=Watermark()))
        table = self._ours(EffectivelyOnce(dedup=DedupTable()))
        unit = "records/s"
        return [
            Scenario("effectively-once into PostgreSQL, watermark", 0.5, mark, plain, unit),
            Scenario("effectively-once into PostgreSQL, dedup table", 0.5, table, plain, unit),
        ]


class Kafka:
    """At-least-once from real Kafka beside confluent-kafka's own consumer, same settings."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap, self._topic = bootstrap, f"bench-{uuid.uuid4().hex[:8]}"

    async def fill(self) -> None:
        """Publish the records once; every run reads them in a group of its own."""
        broker = open_broker(f"kafka://{self._bootstrap}")
        admin = await broker.admin()
        config = {"min.insync.replicas": "2"}
        topic = Topic(name=self._topic, partitions=PARTITIONS, replication=3, config=config)
        await admin.create(topic)
        await admin.close()
        publisher = await broker.publisher()
        made = [record(n, 0, 0) for n in range(RECORDS)]
        await publisher.publish(
            [Record(self._topic, m.key, m.value, m.headers, 0, n % PARTITIONS)
             for n, m in enumerate(made)]
        )  # fmt: skip
        await publisher.close()
        await broker.close()

    async def _ours(self) -> float:
        class FromKafka(Counting):
            pass

        FromKafka.name, FromKafka.topics = uuid.uuid4().hex, (self._topic,)
        broker = open_broker(f"kafka://{self._bootstrap}")
        try:
            return await consumed(FromKafka(), broker, None, RECORDS, from_first=True)
        finally:
            await broker.close()

    def _raw(self) -> float:
        """What a careful program does: look at the type, decode, commit after each batch."""
        import confluent_kafka

        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": uuid.uuid4().hex,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )
        consumer.subscribe([self._topic])
        decode, done, total, began = msgspec.json.Decoder(Deposited).decode, 0, 0, 0.0
        while done < RECORDS:
            messages = consumer.consume(POLL_RECORDS, 0.5)
            began = began or (perf_counter() if messages else 0.0)
            for one in messages:
                if dict(one.headers() or ())["ce_type"] == b"bench.Deposited":
                    total += decode(one.value() or b"").amount
            done += len(messages)
            if messages:
                consumer.commit(asynchronous=False)
        took = perf_counter() - began
        consumer.close()
        return done / took

    async def _raw_run(self) -> float:
        return await asyncio.to_thread(self._raw)

    def scenario(self) -> Scenario:
        """From the first record that arrives, so that joining the group is left out of both."""
        limits = {"confluent-kafka": self._raw_run}
        return Scenario("at-least-once from Kafka", 0.6, self._ours, limits, "records/s")


def scaling(folder: Path) -> Scenario:
    """A handler that waits 2 ms, in one process and in four, over one embedded broker."""

    async def rate(processes: int) -> float:
        url = f"sqlite:///{folder / uuid.uuid4().hex}.db"
        await _fill(url)
        program = [sys.executable, "-m", "benchmarks.consume", "--member", url]
        members = [
            subprocess.Popen([*program, str(n)], stdout=subprocess.PIPE, stdin=subprocess.PIPE)
            for n in range(processes)
        ]
        try:
            return await asyncio.to_thread(_rate_of, members)
        finally:
            for member in members:
                member.kill()
                member.communicate()

    async def four() -> float:
        return await rate(PROCESSES)

    async def one() -> float:
        return await rate(1)

    limits = {"one process": one}
    return Scenario("four processes, a handler that waits 2 ms", 3.5, four, limits, "records/s")


async def _fill(url: str) -> None:
    broker = open_broker(url)
    admin = await broker.admin()
    await admin.create(Topic(name=TOPIC, partitions=PARTITIONS, replication=1))
    await admin.close()
    await broker.close()


async def _publish(url: str, count: int) -> None:
    broker = open_broker(url)
    publisher = await broker.publisher()
    made = [record(n, 0, 0) for n in range(count)]
    await publisher.publish(
        [Record(TOPIC, m.key, m.value, m.headers, 0, n % PARTITIONS) for n, m in enumerate(made)]
    )
    await publisher.close()
    await broker.close()


def _rate_of(members: list[subprocess.Popen[bytes]]) -> float:
    """Each says when its partitions are there, and when it has handled something; then the rate."""
    for member in members:
        assert member.stdout is not None
        assert b"ready\n" == member.stdout.readline()
    url = members[0].args[4]  # type: ignore[index]
    asyncio.run(_publish(str(url), WAITED_RECORDS))
    began = perf_counter()
    done = 0
    for member in members:
        assert member.stdout is not None
        done += int(member.stdout.readline())
    assert WAITED_RECORDS == done, done
    return WAITED_RECORDS / (perf_counter() - began)


async def member(url: str, number: int) -> None:
    """One member: ready with its share of the partitions, then done when nothing comes any more."""
    broker = open_broker(url)
    membership = Membership(group="waiting", instance=f"waiting-{number}")
    runner = ConsumerRunner(Waiting(), broker, None, registry=registry, membership=membership)
    task = asyncio.create_task(runner.run())
    share = 0
    while not share or runner.tally.rebalances == 0:
        await asyncio.sleep(0.05)
        share = len(runner.status().partitions)
    await asyncio.sleep(2)  # until all members have their share
    share = len(runner.status().partitions)
    print("ready", flush=True)
    expected = WAITED_RECORDS * share // PARTITIONS
    while runner.tally.applied < expected:  # noqa: ASYNC110 (it is counted, not told)
        await asyncio.sleep(0.002)
    print(runner.tally.applied, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    runner.stop()
    await task
    await broker.close()


async def main(rounds: int) -> None:
    """All scenarios that this machine can run."""
    with tempfile.TemporaryDirectory() as folder:
        scenarios = [scaling(Path(folder))]
        if BOOTSTRAP_FILE.exists():
            kafka = Kafka(BOOTSTRAP_FILE.read_text().strip())
            await kafka.fill()
            scenarios.append(kafka.scenario())
        postgres = Postgres(URL_FILE.read_text().strip()) if URL_FILE.exists() else None
        try:
            for scenario in [*scenarios, *(postgres.scenarios() if postgres else [])]:
                found = await measure(scenario, rounds)
                rates = ", ".join(
                    f"{name} {sorted(values)[len(values) // 2]:,.0f}"
                    for name, values in found.limits.items()
                )
                ours = sorted(found.ours)[len(found.ours) // 2]
                print(f"{scenario.name}: {ours:,.0f} beside {rates}: {found.ratio:.2f}", flush=True)
        finally:
            if postgres is not None:
                postgres.drop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--member", nargs=2, metavar=("URL", "NUMBER"))
    options = parser.parse_args()
    if options.member:
        asyncio.run(member(options.member[0], int(options.member[1])))
    else:
        asyncio.run(main(options.rounds))
