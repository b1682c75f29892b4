"""A bank whose deposits can be corrected: its events, an account, two read models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from goldseam import EventStore, NewEvent, Projection, Recorded, Registry, handles
from goldseam.commands.aggregate import Aggregate
from goldseam.healing.corrections import corrects
from goldseam.healing.heal import heal
from goldseam.healing.projecting import effective_source
from goldseam.healing.report import Healing
from goldseam.projections.connection import ProjectionConnection
from goldseam.projections.hosted import HostedProjection
from goldseam.projections.source import StoreSource
from goldseam.resilience.clock import uuid7_bytes

registry = Registry()


@registry.event(name="AccountOpened")
class AccountOpened(msgspec.Struct, frozen=True):
    owner: str


@registry.event(name="DepositApplied")
class DepositApplied(msgspec.Struct, frozen=True):
    amount: int
    currency: str = "USD"


@corrects(DepositApplied, registry=registry)
@registry.event(name="DepositCorrected")
class DepositCorrected(msgspec.Struct, frozen=True, rename="camel"):
    original_event_id: str
    original_amount: int
    corrected_amount: int
    reason: str
    corrected_by: str
    jira_ticket: str


@registry.event(name="FeeCharged")
class FeeCharged(msgspec.Struct, frozen=True):
    amount: int


@corrects(FeeCharged, registry=registry, four_eyes=True)
@registry.event(name="FeeCorrected")
class FeeCorrected(msgspec.Struct, frozen=True, rename="camel"):
    original_event_id: UUID
    original_amount: int
    corrected_amount: int
    reason: str
    corrected_by: str
    jira_ticket: str


class Account(Aggregate):
    """Knows nothing of corrections."""

    balance: int = 0

    def deposit(self, amount: int) -> None:
        self.record(DepositApplied(amount))

    def evolve(self, fact: object) -> None:
        match fact:
            case DepositApplied(amount=amount):
                self.balance += amount
            case FeeCharged(amount=amount):
                self.balance -= amount
            case DepositCorrected() | FeeCorrected():
                raise AssertionError("an aggregate must not need to know of corrections")


class Balances(Projection):
    """Knows nothing of corrections: it is projected again."""

    name = "balances"
    tables = "CREATE TABLE {balances} (account TEXT PRIMARY KEY, balance BIGINT NOT NULL)"

    @handles(DepositApplied)
    async def deposited(self, fact: Recorded[DepositApplied], db: ProjectionConnection) -> None:
        await add(db, "balances", fact.stream, fact.data.amount)


class Totals(Projection):
    """Takes a correction in like any other event."""

    name = "totals"
    tables = "CREATE TABLE {totals} (account TEXT PRIMARY KEY, balance BIGINT NOT NULL)"

    @handles(DepositApplied)
    async def deposited(self, fact: Recorded[DepositApplied], db: ProjectionConnection) -> None:
        await add(db, "totals", fact.stream, fact.data.amount)

    @handles(DepositCorrected)
    async def corrected(self, fact: Recorded[DepositCorrected], db: ProjectionConnection) -> None:
        difference = fact.data.corrected_amount - fact.data.original_amount
        await add(db, "totals", fact.stream, difference)


async def add(db: ProjectionConnection, table: str, account: str, amount: int) -> None:
    await db.execute(
        f"INSERT INTO {{{table}}} VALUES (:account, :amount) ON CONFLICT (account) DO UPDATE"
        f" SET balance = {{{table}}}.balance + excluded.balance",
        {"account": account, "amount": amount},
    )


def hosted(store: EventStore, projection: Projection) -> HostedProjection:
    source = effective_source(StoreSource(store, projection.category), store, projection)
    return HostedProjection(projection, source, store.database, registry=registry)


async def deposited(store: EventStore, amount: int = 50, stream: str = "account-1") -> UUID:
    """One deposit; its event id."""
    event_id = UUID(bytes=uuid7_bytes())
    version = await store.stream_version(stream)
    await store.append(stream, [NewEvent(DepositApplied(amount), event_id)], expected=version)
    return event_id


async def healed(
    store: EventStore,
    event_id: UUID | str,
    changes: Mapping[str, Any] | None = None,
    by: str = "ada",
    **options: Any,
) -> Healing:
    """A correction with the guide's reason."""
    return await heal(
        store, event_id, changes or {"amount": 100}, reason="Data entry error", ticket="JIRA-567",
        corrected_by=by, **options,
    )  # fmt: skip
