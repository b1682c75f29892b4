"""The inventory service: sets titles aside and gives them back.

``goldseam run examples.shop.inventory:app``
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from examples.shop.messages import (
    InventoryRefused,
    InventoryReleased,
    InventoryReleaseRequested,
    InventoryRequested,
    InventoryReserved,
    told,
)
from examples.shop.service import Desk, as_it_is, routing
from examples.shop.settings import Settings, settings
from goldseam import Decider, Goldseam, Projection, Recorded
from goldseam.projections.connection import ProjectionConnection

MAX_PER_ORDER = 20
"""So many of a title are on the shelf for one customer."""

Message = InventoryRequested | InventoryReleaseRequested
Fact = InventoryReserved | InventoryRefused | InventoryReleased


@dataclass(frozen=True)
class State:
    """What is set aside for one order."""

    reserved: int = 0
    answered: bool = False
    released: bool = False


def decide(message: Message, state: State) -> list[Fact]:
    """The facts that follow from ``message``; none where they are there already."""
    if isinstance(message, InventoryReleaseRequested):
        if state.released:
            return []
        return [InventoryReleased(message.order_id, state.reserved)]
    if state.answered or state.released:
        return []
    if message.quantity > MAX_PER_ORDER:
        reason = f"{message.quantity} wanted, {MAX_PER_ORDER} on the shelf"
        return [InventoryRefused(message.order_id, reason)]
    return [told(InventoryReserved, message)]


def evolve(state: State, fact: Fact) -> State:
    """The state after ``fact``."""
    match fact:
        case InventoryReserved():
            return replace(state, reserved=fact.quantity, answered=True)
        case InventoryRefused():
            return replace(state, answered=True)
        case InventoryReleased():
            return replace(state, reserved=0, released=True)


shelf = Decider(State(), decide, evolve, name="shelf", state_type=State)
"""How the shelf decides."""


class Shelf(Projection):
    """How many of each title are set aside."""

    name = "shelf"
    types = (InventoryReserved, InventoryReleased)
    tables = """
        CREATE TABLE {shelf} (
            order_id TEXT PRIMARY KEY,
            title TEXT NOT NULL,
            quantity BIGINT NOT NULL
        )
    """

    async def apply_batch(self, events: Sequence[Recorded[Any]], db: ProjectionConnection) -> None:
        """Orders in one go each way: a release never comes before its reservation."""
        reserved = [one.data for one in events if isinstance(one.data, InventoryReserved)]
        released = [one.data for one in events if isinstance(one.data, InventoryReleased)]
        await db.execute_many(
            "INSERT INTO {shelf} (order_id, title, quantity) VALUES (:order, :title, :quantity)",
            [{"order": r.order_id, "title": r.title, "quantity": r.quantity} for r in reserved],
        )
        await db.execute_many(
            "DELETE FROM {shelf} WHERE order_id = :order", [{"order": r.order_id} for r in released]
        )


def create(settings: Settings) -> Goldseam:
    """The service with its store, its desk and its relay."""
    desk = Desk(
        settings.group("inventory"),
        settings.topics("inventory_commands"),
        shelf,
        "inventory",
        {InventoryRequested: as_it_is, InventoryReleaseRequested: as_it_is},
        lambda: service.store,
    )
    service = Goldseam(
        settings.store("inventory"),
        [Shelf()],
        broker=settings.river,
        consumers=[desk],
        relay="inventory",
        routing=routing(settings),
        member=settings.member,
    )
    return service


app = create(settings)
"""What ``goldseam run`` runs."""
