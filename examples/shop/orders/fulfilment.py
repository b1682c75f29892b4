"""The saga: order, inventory, payment, shipment; and backwards when one of them says no."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from examples.shop.messages import (
    FulfilmentOpened,
    InventoryRefused,
    InventoryReleased,
    InventoryReleaseRequested,
    InventoryRequested,
    InventoryReserved,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    PaymentRequested,
    RefundRefused,
    RefundRequested,
    ShipmentCancellationRequested,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentRefused,
    ShipmentRequested,
    told,
)
from examples.shop.orders.order import CancelOrder, CompleteOrder
from examples.shop.settings import settings
from goldseam import Saga, asks, step
from goldseam.sagas.saga import Call

PATIENCE = settings.patience_seconds

Handle = Callable[[str, Any, Call], Awaitable[None]]
"""Lets the order of an id decide a command, once for each call."""


class Fulfilment(Saga[FulfilmentOpened]):
    """One order on its way through the services.

    Args:
        handle: how it speaks to the order itself.
    """

    name = "fulfilment"

    def __init__(self, handle: Handle) -> None:
        super().__init__()
        self._handle = handle

    @step()
    async def order(self, order: FulfilmentOpened, call: Call) -> None:
        """The order was placed before the saga began; from now on it may have to be cancelled."""

    @order.compensation()
    async def cancel(self, order: FulfilmentOpened, call: Call) -> None:
        """Tell the customer that it will not come."""
        reason = "it could not be fulfilled"
        await self._handle(order.order_id, CancelOrder(order.order_id, reason), call)

    @asks(
        "inventory_commands",
        done=InventoryReserved,
        refused=InventoryRefused,
        timeout_seconds=PATIENCE,
    )
    def inventory(self, order: FulfilmentOpened, call: Call) -> InventoryRequested:
        """Set the CDs aside."""
        return told(InventoryRequested, order)

    @inventory.compensation(done=InventoryReleased, timeout_seconds=PATIENCE)
    def release(self, order: FulfilmentOpened, call: Call) -> InventoryReleaseRequested:
        """Give them back to the shelf."""
        return InventoryReleaseRequested(order.order_id)

    @asks(
        "payment_commands", done=PaymentProcessed, refused=PaymentFailed, timeout_seconds=PATIENCE
    )
    def payment(self, order: FulfilmentOpened, call: Call) -> PaymentRequested:
        """Charge the card."""
        return told(PaymentRequested, order)

    @payment.compensation(done=PaymentRefunded, refused=RefundRefused, timeout_seconds=PATIENCE)
    def refund(self, order: FulfilmentOpened, call: Call) -> RefundRequested:
        """Give the money back."""
        return RefundRequested(order.order_id)

    @asks(
        "shipment_commands", done=ShipmentCreated, refused=ShipmentRefused, timeout_seconds=PATIENCE
    )
    def shipment(self, order: FulfilmentOpened, call: Call) -> ShipmentRequested:
        """Send the parcel."""
        return told(ShipmentRequested, order)

    @shipment.compensation(done=ShipmentCancelled, timeout_seconds=PATIENCE)
    def call_back(self, order: FulfilmentOpened, call: Call) -> ShipmentCancellationRequested:
        """Call the parcel back."""
        return ShipmentCancellationRequested(order.order_id)

    @step(nothing_to_undo=True)
    async def complete(self, order: FulfilmentOpened, call: Call) -> None:
        """Nothing is left to do."""
        await self._handle(order.order_id, CompleteOrder(order.order_id), call)
