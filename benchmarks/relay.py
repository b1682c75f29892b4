"""The relay beside confluent-kafka's own producer, and how long a fact takes to its effect.

``python -m benchmarks.relay``: three real brokers of ``make services``.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import uuid
from pathlib import Path
from time import perf_counter
from typing import Any

import confluent_kafka
import psycopg

from benchmarks.canned import Deposited, registry
from benchmarks.measure import Result, Scenario, measure
from goldseam import ANY, EventStore, Goldseam, open_store
from goldseam.backends.kafka.config import for_producer
from goldseam.broker.port import Broker, Topic
from goldseam.consumers.connection import ConsumerConnection
from goldseam.consumers.consumer import Consumer
from goldseam.consumers.handlers import handles
from goldseam.consumers.modes import EffectivelyOnce, Watermark
from goldseam.events.event import Recorded
from goldseam.outbox.relay import Relay
from goldseam.outbox.routing import to_topic
from goldseam.outbox.sources import Batch, LogSource
from goldseam.resilience.clock import SystemClock
from goldseam.runtime.brokers import open_broker

EVENTS = 40_000
APPEND_EVENTS = 500
STREAMS = 400
PARTITIONS = 4
SAMPLES = 500
PAUSE_SECONDS = 0.02
SETTLE_SECONDS = 10.0
P50_MS, P99_MS = 15.0, 60.0
BOOTSTRAP_FILE = Path(".services/kafka.bootstrap")
URL_FILE = Path(".services/postgres.url")


class Places:
    """A schema for each run, dropped at the end."""

    def __init__(self, url: str) -> None:
        self._base = url
        self._made: list[str] = []

    def new(self) -> str:
        """The URL of an empty schema."""
        schema = f"bench_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(self._base, autocommit=True) as raw:
            raw.execute(f"CREATE SCHEMA {schema}")
        self._made.append(schema)
        return f"{self._base}?schema={schema}"

    def drop(self) -> None:
        """Leave nothing behind."""
        with psycopg.connect(self._base, autocommit=True) as raw:
            for schema in self._made:
                raw.execute(f"DROP SCHEMA {schema} CASCADE")


async def new_topic(broker: Broker, name: str | None = None) -> str:
    """A topic with three copies, of which two must acknowledge."""
    name = name or f"bench-{uuid.uuid4().hex[:8]}"
    admin = await broker.admin()
    config = {"min.insync.replicas": "2"}
    await admin.create(Topic(name=name, partitions=PARTITIONS, replication=3, config=config))
    await admin.close()
    return name


def deposited(amount: int, note: str) -> Deposited:
    """A fact."""
    return Deposited(amount=amount, note=note)  # type: ignore[call-arg]


class Relaying:
    """A log that is there already, relayed from its beginning; and its records sent raw."""

    def __init__(self, store: EventStore, bootstrap: str) -> None:
        self._store, self._bootstrap = store, bootstrap
        self._records: list[Any] = []

    async def fill(self) -> None:
        """Append the events, and make the records that the raw producer sends."""
        note = "a deposit of some length " * 4
        for first in range(0, EVENTS, APPEND_EVENTS):
            append = self._store.append
            await asyncio.gather(
                *(
                    append(f"account-{n % STREAMS}", [deposited(n, note)], expected=ANY)
                    for n in range(first, first + APPEND_EVENTS)
                )
            )
        source, position = LogSource(self._store, to_topic("any")), 0
        while position < EVENTS:
            batch: Batch = await source.batch(position, 2_000, 0, 1)
            self._records += batch.records
            position = batch.position

    async def ours(self) -> float:
        """From the first page to the last acknowledgement; joining and leases are left out."""
        broker = open_broker(f"kafka://{self._bootstrap}")
        topic = await new_topic(broker)
        publisher = await broker.publisher()
        relay = Relay(
            uuid.uuid4().hex,
            LogSource(self._store, to_topic(topic)),
            publisher,
            self._store.database,
            SystemClock(),
            holder="bench",
        )
        began = perf_counter()
        await relay.flush()
        took = perf_counter() - began
        await broker.close()
        return EVENTS / took

    async def raw(self) -> float:
        """What a careful program does with the same settings, records and headers."""
        broker = open_broker(f"kafka://{self._bootstrap}")
        topic = await new_topic(broker)
        await broker.close()
        return await asyncio.to_thread(self._send, topic)

    def _send(self, topic: str) -> float:
        producer = confluent_kafka.Producer(for_producer(self._bootstrap, "raw", {}))
        failed: list[object] = []

        def report(error: object, _: object) -> None:
            if error is not None:
                failed.append(error)

        began = perf_counter()
        for one in self._records:
            while True:
                try:
                    producer.produce(
                        topic, one.value, one.key, headers=list(one.headers), on_delivery=report
                    )
                    break
                except BufferError:
                    producer.poll(0.01)
            producer.poll(0)
        producer.flush(60)
        took = perf_counter() - began
        assert not failed, failed[0]
        return EVENTS / took


class Effects(Consumer):
    """One row for each fact; says when it is committed."""

    name = "effects"
    mode = EffectivelyOnce(dedup=Watermark())
    tables = "CREATE TABLE {effects} (number BIGINT PRIMARY KEY)"

    def __init__(self, topic: str) -> None:
        self.topics = (topic,)  # type: ignore[misc]
        self.seen: dict[int, asyncio.Future[float]] = {}
        super().__init__()

    @handles(Deposited)
    async def write(self, event: Recorded[Deposited], db: ConsumerConnection) -> None:
        """The effect."""
        number = event.data.amount
        await db.execute("INSERT INTO {effects} VALUES (:n)", {"n": number})
        db.side_effect(lambda: self._done(number))

    def _done(self, number: int) -> None:
        waiting = self.seen.pop(number, None)
        if waiting is not None:
            waiting.set_result(perf_counter())


async def latencies(url: str, bootstrap: str) -> list[float]:
    """Milliseconds from the call of append to the committed effect, in one application."""
    topic = f"bench-{uuid.uuid4().hex[:8]}"
    broker = open_broker(f"kafka://{bootstrap}")
    await new_topic(broker, topic)
    await broker.close()
    consumer, found = Effects(topic), []
    async with Goldseam(
        url,
        broker=f"kafka://{bootstrap}",
        consumers=[consumer],
        registry=registry,
        routing=to_topic(topic),
    ) as app:
        for number in range(SAMPLES + 50):
            waiting = consumer.seen[number] = asyncio.get_running_loop().create_future()
            fact = deposited(number, "x")
            began = perf_counter()
            await app.store.append(f"account-{number % 50}", [fact], expected=ANY)
            ended = await asyncio.wait_for(waiting, SETTLE_SECONDS + 20 * (number == 0))
            if number >= 50:  # the first ones wait for the group and warm everything up
                found.append((ended - began) * 1_000)
            await asyncio.sleep(PAUSE_SECONDS)
    return sorted(found)


class Latency:
    """Append to effect through Kafka; one run serves both figures of a round."""

    def __init__(self, places: Places, bootstrap: str) -> None:
        self._places, self._bootstrap = places, bootstrap
        self._found: list[float] = []

    async def p50(self) -> float:
        """The median of a run of its own."""
        self._found = await latencies(self._places.new(), self._bootstrap)
        return self._found[len(self._found) // 2]

    async def p99(self) -> float:
        """Of the run that :meth:`p50` has made."""
        if not self._found:
            await self.p50()
        found, self._found = self._found, []
        return found[int(len(found) * 0.99)]

    def scenarios(self) -> list[Scenario]:
        """Targets are in milliseconds, so the limit is one of them."""

        async def one() -> float:
            return 1.0

        limits = {"1 ms": one}
        name = "append to effect through Kafka"
        return [
            Scenario(f"{name}, p50", P50_MS, self.p50, limits, "ms", better="lower"),
            Scenario(f"{name}, p99", P99_MS, self.p99, limits, "ms", better="lower"),
        ]


async def run(url: str, bootstrap: str, rounds: int) -> list[Result]:
    """All scenarios."""
    places, results = Places(url), []
    try:
        async with await open_store(places.new(), registry=registry) as store:
            relaying = Relaying(store, bootstrap)
            await relaying.fill()
            scenario = Scenario(
                "relay to Kafka, log on PostgreSQL",
                0.6,
                relaying.ours,
                {"confluent-kafka": relaying.raw},
            )
            results.append(await measure(scenario, rounds))
        for scenario in Latency(places, bootstrap).scenarios():
            results.append(await measure(scenario, min(rounds, 3)))  # noqa: PERF401
    finally:
        places.drop()
    return results


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.relay", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if not (BOOTSTRAP_FILE.is_file() and URL_FILE.is_file()):
        sys.exit("Kafka and PostgreSQL are needed; run: make services")
    bootstrap = BOOTSTRAP_FILE.read_text().strip()
    for result in asyncio.run(run(URL_FILE.read_text().strip(), bootstrap, options.rounds)):
        ratios = " ".join(f"{one:.2f}" for one in result.ratios)
        sys.stdout.write(
            f"{result.scenario.name}: ratio {result.ratio:.2f} ({ratios}), target "
            f"{result.scenario.target:g}: {'met' if result.met else 'MISSED'}\n"
        )
        for name, values in {"ours": result.ours, **result.limits}.items():
            shown = ", ".join(f"{v:,.4g}" for v in values)
            sys.stdout.write(f"    {name}: {shown} {result.scenario.unit}\n")


if __name__ == "__main__":
    main()
