"""What happens in a bank, in the bank's words."""

from __future__ import annotations

from goldseam import event


@event
class AccountOpened:
    """A customer has an account now."""

    owner: str


@event
class DepositApplied:
    """Money came in; amounts are in cents."""

    amount: int


@event
class MoneyWithdrawn:
    """Money went out; amounts are in cents."""

    amount: int


@event
class AccountClosed:
    """The account is empty and takes no more money."""

    reason: str
