"""The event that every benchmark writes: eight fields, about 330 bytes of JSON."""

from __future__ import annotations

import msgspec

from goldseam import Registry

registry = Registry()


@registry.event
class OrderPlaced(msgspec.Struct, frozen=True):
    """A business fact of ordinary size."""

    order_id: str
    customer: str
    total: int
    currency: str
    lines: list[str]
    address: str
    note: str
    placed_by: str


def order(number: int) -> OrderPlaced:
    """One event; only its numbers differ."""
    return OrderPlaced(
        order_id=f"order-{number}",
        customer="customer-1234567",
        total=4200 + number,
        currency="EUR",
        lines=["sku-1 x 2 at 10.00", "sku-2 x 1 at 22.00", "sku-3 x 3 at 5.00"],
        address="12 Long Street, 1011 AB Amsterdam, The Netherlands",
        note="leave it with the neighbour at number 14 if nobody is at home",
        placed_by="web-checkout",
    )


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(OrderPlaced).decode
