"""What the services tell one another: facts, in the words of the shop. Money is in cents.

A forward fact says what is ordered, so that whoever hears it can react without asking back.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from goldseam import Personal, corrects, event

M = TypeVar("M", bound="Order")


class Order(msgspec.Struct, frozen=True):
    """So many CDs of one title, for one customer; ``card`` is a token of the card's bank."""

    order_id: str
    customer_id: str
    title: str
    quantity: int
    cents: int
    card: str
    country: str


def told(kind: type[M], order: Order) -> M:
    """The same order in another fact."""
    return kind(*(getattr(order, name) for name in Order.__struct_fields__))


# ------------------------------------------------------------------------------ orders


@event
class CustomerRegistered:
    """We know who somebody is; name and e-mail are sealed under a key of their own."""

    customer_id: str
    name: Annotated[str, Personal("customer_id")]
    email: Annotated[str, Personal("customer_id")]


@event
class OrderPlaced(Order, frozen=True):
    """A customer wants something and has been told its price."""


@event
class FulfilmentOpened(Order, frozen=True):
    """The shop has taken an order up."""


@event
class OrderCompleted:
    """It is reserved, paid and shipped."""

    order_id: str


@event
class OrderCancelled:
    """It will not be fulfilled; whatever was done for it is undone."""

    order_id: str
    reason: str


@corrects(OrderPlaced, fields={"cents": ("original_cents", "corrected_cents")})
@event
class OrderPriceCorrected:
    """The price was written down wrongly: this is what it should have said."""

    original_event_id: str
    order_id: str
    original_cents: int
    corrected_cents: int
    reason: str
    corrected_by: str
    jira_ticket: str


# ------------------------------------------------------------------------------ inventory


@event
class InventoryRequested(Order, frozen=True):
    """Somebody wants so many of a title set aside."""


@event
class InventoryReserved(Order, frozen=True):
    """They are set aside."""


@event
class InventoryRefused:
    """There are not so many."""

    order_id: str
    reason: str


@event
class InventoryReleaseRequested:
    """Somebody no longer needs what may be set aside."""

    order_id: str


@event
class InventoryReleased:
    """Nothing is set aside any more; ``quantity`` was."""

    order_id: str
    quantity: int


# ------------------------------------------------------------------------------ payments


@event
class PaymentRequested(Order, frozen=True):
    """Somebody wants the card charged."""


@event
class PaymentProcessed(Order, frozen=True):
    """The card's bank has paid ``cents``."""


@event
class PaymentFailed:
    """The card's bank has refused; nothing was paid."""

    order_id: str
    reason: str


@event
class RefundRequested:
    """Somebody wants back whatever was paid for an order."""

    order_id: str


@event
class PaymentRefunded:
    """``cents`` went back to the card; 0 where nothing was paid."""

    order_id: str
    cents: int
    reason: str


@event
class RefundRefused:
    """The card's bank does not take the money back; a human must find another way."""

    order_id: str
    reason: str


@event
class PriceAgreed:
    """The price was corrected before anything was paid: ``cents`` is what will be asked for."""

    order_id: str
    cents: int


# ------------------------------------------------------------------------------ shipping


@event
class ShipmentRequested(Order, frozen=True):
    """Somebody wants a parcel sent."""


@event
class ShipmentCreated(Order, frozen=True):
    """The parcel is on its way."""


@event
class ShipmentRefused:
    """No carrier goes there."""

    order_id: str
    reason: str


@event
class ShipmentCancellationRequested:
    """Somebody wants the parcel back."""

    order_id: str


@event
class ShipmentCancelled:
    """The parcel is not on its way any more, or never was."""

    order_id: str
