"""The read side: what each customer has spent, kept from the changes of the orders."""

from __future__ import annotations

from goldseam import Projection, Recorded, handles
from goldseam.projections.connection import ProjectionConnection
from goldseam.projections.row_source import RowChanged


class Spending(Projection):
    """One row for each order that counts, and a sum for each customer when it is read."""

    name = "spending"
    tables = """
        CREATE TABLE {paid_orders} (
            order_id TEXT PRIMARY KEY, customer TEXT NOT NULL, cents BIGINT NOT NULL
        );
        CREATE INDEX {paid_orders}_by_customer ON {paid_orders} (customer)
    """

    @handles(RowChanged)
    async def changed(self, change: Recorded[RowChanged], db: ProjectionConnection) -> None:
        """Paid orders are in; all others are out."""
        order = change.data.row
        await db.execute(
            "DELETE FROM {paid_orders} WHERE order_id = :order_id", {"order_id": change.data.key}
        )
        if change.data.operation != "deleted" and order["status"] == "paid":
            await db.execute(
                "INSERT INTO {paid_orders} VALUES (:order_id, :customer, :cents)",
                {
                    "order_id": change.data.key,
                    "customer": order["customer"],
                    "cents": order["cents"],
                },
            )


SPENT = "SELECT customer, sum(cents) FROM paid_orders GROUP BY customer ORDER BY customer"
