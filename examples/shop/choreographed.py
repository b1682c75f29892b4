"""The same shop without a coordinator: each service reacts to the others' facts.

From the guide, "Choreography vs Orchestration". The decisions are those of the orchestrated shop,
unchanged; only what a service hears, and what it takes it for, is declared anew. Nobody waits
for a refund that is refused: such a flow stays open, and ``overdue`` finds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from examples.shop import inventory, payments, shipping
from examples.shop.messages import (
    InventoryRefused,
    InventoryReleased,
    InventoryReleaseRequested,
    InventoryRequested,
    InventoryReserved,
    OrderCancelled,
    OrderCompleted,
    OrderPlaced,
    OrderPriceCorrected,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    PaymentRequested,
    RefundRequested,
    ShipmentCreated,
    ShipmentRefused,
    ShipmentRequested,
    told,
)
from examples.shop.orders.order import CancelOrder, CompleteOrder, order
from examples.shop.orders.reads import Orders
from examples.shop.service import Desk, Reactions, as_it_is, routing
from examples.shop.settings import Settings
from goldseam import Goldseam
from goldseam.sagas.choreography import Choreography, FlowConsumer


class OrderFlow(Choreography):
    """Which fact is answered by which: what the four services do, seen as one thing."""

    name = "order-flow"
    begins = OrderPlaced
    reactions: ClassVar[Mapping[type, tuple[type, ...]]] = {
        OrderPlaced: (InventoryReserved, InventoryRefused),
        InventoryReserved: (PaymentProcessed, PaymentFailed),
        PaymentProcessed: (ShipmentCreated, ShipmentRefused),
        ShipmentCreated: (OrderCompleted,),
        ShipmentRefused: (PaymentRefunded,),
        PaymentRefunded: (InventoryReleased,),
        PaymentFailed: (InventoryReleased,),
        InventoryReleased: (OrderCancelled,),
        InventoryRefused: (OrderCancelled,),
    }
    completes = (OrderCompleted,)
    compensates = (OrderCancelled,)


def _cancel(fact: InventoryRefused | InventoryReleased) -> CancelOrder:
    return CancelOrder(fact.order_id, "it could not be fulfilled")


def _release(fact: PaymentFailed | PaymentRefunded) -> InventoryReleaseRequested | None:
    if fact.reason == payments.PRICE_CORRECTED:
        return None  # the customer keeps the CDs
    return InventoryReleaseRequested(fact.order_id)


INVENTORY: Reactions = {
    OrderPlaced: lambda fact: told(InventoryRequested, fact),
    PaymentFailed: _release,
    PaymentRefunded: _release,
}
PAYMENTS: Reactions = {
    InventoryReserved: lambda fact: told(PaymentRequested, fact),
    ShipmentRefused: lambda fact: RefundRequested(fact.order_id),
    OrderPriceCorrected: as_it_is,
}
SHIPPING: Reactions = {PaymentProcessed: lambda fact: told(ShipmentRequested, fact)}
ORDERS: Reactions = {
    ShipmentCreated: lambda fact: CompleteOrder(fact.order_id),
    InventoryRefused: _cancel,
    InventoryReleased: _cancel,
}


def create(settings: Settings) -> dict[str, Goldseam]:
    """The four services by their names; they share nothing but the broker."""
    flow = FlowConsumer(OrderFlow(), settings.topics("order", "inventory", "payment", "shipment"))
    services: dict[str, Goldseam] = {}

    def service(name: str, category: str, decider: Any, reactions: Reactions, *hears: str) -> None:
        desk = Desk(
            settings.group(f"reacting-{name}"),
            settings.topics(*hears),
            decider,
            category,
            reactions,
            lambda: services[name].store,
        )
        services[name] = Goldseam(
            settings.store(name),
            [Orders()] if name == "orders" else [],
            broker=settings.river,
            consumers=[desk, flow] if name == "orders" else [desk],
            relay=name,
            routing=routing(settings),
            member=settings.member,
        )

    service("orders", "order", order, ORDERS, "inventory", "shipment")
    service("inventory", "inventory", inventory.shelf, INVENTORY, "order", "payment")
    service("payments", "payment", payments.till, PAYMENTS, "inventory", "shipment", "order")
    service("shipping", "shipment", shipping.parcels, SHIPPING, "payment")
    return services
