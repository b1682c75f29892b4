"""The purchases in the file, what the demo makes up besides, and what must come of each.

The last part is the judge's: a straightforward recomputation that knows nothing of services.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

FILE = Path(__file__).parent / "data" / "cdnow.csv"
TITLES = 200

CARD, DECLINED, CLOSED_SINCE = "card", "card-declined", "card-closed-since"
HOME, NOWHERE = "US", "AQ"
MAX_CDS = 20

EVERY_DECLINED, EVERY_NOWHERE, EVERY_CLOSED = 25, 40, 240
"""One customer in so many has a card that is declined, an address in Antarctica; and both an
address in Antarctica and a card that takes no money back."""

Outcome = Literal["completed", "compensated", "parked"]


class Purchase(NamedTuple):
    """One line of the file; ``order_id`` is its number."""

    order_id: str
    customer_id: str
    day: str
    quantity: int
    cents: int

    @property
    def number(self) -> int:
        """The customer's number."""
        return int(self.customer_id)

    @property
    def card(self) -> str:
        """The customer's card."""
        if self.number % EVERY_CLOSED == 0:
            return CLOSED_SINCE
        return DECLINED if self.number % EVERY_DECLINED == 1 else CARD

    @property
    def country(self) -> str:
        """Where the customer lives."""
        return NOWHERE if self.number % EVERY_NOWHERE == 0 else HOME

    def body(self, cents: int | None = None) -> dict[str, object]:
        """The request; with another price if ``cents`` says so."""
        return {
            "orderId": self.order_id,
            "customerId": self.customer_id,
            "title": f"title {(int(self.order_id) * 7) % TITLES:03}",
            "quantity": self.quantity,
            "cents": self.cents if cents is None else cents,
            "card": self.card,
            "country": self.country,
        }


def purchases(count: int | None = None) -> list[Purchase]:
    """The first ``count`` purchases by day, all of them unless said."""
    with FILE.open(encoding="ascii", newline="") as file:
        found = [
            Purchase(
                f"{number:05}",
                row["sample_id"],
                row["date"],
                int(row["cds"]),
                round(float(row["dollars"]) * 100),
            )
            for number, row in enumerate(csv.DictReader(file), 1)
        ]
    return sorted(found, key=lambda one: (one.day, one.order_id))[:count]


class Expected(NamedTuple):
    """What must come of one purchase: how it ends, what its customer paid, what stays paid."""

    outcome: Outcome
    cents_in: int
    cents_kept: int


def expected(purchase: Purchase) -> Expected:
    """The rules of the shop in four lines."""
    if purchase.quantity > MAX_CDS or purchase.card == DECLINED:
        return Expected("compensated", 0, 0)
    if purchase.country == NOWHERE and purchase.card == CLOSED_SINCE:
        return Expected("parked", purchase.cents, purchase.cents)
    if purchase.country == NOWHERE:
        return Expected("compensated", purchase.cents, 0)
    return Expected("completed", purchase.cents, purchase.cents)


def customer(number: str) -> dict[str, str]:
    """A made-up name and address for the customer of this number."""
    return {"name": f"Customer Number {number}", "email": f"customer.{number}@example.org"}


def customers(of: Iterable[Purchase]) -> set[str]:
    """The numbers of those who bought."""
    return {one.customer_id for one in of}
