"""Another service: an invoice for each paid order, once, whatever is delivered twice."""

from __future__ import annotations

from examples.outbox_without_events.shop import TOPIC
from goldseam import Consumer, Recorded, event, handles
from goldseam.consumers.connection import ConsumerConnection


@event(name="order-paid")
class OrderPaid:
    """What this service wants to know of the fact; the rest of it is passed over."""

    cents: int


class Invoices(Consumer):
    """Adds up, so an effect that happened twice would show."""

    name = "invoices"
    topics = (TOPIC,)
    tables = """
        CREATE TABLE {invoices} (order_id TEXT PRIMARY KEY, cents BIGINT NOT NULL);
        CREATE TABLE {turnover} (id INTEGER PRIMARY KEY, cents BIGINT NOT NULL)
    """

    @handles(OrderPaid)
    async def paid(self, fact: Recorded[OrderPaid], db: ConsumerConnection) -> None:
        """The order's key is the stream of the fact."""
        await db.execute(
            "INSERT INTO {invoices} VALUES (:order_id, :cents)",
            {"order_id": fact.stream, "cents": fact.data.cents},
        )
        await db.execute(
            "INSERT INTO {turnover} VALUES (1, :cents) ON CONFLICT (id)"
            " DO UPDATE SET cents = {turnover}.cents + excluded.cents",
            {"cents": fact.data.cents},
        )
