"""The ledger names every event that was lost, altered, put out of order or sent twice."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from goldseam import ANY, Consumer, EventStore, Recorded, Registry, handles, open_store
from goldseam.broker.embedded import EmbeddedBroker
from goldseam.consumers.connection import ConsumerConnection
from goldseam.consumers.modes import EffectivelyOnce, Watermark
from goldseam.consumers.runner import ConsumerRunner
from goldseam.governance.applied import Books
from goldseam.governance.ledger import Ledger, reconcile
from goldseam.outbox.relay import Relay
from goldseam.outbox.routing import by_category
from goldseam.outbox.sources import LogSource, source_of
from goldseam.resilience.clock import SystemClock, uuid7_bytes
from goldseam.runtime.wiring import open_database
from tests.support.eventually import eventually

types = Registry()
EVENTS, STREAMS = 60, 5
POISON = 33
TOPIC = "order"


@types.event
class CustomerPlacedOrder(msgspec.Struct, frozen=True):
    number: int


class Billing(Consumer):
    name = "billing"
    topics = (TOPIC,)
    tables = "CREATE TABLE {bills} (number BIGINT PRIMARY KEY)"

    @handles(CustomerPlacedOrder)
    async def bill(self, event: Recorded[CustomerPlacedOrder], db: ConsumerConnection) -> None:
        if event.data.number == POISON:
            raise ValueError("cannot be billed")
        await db.execute("INSERT INTO {bills} VALUES (:n)", {"n": event.data.number})


class Counting(Consumer):
    name = "counting"
    topics = (TOPIC,)
    mode = EffectivelyOnce(dedup=Watermark())
    tables = "CREATE TABLE {counted} (number BIGINT PRIMARY KEY)"

    @handles(CustomerPlacedOrder)
    async def count(self, event: Recorded[CustomerPlacedOrder], db: ConsumerConnection) -> None:
        if event.data.number == POISON:
            raise ValueError("cannot be counted")
        await db.execute("INSERT INTO {counted} VALUES (:n)", {"n": event.data.number})


class World:
    """A store whose events are on a topic, and the topic's file, to be tampered with."""

    def __init__(self, folder: Path, store: EventStore, broker: EmbeddedBroker) -> None:
        self.folder, self.store, self.broker = folder, store, broker
        self.target = open_database(f"sqlite:///{folder}/target.db")
        self.books: list[Books] = []

    async def relay(self) -> None:
        source = LogSource(self.store, by_category())
        publisher = await self.broker.publisher()
        await Relay(
            "main", source, publisher, self.store.database, SystemClock(), holder="test"
        ).flush()

    async def consume(self, consumer: Consumer) -> None:
        """Until everything is applied or parked."""
        runner = ConsumerRunner(
            consumer, self.broker, self.target, registry=types, pause_seconds=0.001
        )
        running = asyncio.create_task(runner.run())
        await eventually(lambda: runner.tally.applied + runner.tally.dead_lettered >= EVENTS)
        runner.stop()
        await running

    def tamper(self, sql: str, *values: object) -> None:
        """What no relay does, to the topic's own table."""
        with sqlite3.connect(self.folder / "broker.db") as raw:
            assert raw.execute(sql, values).rowcount > 0
        raw.close()

    async def ledger(self, *consumers: Consumer) -> Ledger:
        admin = await self.broker.admin()
        books = [Books(one, self.target, types, SystemClock()) for one in consumers]
        for one in books:
            await one.open(admin)
        return await reconcile(
            self.store,
            admin,
            [TOPIC],
            by_category(),
            source=source_of(self.store),
            position=EVENTS,
            books=books,
        )

    async def id_at(self, position: int) -> str:
        page = await self.store.raw_all(after=position - 1, limit=1)
        return str(UUID(bytes=page[0].id_bytes))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    broker = EmbeddedBroker(
        open_database(f"sqlite:///{tmp_path}/broker.db"), SystemClock(), uuid7_bytes
    )
    async with await open_store(f"sqlite:///{tmp_path}/log.db", registry=types) as store:
        for n in range(EVENTS):
            event = CustomerPlacedOrder(n)
            await store.append(f"order-{n % STREAMS}", [event], expected=ANY)
        world = World(tmp_path, store, broker)
        await world.relay()
        yield world
        await world.target.close()
        await broker.close()


def offset_of(world: World, position: int) -> tuple[int, int]:
    """Where the event at ``position`` is on the topic."""
    with sqlite3.connect(world.folder / "broker.db") as raw:
        rows = raw.execute("SELECT number, record_offset, headers FROM goldseam_records").fetchall()
    raw.close()
    sought = b"%020d" % position
    return next((number, offset) for number, offset, headers in rows if sought in headers)


WHERE = "WHERE number = ? AND record_offset = ?"


async def test_a_whole_river_balances(world: World) -> None:
    """Every event is on the topic, and applied or parked by both kinds of consumers."""
    for consumer in (Billing(), Counting()):
        await world.consume(consumer)
    found = await world.ledger(Billing(), Counting())
    assert found.balanced
    assert (EVENTS, EVENTS, 0) == (found.accounts.in_log, found.accounts.on_topics, 0)
    for one in found.consumers:
        assert EVENTS == one.owed == one.applied + one.parked
        assert one.parked == (EVENTS - POISON + STREAMS - 1) // STREAMS


async def test_a_lost_record_is_named(world: World) -> None:
    """One record taken off the topic."""
    world.tamper(f"DELETE FROM goldseam_records {WHERE}", *offset_of(world, 17))
    found = await world.ledger()
    assert not found.balanced
    assert (1, (await world.id_at(17),)) == (found.accounts.missing, found.accounts.missing_ids)


async def test_a_record_that_was_sent_twice_is_named_and_does_no_harm(world: World) -> None:
    """A relay that begins anew: doubled on the topic, balanced all the same."""
    with sqlite3.connect(world.folder / "log.db") as raw:
        raw.execute("UPDATE goldseam_relay_checkpoints SET position = 55")
    raw.close()
    await world.relay()
    await world.consume(Billing())
    found = await world.ledger(Billing())
    assert found.balanced
    assert 5 == found.accounts.resent
    assert {await world.id_at(n) for n in range(56, 61)} == set(found.accounts.resent_ids)


async def test_records_out_of_order_are_named(world: World) -> None:
    """Two records of one stream change places."""
    one, other = offset_of(world, 11), offset_of(world, 11 + STREAMS)
    assert one[0] == other[0]
    move = f"UPDATE goldseam_records SET record_offset = ? {WHERE}"
    world.tamper(move, 9_999, *one)
    world.tamper(move, one[1], *other)
    world.tamper(move, other[1], one[0], 9_999)
    found = await world.ledger()
    assert (1, (await world.id_at(11),)) == (
        found.accounts.out_of_order,
        found.accounts.out_of_order_ids,
    )


async def test_an_altered_id_is_named(world: World) -> None:
    """A record that says that it is another event."""
    place = offset_of(world, 20)
    own, forged = (await world.id_at(20)).encode(), str(UUID(int=7)).encode()
    with sqlite3.connect(world.folder / "broker.db") as raw:
        headers = raw.execute(f"SELECT headers FROM goldseam_records {WHERE}", place).fetchone()[0]
        raw.execute(
            f"UPDATE goldseam_records SET headers = ? {WHERE}",
            (headers.replace(own, forged), *place),
        )
    raw.close()
    found = await world.ledger()
    assert (1, 1) == (found.accounts.altered, found.accounts.missing)
    assert (await world.id_at(20),) == found.accounts.altered_ids


async def test_an_event_that_a_consumer_forgot_is_named(world: World) -> None:
    """Its dedup record is gone, and it is no dead letter: it was never applied."""
    await world.consume(Billing())
    lost = await world.id_at(4)
    with sqlite3.connect(world.folder / "target.db") as raw:
        done = raw.execute("DELETE FROM goldseam_processed_events WHERE event_id = ?", (lost,))
        assert done.rowcount == 1
    raw.close()
    found = await world.ledger(Billing())
    assert not found.balanced
    assert (lost,) == found.consumers[0].missing_ids


async def test_what_is_not_read_yet_is_lag_and_no_loss(world: World) -> None:
    """A consumer that has not begun waits for everything and misses nothing."""
    found = await world.ledger(Billing())
    assert found.balanced
    assert (EVENTS, EVENTS) == (found.consumers[0].owed, found.consumers[0].waiting)
