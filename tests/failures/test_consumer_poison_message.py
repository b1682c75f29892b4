"""consumer/poison-message: the stream waits in order behind its poison, everything else flows."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from goldseam import Recorded, Registry, upcaster
from goldseam.broker.cloudevents import NotAnEvent
from goldseam.broker.port import Broker
from goldseam.broker.record import Record
from goldseam.consumers.connection import ConsumerConnection
from goldseam.consumers.consumer import Consumer
from goldseam.consumers.dead_letters.actions import Order
from goldseam.consumers.dead_letters.choice import Choice, listed
from goldseam.consumers.dead_letters.letter import Letter
from goldseam.consumers.dead_letters.mirror import Mirror
from goldseam.consumers.dead_letters.redrive import redrive
from goldseam.consumers.handlers import handles
from goldseam.consumers.runner import ConsumerRunner
from goldseam.database.connection import Database
from goldseam.errors import StoreUnavailable
from goldseam.resilience.clock import SystemClock
from goldseam.telemetry.signals import signals
from goldseam.versioning.upcasting import rename_field
from tests.faults.server import own_server
from tests.support.consumers import BALANCES, POISON, TOPIC, MoneyDeposited, fact, facts
from tests.support.consumers import Balances as Plain
from tests.support.river import drain, river, running, send, settled, target, until

STREAMS, EACH = 10, 5
MANY_STREAMS, EACH_OF_MANY = 70, 143
MANY = MANY_STREAMS * EACH_OF_MANY
"""A little more than ten thousand, over so many streams that every poison is in another one."""
ALL = Choice(consumer="balances")
ORDER = Order("ann", "the bank takes it now", 1)


class Balances(Plain):
    """The bank's consumer; PostgreSQL, too, remembers the order in which rows came."""

    tables: ClassVar[Any] = {
        "sqlite": BALANCES,
        "postgresql": BALANCES[:-1] + ", seq BIGINT GENERATED ALWAYS AS IDENTITY)",
    }


def with_poison(*at: tuple[str, int]) -> list[Record]:
    """Facts of ten streams; those at ``at`` (stream, version) cannot be applied."""
    return [
        fact(f"account-{n}", version, POISON if (f"account-{n}", version) in at else 1)
        for version in range(1, EACH + 1)
        for n in range(STREAMS)
    ]


async def applied(database: Database) -> dict[str, list[int]]:
    """What was applied of each account, in the order of application; the test's own SQL."""
    order = "rowid" if database.dialect == "sqlite" else "seq"
    rows = await database.fetch(f"SELECT account, n FROM movements ORDER BY {order}")
    found: dict[str, list[int]] = {}
    for account, version in rows:
        found.setdefault(account, []).append(version)
    return found


async def waiting(database: Database) -> list[Letter]:
    return await database.read(lambda c: listed(c, ALL))


async def redriven(
    consumer: Consumer,
    broker: Broker,
    database: Database,
    left: int,
    failed: int = 0,
    **options: Any,
) -> None:
    """Ask for everything and let the consumer work until so many letters are left."""
    await database.transact(lambda c: redrive(c, ALL, ORDER))
    runner = ConsumerRunner(consumer, broker, database, pause_seconds=0.001, **options)
    async with running(runner), asyncio.timeout(60):
        while True:
            found = await waiting(database)
            asked = [one for one in found if one.state == "due"]
            times = sum(one.redrive_count for one in found)
            if len(found) == left and times >= failed and not asked:
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("poison", "letters"),
    [
        ([("account-3", 3)], 3),
        ([("account-3", 1)], 5),
        ([("account-3", 2), ("account-7", 5)], 5),
        ([(f"account-{n}", v) for n in range(STREAMS) for v in range(1, EACH + 1)], 50),
    ],
    ids=["in-the-middle", "at-the-head", "two-streams", "all-poison"],
)
async def test_the_stream_waits_and_the_others_flow(
    store_url: str, broker_url: str, poison: list[tuple[str, int]], letters: int
) -> None:
    """Every record is applied or is a letter, none is both; each stream is applied in order."""
    consumer = Balances()
    async with river(broker_url) as broker, target(store_url) as database:
        await send(broker, with_poison(*poison))
        await drain(consumer, broker, database, STREAMS * EACH)
        done, found = await applied(database), await waiting(database)
        assert letters == len(found)
        assert STREAMS * EACH - letters == sum(len(some) for some in done.values())
        first = {stream: min(v for s, v in poison if s == stream) for stream, _ in poison}
        for n in range(STREAMS):
            stream = f"account-{n}"
            assert list(range(1, first.get(stream, EACH + 1))) == done.get(stream, [])
        heads = [one for one in found if one.reason == "poison"]
        assert sorted(first) == sorted(one.sequence for one in heads)
        assert all(str(POISON) not in one.error + one.trace for one in found)
        assert {"deposited"} == {_function(one) for one in heads}


def _function(one: Letter) -> str:
    return one.trace.rsplit(", in ", 1)[-1].split()[0]


async def test_a_redrive_applies_the_stream_in_order_and_once(
    store_url: str, broker_url: str
) -> None:
    """After the fix: each fact once, in order; asked for twice is still once."""
    consumer = Balances()
    async with river(broker_url) as broker, target(store_url) as database:
        await send(broker, with_poison(("account-3", 2)))
        await drain(consumer, broker, database, STREAMS * EACH)
        before = signals.value("goldseam_dead_letters_redriven_total", consumer="balances")
        consumer.broken = False
        for _ in range(2):
            await database.transact(lambda c: redrive(c, ALL, ORDER))
        await redriven(consumer, broker, database, 0)
        now = signals.value("goldseam_dead_letters_redriven_total", consumer="balances")
        assert {f"account-{n}": [1, 2, 3, 4, 5] for n in range(STREAMS)} == await applied(database)
        assert EACH - 1 == now - before
        await send(broker, [fact("account-3", 6)])
        await drain(consumer, broker, database, 1)
        assert [1, 2, 3, 4, 5, 6] == (await applied(database))["account-3"]


async def test_a_second_poison_in_the_stream_stops_it_again(
    store_url: str, broker_url: str
) -> None:
    """What is before the second poison is applied, what is behind it waits on."""

    class FourthStaysBroken(Balances):
        @handles(MoneyDeposited)
        async def deposited(self, fact: Recorded[MoneyDeposited], db: ConsumerConnection) -> None:
            self.broken = fact.version == 4
            await super().deposited(fact, db)

    poison = with_poison(("account-3", 2), ("account-3", 4))
    async with river(broker_url) as broker, target(store_url) as database:
        await send(broker, poison)
        await drain(Balances(), broker, database, STREAMS * EACH)
        assert 4 == len(await waiting(database))
        await redriven(FourthStaysBroken(), broker, database, 2, failed=1)
        assert [1, 2, 3] == (await applied(database))["account-3"]
        first, second = await waiting(database)
        assert [("poison", 1), ("queued", 0)] == [
            (one.reason, one.redrive_count) for one in (first, second)
        ]
        assert str(POISON) not in first.error
        mended = Balances()
        mended.broken = False
        await redriven(mended, broker, database, 0)
        assert [1, 2, 3, 4, 5] == (await applied(database))["account-3"]


async def test_a_redrive_upcasts_with_the_code_of_today(store_url: str, broker_url: str) -> None:
    """The letter holds the old event; the release with the missing upcaster applies it."""
    old, new = Registry(), Registry()

    class Deposit:
        total: int

    before = old.event(name="tests.MoneyDeposited", version=2)(Deposit)
    today = new.event(name="tests.MoneyDeposited", version=2)(Deposit)
    upcaster("tests.MoneyDeposited", 1, registry=new)(rename_field("amount", "total"))
    async with river(broker_url) as broker, target(store_url) as database:
        await send(broker, [fact("account-1", 1, 7), fact("account-1", 2, 8)])
        await drain(_adding(before), broker, database, 2, registry=old)
        assert ["schema", "queued"] == [one.reason for one in await waiting(database)]
        await redriven(_adding(today), broker, database, 0, registry=new)
        rows = await database.fetch("SELECT n, amount FROM movements ORDER BY n")
        assert [(1, 7), (2, 8)] == [tuple(row) for row in rows]


def _adding(kind: type) -> Consumer:
    """A consumer that handles ``kind``, an event with a total."""

    async def seen(_: Consumer, fact: Recorded[Any], db: ConsumerConnection) -> None:
        await db.execute(
            "INSERT INTO {movements} VALUES (:n, :account, :amount)",
            {"n": fact.version, "account": fact.stream, "amount": fact.data.total},
        )

    body = {"name": "balances", "topics": (TOPIC,), "tables": Balances.tables}
    made: Consumer = type("Adding", (Consumer,), {**body, "seen": handles(kind)(seen)})()
    return made


async def test_what_is_no_event_at_all_stops_only_its_key(store_url: str, broker_url: str) -> None:
    """A record that nobody can read is a letter with the reason schema, its key waits."""
    async with river(broker_url) as broker, target(store_url) as database:
        junk = Record(TOPIC, b"account-1", b"\x00junk")
        await send(broker, [junk, fact("account-1", 1), fact("account-2", 1)])
        await drain(Balances(), broker, database, 3)
        assert {"account-2": [1]} == await applied(database)
        found = await waiting(database)
        assert [("schema", NotAnEvent.__name__), ("queued", "")] == [
            (one.reason, one.error_class) for one in found
        ]


async def test_without_its_database_the_consumer_waits_and_loses_nothing(
    store_url: str, broker_url: str
) -> None:
    """The dead letters are in the consumer's own database: down together, back together."""
    async with river(broker_url) as broker, target(store_url) as database:
        await send(broker, with_poison(("account-3", 2)))
        flaky = _Away(database, calls=3)
        runner = ConsumerRunner(Balances(), broker, flaky, pause_seconds=0.001)  # type: ignore[arg-type]
        async with running(runner):
            await until(settled(runner, STREAMS * EACH))
        assert 0 == flaky.calls
        done = await applied(database)
        assert 4 == len(await waiting(database))
        assert STREAMS * EACH - 4 == sum(len(some) for some in done.values())


async def _restarted_while_parking(broker_url: str, how: str) -> None:
    with own_server() as server:
        async with river(broker_url) as broker, target(f"{server.url()}?schema=public") as base:
            runner = ConsumerRunner(Balances(), broker, base, pause_seconds=0.01, batch_records=3)
            poison = [(f"account-{n}", 2) for n in range(0, STREAMS, 2)]
            async with running(runner):
                await send(broker, with_poison(*poison))
                await until(lambda: runner.tally.dead_lettered > 0)
                await asyncio.to_thread(server.stop, how)
                await asyncio.sleep(1.0)
                await asyncio.to_thread(server.start)
                await until(settled(runner, STREAMS * EACH))
            done, found = await applied(base), await waiting(base)
    for n in range(STREAMS):
        versions = [1] if n % 2 == 0 else list(range(1, EACH + 1))
        assert versions == done[f"account-{n}"]
        left = [one for one in found if one.sequence == f"account-{n}"]
        assert EACH - len(versions) == len(left)


@pytest.mark.postgres
@pytest.mark.parametrize("how", ["fast", "immediate"])
async def test_the_dead_letters_database_goes_away_while_records_are_parked(
    broker_url: str, how: str
) -> None:
    """A real server, stopped and started again: every record is applied or a letter, once."""
    await _restarted_while_parking(broker_url, how)


def _one_in_a_thousand() -> list[Record]:
    return [
        fact(one.key.decode(), n // MANY_STREAMS + 1, POISON) if n % 1_000 == 999 else one
        for n, one in enumerate(facts(MANY_STREAMS, EACH_OF_MANY))
        if one.key is not None
    ]


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_one_poison_record_in_a_thousand(store_url: str, broker_url: str) -> None:
    """Ten of ten thousand; after the mending and two redrives each is applied once, in order."""
    consumer, each = Balances(), EACH_OF_MANY
    async with river(broker_url) as broker, target(store_url) as database:
        await send(broker, _one_in_a_thousand())
        await drain(consumer, broker, database, MANY)
        done = await applied(database)
        found = await database.fetch("SELECT sequence, reason FROM goldseam_dead_letters")
        heads = {sequence for sequence, reason in found if reason == "poison"}
        assert 0 < len(heads) <= MANY // 1_000
        assert MANY == len(found) + sum(len(some) for some in done.values())
        for n in range(MANY_STREAMS):
            versions = done.get(f"account-{n}", [])
            assert list(range(1, len(versions) + 1)) == versions
            assert (len(versions) < each) == (f"account-{n}" in heads)
        consumer.broken = False
        for _ in range(2):
            await database.transact(lambda c: redrive(c, ALL, ORDER))
        await redriven(consumer, broker, database, 0)
        done = await applied(database)
    assert {f"account-{n}": list(range(1, each + 1)) for n in range(MANY_STREAMS)} == done


async def test_every_letter_is_mirrored_with_its_reason(store_url: str, broker_url: str) -> None:
    """The topic's own dead letter topic shows what waits, and the gauge counts it."""
    async with river(broker_url) as broker, target(store_url) as database:
        await send(broker, with_poison(("account-3", 4)))
        await drain(Balances(), broker, database, STREAMS * EACH)
        mirror = Mirror("balances", database, broker, SystemClock())
        task = asyncio.create_task(mirror.run())
        gauge = "goldseam_dead_letters"
        signals.gauge(gauge, 0, consumer="balances")
        await until(lambda: signals.value(gauge, consumer="balances") == 2, task)
        mirror.stop()
        await task
        admin = await broker.admin()
        found = [
            one
            for place in await admin.spans(f"{TOPIC}-dlq")
            for one in await admin.read(place, 0, 9)
        ]
        assert [b"poison", b"queued"] == sorted(
            one.header("goldseam-dlq-reason") or b"" for one in found
        )
        sent = {(r.key, r.value, r.timestamp_ms) for r in with_poison(("account-3", 4))}
        assert {(r.key, r.value, r.timestamp_ms) for r in found} <= sent


async def test_control_skipping_what_fails_loses_facts_and_order(
    store_url: str, broker_url: str
) -> None:
    """Log and go on, as is common: the poison fact is gone, and what follows it is applied."""

    class Skips(Balances):
        @handles(MoneyDeposited)
        async def deposited(self, fact: Recorded[MoneyDeposited], db: ConsumerConnection) -> None:
            if fact.data.amount != POISON:
                await super().deposited(fact, db)

    async with river(broker_url) as broker, target(store_url) as database:
        await send(broker, with_poison(("account-3", 2)))
        await drain(Skips(), broker, database, STREAMS * EACH)
        assert [1, 3, 4, 5] == (await applied(database))["account-3"]
        assert [] == await waiting(database)


async def test_control_trying_for_ever_stops_the_partition(store_url: str, broker_url: str) -> None:
    """Without dead letters one poison fact holds up every stream of its partition."""
    async with river(broker_url, partitions=1) as broker, target(store_url) as database:
        await send(broker, with_poison(("account-3", 1)))
        runner = ConsumerRunner(
            Balances(), broker, database, attempts_max=1_000_000, pause_seconds=0.0001
        )
        async with running(runner):
            await until(lambda: runner.consumer.calls > 24)  # type: ignore[attr-defined]
            assert {} == await applied(database)


class _Away:
    """A database that is away for the first transactions that would park or apply."""

    def __init__(self, inner: Database, calls: int) -> None:
        self._inner, self.calls = inner, calls
        self.dialect, self.url = inner.dialect, inner.url
        self._prepared = 0

    async def transact(self, operation: Any) -> Any:
        if type(operation).__name__ == "BatchTransaction" and self.calls:
            self.calls -= 1
            raise StoreUnavailable("away")
        return await self._inner.transact(operation)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
