"""Decisions as methods: state, facts, and the decider underneath."""

from __future__ import annotations

import pytest

from examples.bank.events import DepositApplied, MoneyWithdrawn
from goldseam import Aggregate
from goldseam.commands.aggregate import decider_of
from goldseam.errors import InvalidName
from tests.unit.commands.accounts import Account, InsufficientFunds


def test_a_recorded_fact_changes_the_state_at_once() -> None:
    """The second decision of one command sees what the first has recorded."""
    account = Account()
    account.deposit(5)
    account.withdraw(5)
    assert account.balance == 0
    assert account.taken() == (DepositApplied(total_amount=5), MoneyWithdrawn(amount=5))
    assert account.taken() == ()


def test_two_aggregates_never_share_a_mutable_value() -> None:
    """A list as the first value of an attribute belongs to each instance alone."""
    one, other = Account(), Account()
    one.deposit(5)
    assert one.seen == [5]
    assert other.seen == []
    assert Account().seen == []


def test_deciding_leaves_the_state_it_was_given_alone() -> None:
    """The decider under an aggregate is pure: the same command can be decided again."""
    decider = decider_of(Account)
    state = decider.fold([DepositApplied(total_amount=10)])
    assert list(decider.decide(lambda a: a.withdraw(4), state)) == [MoneyWithdrawn(amount=4)]
    assert state.balance == 10
    assert decider.fold([]).balance == 0


def test_a_refused_decision_records_nothing() -> None:
    """An exception of the decision reaches the caller as it is."""
    decider = decider_of(Account)
    with pytest.raises(InsufficientFunds, match="there is 0, 4 was asked for"):
        decider.decide(lambda a: a.withdraw(4), decider.fold([]))


def test_state_without_a_first_value_is_refused_when_the_class_is_written() -> None:
    """An aggregate without facts has a state too, so every attribute needs a value."""
    with pytest.raises(InvalidName, match=r"Nameless\.owner"):

        class Nameless(Aggregate):
            owner: str


def test_aggregates_are_equal_by_their_state() -> None:
    """What was recorded and is not stored yet does not count, what they are does."""
    one, other = Account(), Account()
    one.deposit(5)
    assert one != other
    other.deposit(5)
    other.taken()
    assert one == other
    assert repr(one) == "Account(owner='', balance=5, seen=[5])"


def test_an_aggregate_without_evolve_says_what_is_missing() -> None:
    """The message names the class and the method to write."""

    class Mute(Aggregate):
        pass

    with pytest.raises(TypeError, match=r"Mute has no evolve\(fact\) method"):
        Mute().record(DepositApplied(total_amount=1))
