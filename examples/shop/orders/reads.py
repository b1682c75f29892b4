"""What the orders service shows: the orders, and who the customers are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from examples.shop.messages import (
    CustomerRegistered,
    OrderCancelled,
    OrderCompleted,
    OrderPlaced,
)
from goldseam import Projection, Recorded, handles
from goldseam.projections.connection import ProjectionConnection

_ENDED = {OrderCompleted: "completed", OrderCancelled: "cancelled"}


class Orders(Projection):
    """One row for each order. A corrected price shows as corrected: nothing here knows of it."""

    name = "orders"
    category = "order"
    types = (OrderPlaced, OrderCompleted, OrderCancelled)
    tables = """
        CREATE TABLE {orders} (
            order_id TEXT PRIMARY KEY,
            customer_id TEXT NOT NULL,
            title TEXT NOT NULL,
            quantity BIGINT NOT NULL,
            cents BIGINT NOT NULL,
            status TEXT NOT NULL,
            placed_position BIGINT NOT NULL
        );
        CREATE INDEX {orders}_newest ON {orders} (placed_position);
    """

    async def apply_batch(self, events: Sequence[Recorded[Any]], db: ProjectionConnection) -> None:
        """New orders in one go, then those that have ended."""
        placed = [one for one in events if isinstance(one.data, OrderPlaced)]
        await db.execute_many(
            "INSERT INTO {orders} (order_id, customer_id, title, quantity, cents, status,"
            " placed_position) VALUES (:order_id, :customer_id, :title, :quantity, :cents,"
            " 'placed', :position)",
            [_row(one) for one in placed],
        )
        ended = [one.data for one in events if type(one.data) in _ENDED]
        await db.execute_many(
            "UPDATE {orders} SET status = :status WHERE order_id = :order",
            [{"order": one.order_id, "status": _ENDED[type(one)]} for one in ended],
        )


def _row(event: Recorded[OrderPlaced]) -> dict[str, object]:
    placed = event.data
    return {
        "order_id": placed.order_id,
        "customer_id": placed.customer_id,
        "title": placed.title,
        "quantity": placed.quantity,
        "cents": placed.cents,
        "position": event.position,
    }


class Customers(Projection):
    """Who our customers are; built anew without them when somebody is forgotten."""

    name = "customers"
    category = "customer"
    tables = """
        CREATE TABLE {customers} (
            customer_id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            email TEXT NOT NULL
        )
    """

    @handles(CustomerRegistered)
    async def registered(
        self, event: Recorded[CustomerRegistered], db: ProjectionConnection
    ) -> None:
        who = event.data
        await db.execute(
            "INSERT INTO {customers} VALUES (:customer, :name, :email)"
            " ON CONFLICT (customer_id) DO UPDATE SET name = excluded.name, email = excluded.email",
            {"customer": who.customer_id, "name": who.name, "email": who.email},
        )
