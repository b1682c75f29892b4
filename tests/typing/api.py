"""What a type checker knows about the public API; `make check` runs mypy --strict over this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_type

import msgspec

from goldseam import (
    NEW,
    Aggregate,
    Appended,
    Decider,
    EventStore,
    Fence,
    Handled,
    Metadata,
    blocking,
    event,
    handle,
    open_store,
)
from goldseam.commands.decider import Decider as DeciderClass
from goldseam.store.decode import Page
from goldseam.testing import scenario


@event
class Deposited:
    """A plain class becomes a frozen one with a typed constructor."""

    amount: int


class Deposit(msgspec.Struct):
    """A command."""

    amount: int


@dataclass(frozen=True)
class State:
    """A state."""

    balance: int = 0


def decide(command: Deposit, state: State) -> Sequence[Deposited]:
    return [Deposited(amount=command.amount + 0 * state.balance)]


def evolve(state: State, fact: Deposited) -> State:
    return State(state.balance + fact.amount)


account = Decider(State(), decide, evolve, name="account")


class Account(Aggregate):
    balance: int = 0

    def deposit(self, amount: int) -> None:
        self.record(Deposited(amount=amount))

    def evolve(self, fact: object) -> None:
        match fact:
            case Deposited(amount=amount):
                self.balance += amount


def a_decider_infers_its_three_types() -> None:
    assert_type(account, DeciderClass[Deposit, State, Deposited])
    assert_type(account.fold([Deposited(amount=1)]), State)
    account.decide(Deposited(amount=1), State())  # type: ignore[arg-type]
    account.evolve(State(), "no fact")  # type: ignore[arg-type]


async def the_answers_know_the_state() -> None:
    store = await open_store("sqlite:///:memory:")
    assert_type(store, EventStore)
    done = await handle(store, account, "account-1", Deposit(amount=1), key="k")
    assert_type(done, Handled[State])
    assert_type(done.state.balance, int)
    other = await handle(store, Account, "account-1", lambda a: a.deposit(5))
    assert_type(other, Handled[Account])
    await handle(store, Account, "account-1", lambda a: a.withdraw(5))  # type: ignore[attr-defined]
    await handle(store, account, "account-1", "no command")  # type: ignore[misc]
    await handle(store, account, "account-1", Deposit(amount=1), 5)  # type: ignore[call-overload]
    appended = await store.append(
        "account-1",
        [Deposited(amount=1)],
        expected=NEW,
        fence=Fence("node", 1),
        metadata=Metadata(actor="ada"),
    )
    assert_type(appended, Appended)
    assert_type(await store.read_stream("account-1"), Page)
    await store.append("account-1", [Deposited(amount=1)])  # type: ignore[call-arg]


def the_blocking_door_answers_the_same(connection: object) -> None:
    assert_type(blocking.append(connection, "a-1", [Deposited(amount=1)], expected=NEW), Appended)
    assert_type(blocking.handle(connection, account, "a-1", Deposit(amount=1)), Handled[State])
    assert_type(
        blocking.handle(connection, Account, "a-1", lambda a: a.deposit(1)), Handled[Account]
    )


def scenarios_know_commands_and_state() -> None:
    scenario(account).given(Deposited(amount=1)).when(Deposit(amount=1)).then_state(State(2))
    scenario(account).when("no command")  # type: ignore[arg-type]
    scenario(account).then_state(5)  # type: ignore[arg-type]
    scenario(Account).when(lambda a: a.deposit(1)).then(Deposited(amount=1))
    scenario(Account).when(lambda a: a.withdraw(1))  # type: ignore[attr-defined]


def events_are_frozen_and_typed() -> None:
    fact = Deposited(amount=1)
    assert_type(fact.amount, int)
    fact.amount = 2  # type: ignore[misc]
    Deposited(amount="five")  # type: ignore[arg-type]
