"""An application as a user has it, for ``--app tests.unit.healing.shop:app``."""

from __future__ import annotations

import msgspec

from goldseam import Goldseam, Projection, Recorded, event, handles
from goldseam.commands.aggregate import Aggregate
from goldseam.healing.corrections import corrects
from goldseam.projections.connection import ProjectionConnection


@event(name="heal.DepositApplied")
class Deposited(msgspec.Struct, frozen=True):
    amount: int


@corrects(Deposited)
@event(name="heal.DepositCorrected")
class DepositCorrected(msgspec.Struct, frozen=True, rename="camel"):
    original_event_id: str
    original_amount: int
    corrected_amount: int
    reason: str
    corrected_by: str
    jira_ticket: str


class Account(Aggregate):
    balance: int = 0

    def evolve(self, fact: object) -> None:
        match fact:
            case Deposited(amount=amount):
                self.balance += amount


class Totals(Projection):
    """Takes a correction in."""

    name = "heal_totals"
    tables = "CREATE TABLE {heal_totals} (account TEXT PRIMARY KEY, balance BIGINT NOT NULL)"

    @handles(Deposited)
    async def deposited(self, fact: Recorded[Deposited], db: ProjectionConnection) -> None:
        await self._add(db, fact.stream, fact.data.amount)

    @handles(DepositCorrected)
    async def corrected(self, fact: Recorded[DepositCorrected], db: ProjectionConnection) -> None:
        difference = fact.data.corrected_amount - fact.data.original_amount
        await self._add(db, fact.stream, difference)

    async def _add(self, db: ProjectionConnection, account: str, amount: int) -> None:
        await db.execute(
            "INSERT INTO {heal_totals} VALUES (:account, :amount) ON CONFLICT (account) DO UPDATE"
            " SET balance = {heal_totals}.balance + excluded.balance",
            {"account": account, "amount": amount},
        )


class Balances(Projection):
    """Knows nothing of corrections."""

    name = "heal_balances"
    tables = "CREATE TABLE {heal_balances} (account TEXT PRIMARY KEY, balance BIGINT NOT NULL)"

    @handles(Deposited)
    async def deposited(self, fact: Recorded[Deposited], db: ProjectionConnection) -> None:
        await db.execute(
            "INSERT INTO {heal_balances} VALUES (:account, :amount) ON CONFLICT (account) DO UPDATE"
            " SET balance = {heal_balances}.balance + excluded.balance",
            {"account": fact.stream, "amount": fact.data.amount},
        )


app = Goldseam(
    "sqlite:////nowhere/given-by-the-command-line.db", projections=[Totals(), Balances()]
)
