"""The shop's decisions: each service by itself, without a database."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from examples.shop.inventory import MAX_PER_ORDER, shelf
from examples.shop.messages import (
    InventoryRefused,
    InventoryReleased,
    InventoryReleaseRequested,
    InventoryRequested,
    InventoryReserved,
    Order,
    OrderCancelled,
    OrderCompleted,
    OrderPlaced,
    OrderPriceCorrected,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    PaymentRequested,
    PriceAgreed,
    RefundRefused,
    RefundRequested,
    ShipmentCancellationRequested,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentRefused,
    ShipmentRequested,
    told,
)
from examples.shop.orders.order import CancelOrder, CompleteOrder, OrderRefused, PlaceOrder, order
from examples.shop.payments import DECLINED_CARD, NO_REFUND_CARD, till
from examples.shop.purchases import EVERY_DECLINED, customers, expected, purchases
from examples.shop.shipping import NOWHERE, parcels
from goldseam.testing import scenario

ORDER = Order("17", "0004", "title 001", 2, 2_933, "card", "US")
DECLINED = msgspec.structs.replace(ORDER, card=DECLINED_CARD)
CLOSED = msgspec.structs.replace(ORDER, card=NO_REFUND_CARD)
MANY = msgspec.structs.replace(ORDER, quantity=MAX_PER_ORDER + 1)
FAR = msgspec.structs.replace(ORDER, country=NOWHERE)

PLACED, PAID = told(OrderPlaced, ORDER), told(PaymentProcessed, ORDER)
CORRECTED = OrderPriceCorrected("an event", "17", 2_933, 1_000, "a typo", "clerk", "SHOP-1")
BACK = PaymentRefunded("17", 2_933, "the order was not fulfilled")


def test_an_order_is_placed_once_and_ends_once() -> None:
    """Completed or cancelled, not both; to end it twice the same way is to end it once."""
    scenario(order).given().when(told(PlaceOrder, ORDER)).then(PLACED)
    scenario(order).given(PLACED).when(told(PlaceOrder, ORDER)).then_raises(OrderRefused)
    scenario(order).given(PLACED).when(CompleteOrder("17")).then(OrderCompleted("17"))
    done = (PLACED, OrderCompleted("17"))
    scenario(order).given(*done).when(CompleteOrder("17")).then()
    scenario(order).given(*done).when(CancelOrder("17", "late")).then_raises(OrderRefused)
    cancelled = OrderCancelled("17", "no stock")
    scenario(order).given(PLACED).when(CancelOrder("17", "no stock")).then(cancelled)
    scenario(order).given().when(CompleteOrder("17")).then_raises(OrderRefused, match="no such")


@pytest.mark.parametrize("wrong", [{"quantity": 0}, {"cents": -1}])
def test_an_order_needs_a_quantity_and_a_price(wrong: dict[str, int]) -> None:
    """What makes no sense is refused, and nothing is written."""
    asked = msgspec.structs.replace(told(PlaceOrder, ORDER), **wrong)
    scenario(order).given().when(asked).then_raises(OrderRefused)


def test_the_shelf_reserves_refuses_and_releases_once() -> None:
    """Heard twice is done once; to release what was never set aside does no harm."""
    wanted, reserved = told(InventoryRequested, ORDER), told(InventoryReserved, ORDER)
    release, released = InventoryReleaseRequested("17"), InventoryReleased("17", 2)
    scenario(shelf).given().when(wanted).then(reserved)
    scenario(shelf).given(reserved).when(wanted).then()
    scenario(shelf).given(reserved).when(release).then(released)
    scenario(shelf).given(reserved, released).when(release).then()
    scenario(shelf).given().when(release).then(InventoryReleased("17", 0))
    scenario(shelf).given(InventoryReleased("17", 0)).when(wanted).then()
    refused = InventoryRefused("17", "21 wanted, 20 on the shelf")
    scenario(shelf).given().when(told(InventoryRequested, MANY)).then(refused)


def test_the_till_charges_once_and_gives_everything_back_once() -> None:
    """What is not charged is not given back, and what was given back is not given again."""
    wanted, refund = told(PaymentRequested, ORDER), RefundRequested("17")
    scenario(till).given().when(wanted).then(PAID)
    scenario(till).given(PAID).when(wanted).then()
    scenario(till).given(PAID).when(refund).then(BACK)
    scenario(till).given(PAID, BACK).when(refund).then()
    nothing = PaymentRefunded("17", 0, "the order was not fulfilled")
    scenario(till).given().when(refund).then(nothing)
    scenario(till).given(nothing).when(wanted).then()


def test_a_card_may_decline_and_may_refuse_a_refund() -> None:
    """Both are facts, and no exceptions."""
    declined = PaymentFailed("17", "the card was declined")
    scenario(till).given().when(told(PaymentRequested, DECLINED)).then(declined)
    paid = told(PaymentProcessed, CLOSED)
    refused = RefundRefused("17", "the card was closed")
    scenario(till).given(paid).when(RefundRequested("17")).then(refused)


def test_a_corrected_price_is_given_back_or_agreed_on() -> None:
    """After the payment the difference goes back; before it the right price will be charged."""
    difference = PaymentRefunded("17", 1_933, "the price was corrected")
    scenario(till).given(PAID).when(CORRECTED).then(difference)
    scenario(till).given(PAID, difference).when(CORRECTED).then()
    rest = PaymentRefunded("17", 1_000, "the order was not fulfilled")
    scenario(till).given(PAID, difference).when(RefundRequested("17")).then(rest)
    agreed = PriceAgreed("17", 1_000)
    scenario(till).given().when(CORRECTED).then(agreed)
    right = msgspec.structs.replace(PAID, cents=1_000)
    scenario(till).given(agreed).when(told(PaymentRequested, ORDER)).then(right)


def test_parcels_leave_once_and_not_for_everywhere() -> None:
    """And are called back once."""
    wanted, sent = told(ShipmentRequested, ORDER), told(ShipmentCreated, ORDER)
    back = ShipmentCancellationRequested("17")
    scenario(parcels).given().when(wanted).then(sent)
    scenario(parcels).given(sent).when(wanted).then()
    scenario(parcels).given(sent).when(back).then(ShipmentCancelled("17"))
    scenario(parcels).given(ShipmentCancelled("17")).when(back).then()
    refused = ShipmentRefused("17", "no carrier goes to AQ")
    scenario(parcels).given().when(told(ShipmentRequested, FAR)).then(refused)


def test_the_file_is_the_one_that_was_published() -> None:
    """Its figures are those of the papers about it; and every way to end is in it."""
    bought = purchases()
    outcomes = Counter(expected(one).outcome for one in bought)

    assert (6_919, 2_357) == (len(bought), len(customers(bought)))
    assert 24_409_194 == sum(one.cents for one in bought)
    assert ("19970101", "19980630") == (bought[0].day, bought[-1].day)
    assert {"completed", "compensated", "parked"} == outcomes.keys()
    assert any(one.number % EVERY_DECLINED == 1 for one in bought)
