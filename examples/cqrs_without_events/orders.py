"""The write side: one table of orders, updated in place. No event is stored anywhere."""

from __future__ import annotations

from goldseam.database.connection import Connection, Database
from goldseam.projections.change_feed import feed_of, make_change_feed

ORDERS = """
CREATE TABLE IF NOT EXISTS orders (
    order_id TEXT PRIMARY KEY, customer TEXT NOT NULL, cents BIGINT NOT NULL, status TEXT NOT NULL
)
"""


class Orders:
    """Places, pays and removes orders. Each change answers with its position in the feed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def prepare(self) -> None:
        """Make the table and the feed of its changes."""

        async def make(connection: Connection) -> None:
            await connection.fetch(ORDERS)
            await make_change_feed(
                connection, "orders", "order_id", ["order_id", "customer", "cents", "status"]
            )

        await self._database.transact(make)

    async def place(self, order_id: str, customer: str, cents: int) -> int:
        """A new order; the position to read after."""
        return await self._change(
            "INSERT INTO orders VALUES (:order_id, :customer, :cents, 'placed')",
            {"order_id": order_id, "customer": customer, "cents": cents},
        )

    async def pay(self, order_id: str) -> int:
        """The order is paid; the position to read after."""
        sql = "UPDATE orders SET status = 'paid' WHERE order_id = :order_id"
        return await self._change(sql, {"order_id": order_id})

    async def remove(self, order_id: str) -> int:
        """The order is gone; the position to read after."""
        sql = "DELETE FROM orders WHERE order_id = :order_id"
        return await self._change(sql, {"order_id": order_id})

    async def _change(self, sql: str, parameters: dict[str, object]) -> int:
        async def change(connection: Connection) -> int:
            await connection.fetch(sql, parameters)
            found = await connection.fetch(f"SELECT max(position) FROM {feed_of('orders')}")
            return int(found[0][0])

        return await self._database.transact(change)
