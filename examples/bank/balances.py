"""What the bank shows: each account's balance, kept up to date from the events."""

from __future__ import annotations

from examples.bank.events import AccountClosed, AccountOpened, DepositApplied, MoneyWithdrawn
from goldseam import Projection, Recorded, handles
from goldseam.projections.connection import ProjectionConnection


class Balances(Projection):
    """One row for each account."""

    name = "balances"
    tables = """
        CREATE TABLE {balances} (
            account TEXT PRIMARY KEY,
            owner TEXT NOT NULL,
            balance BIGINT NOT NULL,
            movements BIGINT NOT NULL,
            closed BIGINT NOT NULL
        )
    """

    @handles(AccountOpened)
    async def opened(self, event: Recorded[AccountOpened], db: ProjectionConnection) -> None:
        await db.execute(
            "INSERT INTO {balances} VALUES (:account, :owner, 0, 0, 0)",
            {"account": event.stream, "owner": event.data.owner},
        )

    @handles(DepositApplied, MoneyWithdrawn)
    async def moved(
        self, event: Recorded[DepositApplied | MoneyWithdrawn], db: ProjectionConnection
    ) -> None:
        sign = 1 if isinstance(event.data, DepositApplied) else -1
        await db.execute(
            "UPDATE {balances} SET balance = balance + :amount, movements = movements + 1"
            " WHERE account = :account",
            {"account": event.stream, "amount": sign * event.data.amount},
        )

    @handles(AccountClosed)
    async def closed(self, event: Recorded[AccountClosed], db: ProjectionConnection) -> None:
        await db.execute(
            "UPDATE {balances} SET closed = 1 WHERE account = :account",
            {"account": event.stream},
        )


projections = [Balances()]
"""What ``goldseam projections ... --app examples.bank.balances:projections`` steers."""
