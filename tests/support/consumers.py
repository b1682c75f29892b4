"""A bank for the consumer tests: facts as records, consumers of every mode, looks from outside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID, uuid5

from goldseam import Recorded, event
from goldseam.broker.cloudevents import record_of
from goldseam.broker.record import Received, Record
from goldseam.consumers.connection import ConsumerConnection
from goldseam.consumers.consumer import Consumer
from goldseam.consumers.handlers import handles
from goldseam.consumers.modes import AtLeastOnce, Mode
from goldseam.events.event import RawEvent

TOPIC = "bank.accounts"
SOURCE = "urn:goldseam:tests"
POISON = 666
"""An amount that no handler of these tests can take, until its bug is mended."""

_IDS = UUID("6f2f4c5e-6b3f-4c39-9f7e-2f8f3a1b9d10")
_RECORDED_US = 1_700_000_000_000_000

BALANCES = (
    "CREATE TABLE {balances} (account TEXT PRIMARY KEY, balance BIGINT NOT NULL, "
    "deposits BIGINT NOT NULL);\n"
    "CREATE TABLE {movements} (n INTEGER NOT NULL, account TEXT NOT NULL, amount BIGINT NOT NULL)"
)


@event(name="tests.MoneyDeposited")
class MoneyDeposited:
    amount: int


@event(name="tests.AccountClosed")
class AccountClosed:
    reason: str


def stored(
    stream: str, version: int, amount: int = 1, *, position: int = 0, tenant: str = "main"
) -> RawEvent:
    """A fact as the log keeps it; its id follows from stream and version."""
    return RawEvent(
        position or version,
        tenant,
        stream,
        version,
        "tests.MoneyDeposited",
        1,
        json.dumps({"amount": amount}).encode(),
        _RECORDED_US + version,
        uuid5(_IDS, f"{tenant}/{stream}/{version}").bytes,
        b"{}",
    )


def fact(stream: str, version: int, amount: int = 1, **more: Any) -> Record:
    """The fact as a record of the topic."""
    return record_of(stored(stream, version, amount, **more), TOPIC, SOURCE)


def facts(streams: int, each: int, amount: int = 1) -> list[Record]:
    """``each`` facts of ``streams`` streams, taking turns."""
    return [fact(f"account-{n}", v, amount) for v in range(1, each + 1) for n in range(streams)]


def received(record: Record, offset: int, partition: int = 0) -> Received:
    """``record`` as a broker would deliver it."""
    return Received(
        record.topic, partition, offset, record.key, record.value, record.headers,
        record.timestamp_ms or 0,
    )  # fmt: skip


class Balances(Consumer):
    """Adds: what is applied twice shows. Each movement is a row in the order of application."""

    name = "balances"
    topics = (TOPIC,)
    tables = BALANCES

    def __init__(self) -> None:
        super().__init__()
        self.broken = True
        self.calls = 0

    @handles(MoneyDeposited)
    async def deposited(self, fact: Recorded[MoneyDeposited], db: ConsumerConnection) -> None:
        self.calls += 1
        await db.execute(
            "INSERT INTO {balances} VALUES (:account, :amount, 1) ON CONFLICT (account) DO UPDATE"
            " SET balance = {balances}.balance + excluded.balance,"
            " deposits = {balances}.deposits + 1",
            {"account": fact.stream, "amount": fact.data.amount},
        )
        await db.execute(
            "INSERT INTO {movements} VALUES (:n, :account, :amount)",
            {"n": fact.version, "account": fact.stream, "amount": fact.data.amount},
        )
        if self.broken and fact.data.amount == POISON:
            raise ValueError(f"no bank takes {fact.data.amount}")


class InBatches(Consumer):
    """The same in as few statements as there can be."""

    name = "in-batches"
    topics = (TOPIC,)
    tables = BALANCES
    types = (MoneyDeposited,)

    async def apply_batch(self, events: Sequence[Recorded[Any]], db: ConsumerConnection) -> None:
        rows = [{"n": e.version, "account": e.stream, "amount": e.data.amount} for e in events]
        await db.execute_many("INSERT INTO {movements} VALUES (:n, :account, :amount)", rows)


def of_mode(mode: Mode, base: type[Balances] = Balances) -> Balances:
    """The bank's consumer in ``mode``."""

    class OfMode(base):  # type: ignore[valid-type,misc]
        pass

    OfMode.mode = mode
    made: Balances = OfMode()
    return made


class Elsewhere(Consumer):
    """Its effect is outside of every database: a list, as a mail or a payment would be."""

    name = "elsewhere"
    topics = (TOPIC,)
    mode: ClassVar[Mode] = AtLeastOnce()

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, int]] = []

    @handles(MoneyDeposited)
    async def deposited(self, fact: Recorded[MoneyDeposited], db: ConsumerConnection) -> None:
        if fact.data.amount == POISON:
            raise ValueError("no bank takes this")
        self.sent.append((fact.stream, fact.version))
