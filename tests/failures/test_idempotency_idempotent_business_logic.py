"""idempotency/idempotent-business-logic: set what is, do not add what was."""

from __future__ import annotations

from pathlib import Path

from goldseam import Recorded, event
from goldseam.broker.cloudevents import record_of
from goldseam.broker.record import Record
from goldseam.consumers.connection import ConsumerConnection
from goldseam.consumers.consumer import Consumer
from goldseam.consumers.handlers import handles
from goldseam.consumers.modes import AtLeastOnce
from goldseam.events.event import RawEvent
from tests.projections.bank import Outside
from tests.support.consumers import SOURCE, TOPIC
from tests.support.river import drain, river, send, target


@event(name="tests.MoneyWithdrawn")
class MoneyWithdrawn:
    amount: int
    balance: int


class Adding(Consumer):
    """UPDATE accounts SET balance = balance - 50."""

    name = "adding"
    topics = (TOPIC,)
    mode = AtLeastOnce()
    tables = "CREATE TABLE {accounts} (id TEXT PRIMARY KEY, balance BIGINT, version BIGINT)"

    @handles(MoneyWithdrawn)
    async def withdrawn(self, fact: Recorded[MoneyWithdrawn], db: ConsumerConnection) -> None:
        await db.execute(
            "INSERT INTO {accounts} VALUES (:id, 500 - :amount, 1) ON CONFLICT (id) DO UPDATE"
            " SET balance = {accounts}.balance - :amount",
            {"id": fact.stream, "amount": fact.data.amount},
        )


class Setting(Adding):
    """UPDATE accounts SET balance = 450, and the version that it belongs to."""

    name = "setting"

    @handles(MoneyWithdrawn)
    async def withdrawn(self, fact: Recorded[MoneyWithdrawn], db: ConsumerConnection) -> None:
        await db.execute(
            "INSERT INTO {accounts} VALUES (:id, :balance, :version) ON CONFLICT (id) DO UPDATE"
            " SET balance = excluded.balance, version = excluded.version"
            " WHERE {accounts}.version < excluded.version",
            {"id": fact.stream, "balance": fact.data.balance, "version": fact.version},
        )


def _withdrawal(version: int, amount: int, balance: int) -> Record:
    payload = f'{{"amount":{amount},"balance":{balance}}}'.encode()
    id_ = version.to_bytes(16)
    stored = RawEvent(
        version, "main", "account-123", version, "tests.MoneyWithdrawn", 1, payload,
        1_700_000_000_000_000, id_, b"{}",
    )  # fmt: skip
    return record_of(stored, TOPIC, SOURCE)


async def _redelivered(url: str, folder: Path, consumer: Consumer) -> int:
    """50 and then 30 are withdrawn from 500; both come again, the older one last."""
    first, second = _withdrawal(1, 50, 450), _withdrawal(2, 30, 420)
    async with river(f"sqlite:///{folder / 'broker.db'}") as broker, target(url) as database:
        await send(broker, [first, second, second, first])
        await drain(consumer, broker, database, 4)
    return int(Outside(url).query("SELECT balance FROM accounts")[0][0])


async def test_set_gives_the_same_result_twice(store_url: str, tmp_path: Path) -> None:
    """Delivered twice and out of turn, the account has what it should have, without any dedup."""
    assert 420 == await _redelivered(store_url, tmp_path, Setting())


async def test_control_add_moves_the_balance_twice(store_url: str, tmp_path: Path) -> None:
    """The guide's first statement under the same deliveries."""
    assert 340 == await _redelivered(store_url, tmp_path, Adding())
