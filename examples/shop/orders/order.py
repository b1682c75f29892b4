"""The order: commands, what they need, which facts follow. Pure functions, no database."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from examples.shop.messages import (
    Order,
    OrderCancelled,
    OrderCompleted,
    OrderPlaced,
    OrderPriceCorrected,
    told,
)
from goldseam import Decider


class PlaceOrder(Order, frozen=True):
    """A customer orders."""


class CompleteOrder(msgspec.Struct, frozen=True):
    """All its services have done their part."""

    order_id: str


class CancelOrder(msgspec.Struct, frozen=True):
    """It cannot be fulfilled, or the customer does not want it any more."""

    order_id: str
    reason: str


Command = PlaceOrder | CompleteOrder | CancelOrder
Fact = OrderPlaced | OrderCompleted | OrderCancelled | OrderPriceCorrected


class OrderRefused(Exception):
    """The shop says no, and why."""


@dataclass(frozen=True)
class State:
    """What the next decision needs to know."""

    placed: bool = False
    ended: str = ""


def decide(command: Command, state: State) -> list[Fact]:
    """The facts that follow from ``command``; none where it has ended this way already."""
    if isinstance(command, PlaceOrder):
        return _placed(command, state)
    if not state.placed:
        raise OrderRefused("there is no such order")
    ending: Fact
    match command:
        case CompleteOrder(order_id=order_id):
            ending = OrderCompleted(order_id)
        case CancelOrder(order_id=order_id, reason=reason):
            ending = OrderCancelled(order_id, reason)
    if state.ended == type(ending).__name__:
        return []
    if state.ended:
        raise OrderRefused(f"the order has ended: {state.ended}")
    return [ending]


def _placed(command: PlaceOrder, state: State) -> list[Fact]:
    if state.placed:
        raise OrderRefused("this order has been placed already")
    if command.quantity < 1:
        raise OrderRefused(f"a quantity must be 1 or more, not {command.quantity}")
    if command.cents < 0:
        raise OrderRefused(f"a price must be 0 or more, not {command.cents}")
    return [told(OrderPlaced, command)]


def evolve(state: State, fact: Fact) -> State:
    """The state after ``fact``."""
    match fact:
        case OrderPlaced():
            return replace(state, placed=True)
        case OrderCompleted() | OrderCancelled():
            return replace(state, ended=type(fact).__name__)
        case OrderPriceCorrected():
            return state


order = Decider(State(), decide, evolve, name="order", state_type=State)
"""How an order decides."""
