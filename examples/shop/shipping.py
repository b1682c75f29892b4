"""The shipping service: sends parcels, and calls them back.

``goldseam run examples.shop.shipping:app``
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from examples.shop.best_sellers import best_sellers
from examples.shop.messages import (
    ShipmentCancellationRequested,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentRefused,
    ShipmentRequested,
    told,
)
from examples.shop.service import Desk, as_it_is, routing
from examples.shop.settings import Settings, settings
from goldseam import Consumer, Decider, Goldseam, Recorded
from goldseam.consumers.connection import ConsumerConnection
from goldseam.consumers.modes import EffectivelyOnce, Mode

HOME = "US"
NOWHERE = "AQ"
"""No carrier goes to Antarctica."""

Message = ShipmentRequested | ShipmentCancellationRequested
Fact = ShipmentCreated | ShipmentRefused | ShipmentCancelled


@dataclass(frozen=True)
class State:
    """Where the parcel of one order is."""

    answered: bool = False
    cancelled: bool = False


def decide(message: Message, state: State) -> list[Fact]:
    """The facts that follow from ``message``; none where they are there already."""
    if isinstance(message, ShipmentCancellationRequested):
        return [] if state.cancelled else [ShipmentCancelled(message.order_id)]
    if state.answered or state.cancelled:
        return []
    if message.country == NOWHERE:
        return [ShipmentRefused(message.order_id, f"no carrier goes to {message.country}")]
    return [told(ShipmentCreated, message)]


def evolve(state: State, fact: Fact) -> State:
    """The state after ``fact``."""
    match fact:
        case ShipmentCreated() | ShipmentRefused():
            return replace(state, answered=True)
        case ShipmentCancelled():
            return replace(state, cancelled=True)


parcels = Decider(State(), decide, evolve, name="parcels", state_type=State)
"""How the parcel desk decides."""


class Carriers(Consumer):
    """How many parcels each country got: counts, so each parcel must count exactly once."""

    mode: ClassVar[Mode] = EffectivelyOnce()
    types = (ShipmentCreated,)
    tables = "CREATE TABLE {carriers} (country TEXT PRIMARY KEY, parcels BIGINT NOT NULL)"

    def __init__(self, settings: Settings) -> None:
        self.name = settings.group("carriers")  # type: ignore[misc]
        self.topics = settings.topics("shipment")  # type: ignore[misc]
        super().__init__()

    async def apply_batch(self, events: Sequence[Recorded[Any]], db: ConsumerConnection) -> None:
        """Count the batch, then write each country once."""
        counted = Counter(one.data.country for one in events)
        await db.execute_many(
            "INSERT INTO {carriers} (country, parcels) VALUES (:country, :parcels)"
            " ON CONFLICT (country) DO UPDATE SET parcels = {carriers}.parcels + excluded.parcels",
            [{"country": country, "parcels": n} for country, n in sorted(counted.items())],
        )


def create(settings: Settings) -> Goldseam:
    """The service with its store, its desk and its relay."""
    desk = Desk(
        settings.group("shipping"),
        settings.topics("shipment_commands"),
        parcels,
        "shipment",
        {ShipmentRequested: as_it_is, ShipmentCancellationRequested: as_it_is},
        lambda: service.store,
    )
    service = Goldseam(
        settings.store("shipping"),
        broker=settings.river,
        consumers=[desk, Carriers(settings), *best_sellers(settings)],
        relay="shipping",
        routing=routing(settings),
        member=settings.member,
    )
    return service


app = create(settings)
"""What ``goldseam run`` runs."""
