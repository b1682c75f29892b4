"""A shop whose orders are relayed and billed: what `goldseam run` is pointed at in the tests."""

from __future__ import annotations

import os

from goldseam import Consumer, Goldseam, Projection, Recorded, event, handles
from goldseam.consumers.connection import ConsumerConnection
from goldseam.projections.connection import ProjectionConnection

POISON_CENTS = 666


@event(name="river.OrderPlaced")
class OrderPlaced:
    cents: int


class Placed(Projection):
    """Beside the log: what was placed."""

    name = "placed"
    tables = "CREATE TABLE {placed} (order_id TEXT PRIMARY KEY, cents BIGINT NOT NULL)"

    @handles(OrderPlaced)
    async def placed(self, fact: Recorded[OrderPlaced], db: ProjectionConnection) -> None:
        await db.execute(
            "INSERT INTO {placed} VALUES (:id, :cents)",
            {"id": f"{fact.stream}/{fact.version}", "cents": fact.data.cents},
        )


class Billing(Consumer):
    """Behind the broker: an invoice for each order; a second one would break its key."""

    name = os.environ.get("RIVER_CONSUMER", "billing")
    topics = (os.environ.get("RIVER_TOPIC", "order"),)
    tables = "CREATE TABLE {invoices} (order_id TEXT PRIMARY KEY, cents BIGINT NOT NULL)"

    @handles(OrderPlaced)
    async def bill(self, fact: Recorded[OrderPlaced], db: ConsumerConnection) -> None:
        if fact.data.cents == POISON_CENTS and "RIVER_MENDED" not in os.environ:
            raise ValueError("cannot be billed")
        await db.execute(
            "INSERT INTO {invoices} VALUES (:id, :cents)",
            {"id": f"{fact.stream}/{fact.version}", "cents": fact.data.cents},
        )


app = Goldseam(
    os.environ.get("RIVER_STORE", "sqlite:///shop.db"),
    projections=[Placed()],
    consumers=[Billing()],
    broker=os.environ.get("RIVER_BROKER", "sqlite:///broker.db"),
    routing=lambda _: Billing.topics[0],
)
silent = Goldseam("sqlite:///shop.db")
number = 5
