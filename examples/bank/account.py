"""The account: commands, what they need, which facts follow. Pure functions, no database."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from examples.bank.events import AccountClosed, AccountOpened, DepositApplied, MoneyWithdrawn
from goldseam import Decider


class OpenAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Open an account for ``owner``."""

    owner: str


class Deposit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Put ``amount`` cents in."""

    amount: int


class Withdraw(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Take ``amount`` cents out."""

    amount: int


class CloseAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Close the account; it must be empty."""

    reason: str


Command = OpenAccount | Deposit | Withdraw | CloseAccount
Fact = AccountOpened | DepositApplied | MoneyWithdrawn | AccountClosed


class BankRefused(Exception):
    """The bank says no, and why."""


@dataclass(frozen=True)
class State:
    """What the next decision needs to know."""

    open: bool = False
    closed: bool = False
    balance: int = 0


def decide(command: Command, state: State) -> list[Fact]:
    """The facts that follow from ``command``."""
    if isinstance(command, OpenAccount):
        if state.open or state.closed:
            raise BankRefused("this account has been opened already")
        return [AccountOpened(owner=command.owner)]
    if not state.open:
        raise BankRefused("there is no such open account")
    match command:
        case Deposit(amount=amount):
            _positive(amount)
            return [DepositApplied(total_amount=amount)]
        case Withdraw(amount=amount):
            _positive(amount)
            if amount > state.balance:
                raise BankRefused(f"the balance is {state.balance}, {amount} was asked for")
            return [MoneyWithdrawn(amount=amount)]
        case CloseAccount(reason=reason):
            if state.balance:
                raise BankRefused(f"the balance is {state.balance}, it must be 0 to close")
            return [AccountClosed(reason=reason)]


def evolve(state: State, fact: Fact) -> State:
    """The state after ``fact``."""
    match fact:
        case AccountOpened():
            return replace(state, open=True)
        case DepositApplied(total_amount=amount):
            return replace(state, balance=state.balance + amount)
        case MoneyWithdrawn(amount=amount):
            return replace(state, balance=state.balance - amount)
        case AccountClosed():
            return replace(state, open=False, closed=True)


def _positive(amount: int) -> None:
    if amount <= 0:
        raise BankRefused(f"an amount must be positive, not {amount}")


account = Decider(State(), decide, evolve, name="account", state_type=State)
"""How an account decides."""
