"""The shop's saga by the test kit: given answers, when one comes, then commands. No database."""

from __future__ import annotations

from typing import Any

import pytest

from examples.shop.messages import (
    FulfilmentOpened,
    InventoryRefused,
    InventoryReleased,
    InventoryReleaseRequested,
    InventoryRequested,
    InventoryReserved,
    Order,
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
from examples.shop.orders.fulfilment import PATIENCE, Fulfilment
from goldseam.sagas.saga import Call
from goldseam.testing.saga_scenario import SagaScenario, saga_scenario

ORDER = Order("17", "0004", "title 001", 2, 2_933, "card", "US")
RESERVED, PAID, SENT = (
    told(InventoryReserved, ORDER),
    told(PaymentProcessed, ORDER),
    told(ShipmentCreated, ORDER),
)
REFUNDED = PaymentRefunded("17", 2_933, "the order was not fulfilled")


async def _nothing(order_id: str, command: Any, call: Call) -> None:
    """The scenario says how a call ends."""


@pytest.fixture
def order() -> SagaScenario:
    return saga_scenario(Fulfilment(_nothing), told(FulfilmentOpened, ORDER)).when_done("order")


def test_each_answer_leads_to_the_next_request(order: SagaScenario) -> None:
    """Inventory, payment, shipment, and the order is completed."""
    order.then(told(InventoryRequested, ORDER))
    order.when(RESERVED).then(told(PaymentRequested, ORDER))
    order.when(PAID).then(told(ShipmentRequested, ORDER))
    order.when(SENT).when_done("complete").then().then_status("completed")


def test_without_stock_only_the_order_is_cancelled(order: SagaScenario) -> None:
    """Nothing was set aside, nothing paid."""
    order.when(InventoryRefused("17", "21 wanted")).then().then_status("compensating")
    order.when_done("order").then_status("compensated")


def test_a_declined_card_releases_the_stock(order: SagaScenario) -> None:
    """And refunds nothing."""
    order.given(RESERVED).when(PaymentFailed("17", "declined"))
    order.then(InventoryReleaseRequested("17"))
    order.when(InventoryReleased("17", 2)).when_done("order").then_status("compensated")


def test_a_refused_parcel_undoes_payment_and_stock_in_reverse(order: SagaScenario) -> None:
    """The money first, then the stock, then the order."""
    order.given(RESERVED, PAID).when(ShipmentRefused("17", "no carrier"))
    order.then(RefundRequested("17"))
    order.when(REFUNDED).then(InventoryReleaseRequested("17"))
    order.when(InventoryReleased("17", 2)).when_done("order").then_status("compensated")


def test_a_refused_refund_parks_the_order(order: SagaScenario) -> None:
    """To ask again is of no use: a human must find another way."""
    order.given(RESERVED, PAID, ShipmentRefused("17", "no carrier"))
    order.when(RefundRefused("17", "closed")).then().then_status("parked")


def test_a_carrier_that_says_nothing_is_called_back(order: SagaScenario) -> None:
    """Nobody knows whether the parcel left, so it is undone like the others."""
    order.given(RESERVED, PAID).when_seconds_pass(PATIENCE + 1)
    order.then(ShipmentCancellationRequested("17"))
    order.when(ShipmentCancelled("17")).then(RefundRequested("17"))
    order.when(REFUNDED).then(InventoryReleaseRequested("17"))
