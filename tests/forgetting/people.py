"""Customers for the tests of forgetting: their events, a read model with their names, a vault."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from goldseam import (
    EventStore,
    Personal,
    Projection,
    Recorded,
    Registry,
    handles,
    open_store,
)
from goldseam.database.connection import Database
from goldseam.events.personal import last_four
from goldseam.forgetting.forget import Forgetting
from goldseam.privacy.providers import open_provider
from goldseam.privacy.providers.provider import KeyProvider
from goldseam.privacy.vault import Vault
from goldseam.projections.connection import ProjectionConnection
from goldseam.projections.hosted import HostedProjection
from goldseam.projections.source import StoreSource
from goldseam.resilience.clock import SystemClock
from goldseam.runtime.wiring import open_database

people = Registry()


@people.event
class CustomerRegistered(msgspec.Struct, frozen=True):
    customer_id: str
    name: Annotated[str, Personal("customer_id")]
    card: Annotated[str | None, Personal("customer_id", keep=last_four)] = None
    plan: str = "free"


@people.event
class CustomerReferred(msgspec.Struct, frozen=True):
    sender: str
    receiver: str
    note: Annotated[str, Personal("sender")]
    receiver_email: Annotated[str, Personal("receiver")]


@people.event
class PlanChanged(msgspec.Struct, frozen=True):
    plan: str


class Customers(Projection):
    """Names in the clear, as read models have them."""

    name = "customers"
    tables = "CREATE TABLE {customers} (id TEXT PRIMARY KEY, name TEXT NOT NULL)"

    @handles(CustomerRegistered)
    async def registered(
        self, fact: Recorded[CustomerRegistered], db: ProjectionConnection
    ) -> None:
        await db.execute(
            "INSERT INTO {customers} VALUES (:id, :name) ON CONFLICT (id) DO UPDATE"
            " SET name = excluded.name",
            {"id": fact.data.customer_id, "name": fact.data.name},
        )


class Plans(Projection):
    """Nothing personal in it."""

    name = "plans"
    tables = "CREATE TABLE {plans} (stream TEXT PRIMARY KEY, plan TEXT NOT NULL)"

    @handles(PlanChanged)
    async def changed(self, fact: Recorded[PlanChanged], db: ProjectionConnection) -> None:
        await db.execute(
            "INSERT INTO {plans} VALUES (:stream, :plan) ON CONFLICT (stream) DO UPDATE"
            " SET plan = excluded.plan",
            {"stream": fact.stream, "plan": fact.data.plan},
        )


class Office(NamedTuple):
    """A store with its vault and read models, and where its keys are."""

    store: EventStore
    vault: Vault
    projections: dict[str, HostedProjection]
    forgetting: Forgetting
    key_database: Database
    provider: KeyProvider


class Leaping(SystemClock):
    """The machine's clock, which a pause puts forward instead of waiting."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead

    async def pause(self, seconds: float) -> None:
        self._ahead += seconds


async def no_pause(_: float) -> None:
    """For whoever has no key in memory."""


@asynccontextmanager
async def office(
    url: str,
    folder: Path,
    *,
    keys: str | None = None,
    new_bytes: Callable[[int], bytes] = os.urandom,
    projections: tuple[type[Projection], ...] = (Customers, Plans),
) -> AsyncIterator[Office]:
    """Everything opened; the key store is a SQLite file in ``folder`` unless ``keys`` says."""
    clock = Leaping()
    key_database = open_database(keys or f"sqlite:///{folder}/keys.db")
    provider = open_provider(f"file://{folder}/epochs", clock, new_bytes=new_bytes)
    vault = Vault(key_database, provider, clock, new_bytes)
    await vault.prepare()
    try:
        async with await open_store(url, registry=people, vault=vault) as store:
            hosted = {}
            for kind in projections:
                one = HostedProjection(kind(), StoreSource(store), store.database, registry=people)
                await one.prepare()
                hosted[one.name] = one
            forgetting = Forgetting(store, vault, hosted, pause=clock.pause)
            yield Office(store, vault, hosted, forgetting, key_database, provider)
    finally:
        await vault.close()


async def caught_up(hosted: HostedProjection) -> None:
    """Apply all that is in the log, in this process and without a runner."""
    head = await hosted.source.head()
    live = await hosted.prepare()
    while live.position < head:
        page = await hosted.source.page(live.position, 1_000)
        live = await hosted.applier.apply(live, page)


async def names(opened: Office) -> dict[str, str]:
    """What readers of the read model see."""
    rows = await opened.store.database.fetch("SELECT id, name FROM customers")
    return {str(id_): str(name) for id_, name in rows}
