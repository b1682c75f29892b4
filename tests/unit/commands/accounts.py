"""An account written as a class, on the facts of the bank example."""

from __future__ import annotations

from examples.bank.events import AccountOpened, DepositApplied, MoneyWithdrawn
from goldseam import Aggregate


class InsufficientFunds(Exception):
    """There is less in the account than was asked for."""


class Account(Aggregate):
    """What the next decision needs to know, and the decisions."""

    owner: str = ""
    balance: int = 0
    seen: list[int] = []  # noqa: RUF012 -- the class copies it for each instance

    def open(self, owner: str) -> None:
        if not self.owner:
            self.record(AccountOpened(owner=owner))

    def deposit(self, amount: int) -> None:
        self.record(DepositApplied(total_amount=amount))

    def withdraw(self, amount: int) -> None:
        if amount > self.balance:
            raise InsufficientFunds(f"there is {self.balance}, {amount} was asked for")
        self.record(MoneyWithdrawn(amount=amount))

    def evolve(self, fact: object) -> None:
        match fact:
            case AccountOpened(owner=owner):
                self.owner = owner
            case DepositApplied(total_amount=amount):
                self.balance += amount
                self.seen.append(amount)
            case MoneyWithdrawn(amount=amount):
                self.balance -= amount
