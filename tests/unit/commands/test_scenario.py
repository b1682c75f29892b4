"""The given / when / then kit: what passes, and above all what fails and with which words."""

from __future__ import annotations

import pytest

from examples.bank.account import BankRefused, Deposit, OpenAccount, State, Withdraw, account
from examples.bank.events import AccountOpened, DepositApplied, MoneyWithdrawn
from goldseam import Decider
from goldseam.testing import scenario
from tests.unit.commands.accounts import Account, InsufficientFunds

OPENED = AccountOpened(owner="ada")


def test_facts_and_state_of_a_decider() -> None:
    """The plain way through: given, when, then, and the state after."""
    scenario(account).given(OPENED, DepositApplied(total_amount=50)).when(Withdraw(amount=20)).then(
        MoneyWithdrawn(amount=20)
    ).then_state(State(open=True, balance=30))


def test_facts_and_state_of_an_aggregate() -> None:
    """An aggregate's state is checked by its attributes."""
    scenario(Account).given(DepositApplied(total_amount=50)).when(lambda a: a.withdraw(20)).then(
        MoneyWithdrawn(amount=20)
    ).then_state(balance=30)


def test_nothing_and_refusals() -> None:
    """Nothing to do and a refusal are two different outcomes."""
    scenario(Account).given(OPENED).when(lambda a: a.open("eve")).then_nothing()
    scenario(Account).when(lambda a: a.withdraw(1)).then_raises(InsufficientFunds, match="is 0")
    scenario(account).when(Deposit(amount=1)).then_raises(BankRefused)


def test_given_facts_alone_have_a_state() -> None:
    """evolve is tested without any command."""
    scenario(account).given(OPENED).given(DepositApplied(total_amount=3)).then_state(balance=3)


def test_other_facts_fail_with_a_difference_and_the_story() -> None:
    """The message shows what was expected, what came, and from what."""
    outcome = (
        scenario(Account).given(DepositApplied(total_amount=50)).when(lambda a: a.withdraw(20))
    )
    with pytest.raises(AssertionError) as caught:
        outcome.then(MoneyWithdrawn(amount=2))
    words = str(caught.value)
    assert "- MoneyWithdrawn(amount=2)" in words
    assert "+ MoneyWithdrawn(amount=20)" in words
    assert (
        "given\n    DepositApplied(total_amount=50, currency='USD')\nwhen\n    the call at" in words
    )


@pytest.mark.parametrize(
    "facts", [(), (DepositApplied(total_amount=1), DepositApplied(total_amount=1))]
)
def test_fewer_or_more_facts_fail(facts: tuple[object, ...]) -> None:
    """Exactly these facts: neither a missing nor an extra one passes."""
    outcome = scenario(Account).when(lambda a: a.deposit(1))
    with pytest.raises(AssertionError, match="other facts followed"):
        outcome.then(*facts)


def test_a_refusal_fails_then_and_keeps_the_refusal_as_its_cause() -> None:
    """Whoever expected facts sees what was raised instead."""
    outcome = scenario(account).when(Deposit(amount=1))
    for check in (outcome.then_nothing, lambda: outcome.then_state(balance=1)):
        with pytest.raises(AssertionError, match="the decision raised BankRefused") as caught:
            check()
        assert isinstance(caught.value.__cause__, BankRefused)


def test_an_expected_refusal_that_does_not_come_fails() -> None:
    """No refusal, another kind of refusal, other words: each fails."""
    decided = scenario(account).when(OpenAccount(owner="ada"))
    with pytest.raises(AssertionError, match="BankRefused was expected, but it was decided"):
        decided.then_raises(BankRefused)
    refused = scenario(account).when(Deposit(amount=1))
    with pytest.raises(AssertionError, match="KeyError was expected"):
        refused.then_raises(KeyError)
    with pytest.raises(AssertionError, match="does not match 'overdraft'"):
        refused.then_raises(BankRefused, match="overdraft")


def test_another_state_fails() -> None:
    """Wrong values and attributes that are not there."""
    given = scenario(account).given(OPENED)
    with pytest.raises(AssertionError, match=r"- balance = 1\n[^+]*\+ balance = 0"):
        given.then_state(balance=1)
    with pytest.raises(AssertionError, match="colour is missing"):
        given.then_state(colour="red")
    with pytest.raises(AssertionError, match="another state than expected"):
        given.then_state(State())
    with pytest.raises(TypeError, match="needs a state"):
        given.then_state()


def test_a_decision_that_changes_the_state_itself_fails() -> None:
    """Such a decision cannot be made again after a conflict, so no outcome of it counts."""

    def decide(amount: int, state: list[int]) -> list[DepositApplied]:
        state.append(amount)
        return [DepositApplied(total_amount=amount)]

    def evolve(state: list[int], fact: DepositApplied) -> list[int]:
        return [*state, fact.total_amount]

    with pytest.raises(AssertionError, match="has changed the state itself"):
        scenario(Decider([], decide, evolve)).when(1)


def test_scenarios_share_nothing() -> None:
    """A scenario may be the beginning of many: none changes another."""
    base = scenario(Account).given(DepositApplied(total_amount=10))
    base.given(DepositApplied(total_amount=5)).when(lambda a: a.withdraw(15)).then_state(balance=0)
    base.when(lambda a: a.withdraw(10)).then_state(balance=0)
    base.then_state(balance=10)
