"""The orders service: takes orders, and coordinates their fulfilment."""

from __future__ import annotations

from typing import Any

from examples.shop.orders.checkout import Checkout
from examples.shop.orders.fulfilment import Fulfilment
from examples.shop.orders.order import order
from examples.shop.orders.reads import Customers, Orders
from examples.shop.service import routing
from examples.shop.settings import Settings
from goldseam import Goldseam, SagaPlan
from goldseam.sagas.saga import Call

ANSWERS = ("inventory", "payment", "shipment")
INSIDE = ("saga-", "lock-", "customer-")
"""Nobody else has to hear of these."""


def create(settings: Settings) -> Goldseam:
    """The service with its store, its saga, its read models and its relay."""

    async def let_order(order_id: str, command: Any, call: Call) -> None:
        await service.handle(
            order, f"order-{order_id}", command, key=call.key, metadata=call.metadata
        )

    checkout = Checkout(settings.group("checkout"), settings.topics("order"), lambda: service.sagas)
    service = Goldseam(
        settings.store("orders"),
        [Orders(), Customers()],
        broker=settings.river,
        consumers=[checkout],
        relay="orders",
        routing=routing(settings, *INSIDE),
        member=settings.member,
        sagas=SagaPlan(
            definitions=(Fulfilment(let_order),),
            answers=settings.topics(*ANSWERS),
            group=settings.group("answers"),
        ),
        keys=settings.keys,
        key_provider=settings.key_provider,
    )
    return service
