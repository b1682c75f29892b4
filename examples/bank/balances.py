"""What the bank shows, kept up to date from the events: each account's balance, the customers."""

from __future__ import annotations

from examples.bank.events import (
    AccountClosed,
    AccountOpened,
    CustomerIntroduced,
    DepositApplied,
    MoneyWithdrawn,
)
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
        moved = event.data
        cents = moved.total_amount if isinstance(moved, DepositApplied) else -moved.amount
        await db.execute(
            "UPDATE {balances} SET balance = balance + :amount, movements = movements + 1"
            " WHERE account = :account",
            {"account": event.stream, "amount": cents},
        )

    @handles(AccountClosed)
    async def closed(self, event: Recorded[AccountClosed], db: ProjectionConnection) -> None:
        await db.execute(
            "UPDATE {balances} SET closed = 1 WHERE account = :account",
            {"account": event.stream},
        )


class Customers(Projection):
    """Who our customers are; built anew without them when somebody is forgotten."""

    name = "customers"
    category = "customer"
    tables = "CREATE TABLE {customers} (customer TEXT PRIMARY KEY, name TEXT NOT NULL, born TEXT)"

    @handles(CustomerIntroduced)
    async def introduced(
        self, event: Recorded[CustomerIntroduced], db: ProjectionConnection
    ) -> None:
        await db.execute(
            "INSERT INTO {customers} VALUES (:customer, :name, :born)"
            " ON CONFLICT (customer) DO UPDATE SET name = excluded.name, born = excluded.born",
            {
                "customer": event.data.customer_id,
                "name": event.data.name,
                "born": str(event.data.born),
            },
        )


projections = [Balances(), Customers()]
"""What ``goldseam projections ... --app examples.bank.balances:projections`` steers."""
