"""What happens in a bank, in the bank's words."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import msgspec

from goldseam import Personal, corrects, event, upcaster
from goldseam.events.personal import year
from goldseam.versioning.upcasting import add_field, rename_field


@event
class CustomerIntroduced:
    """We know who somebody is; what is personal is sealed under a key of their own."""

    customer_id: str
    name: Annotated[str, Personal("customer_id")]
    born: Annotated[date, Personal("customer_id", keep=year)]


@event
class AccountOpened:
    """A customer has an account now."""

    owner: str


@event(name="DepositApplied", version=3)
class DepositApplied(msgspec.Struct, frozen=True, rename="camel"):
    """Money came in; amounts are in cents. Version 1 had an amount, and everything was dollars."""

    total_amount: int
    currency: str = "USD"


upcaster("DepositApplied", 1)(add_field("currency", "USD"))
upcaster("DepositApplied", 2)(rename_field("amount", "totalAmount"))


@corrects(DepositApplied, fields={"total_amount": ("original_amount", "corrected_amount")})
@event
class DepositCorrected(msgspec.Struct, frozen=True, rename="camel"):
    """A deposit was written down wrongly: this is what it should have said."""

    original_event_id: str
    original_amount: int
    corrected_amount: int
    reason: str
    corrected_by: str
    jira_ticket: str


@event
class MoneyWithdrawn:
    """Money went out; amounts are in cents."""

    amount: int


@event
class AccountClosed:
    """The account is empty and takes no more money."""

    reason: str
