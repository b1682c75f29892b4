"""The payments service: charges cards and gives money back.

``goldseam run examples.shop.payments:app``
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from examples.shop.messages import (
    OrderPriceCorrected,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    PaymentRequested,
    PriceAgreed,
    RefundRefused,
    RefundRequested,
    told,
)
from examples.shop.service import Desk, as_it_is, routing
from examples.shop.settings import Settings, settings
from goldseam import Consumer, Decider, Goldseam, Recorded
from goldseam.consumers.connection import ConsumerConnection
from goldseam.consumers.modes import EffectivelyOnce, Mode

CARD = "card"
DECLINED_CARD = "card-declined"
NO_REFUND_CARD = "card-closed-since"
"""Test cards, as the banks of cards have them: what they do is written on them."""

NOT_FULFILLED, PRICE_CORRECTED = "the order was not fulfilled", "the price was corrected"
"""Why money goes back."""

Message = PaymentRequested | RefundRequested | OrderPriceCorrected
Fact = PaymentProcessed | PaymentFailed | PaymentRefunded | RefundRefused | PriceAgreed


@dataclass(frozen=True)
class State:
    """What was paid for one order, and what went back."""

    card: str = ""
    charged: int = 0
    refunded: int = 0
    answered: bool = False
    undone: bool = False
    agreed: int | None = None


def decide(message: Message, state: State) -> list[Fact]:
    """The facts that follow from ``message``; none where they are there already."""
    match message:
        case PaymentRequested():
            return _charged(message, state)
        case RefundRequested(order_id=order_id):
            if state.undone:
                return []
            if state.card == NO_REFUND_CARD:
                return [RefundRefused(order_id, "the card was closed")]
            left = state.charged - state.refunded
            return [PaymentRefunded(order_id, left, NOT_FULFILLED)]
        case OrderPriceCorrected(order_id=order_id, corrected_cents=cents):
            if not state.answered:
                return [PriceAgreed(order_id, cents)]
            too_much = state.charged - state.refunded - cents
            if too_much <= 0:  # who paid too little keeps the gift
                return []
            return [PaymentRefunded(order_id, too_much, PRICE_CORRECTED)]


def _charged(wanted: PaymentRequested, state: State) -> list[Fact]:
    if state.answered or state.undone:
        return []
    if wanted.card == DECLINED_CARD:
        return [PaymentFailed(wanted.order_id, "the card was declined")]
    paid = told(PaymentProcessed, wanted)
    if state.agreed is not None:
        paid = PaymentProcessed(
            wanted.order_id,
            wanted.customer_id,
            wanted.title,
            wanted.quantity,
            state.agreed,
            wanted.card,
            wanted.country,
        )
    return [paid]


def evolve(state: State, fact: Fact) -> State:
    """The state after ``fact``."""
    match fact:
        case PaymentProcessed():
            return replace(state, answered=True, card=fact.card, charged=fact.cents)
        case PaymentFailed():
            return replace(state, answered=True)
        case PaymentRefunded():
            refunded = state.refunded + fact.cents
            return replace(state, refunded=refunded, undone=refunded == state.charged)
        case PriceAgreed():
            return replace(state, agreed=fact.cents)
        case RefundRefused():
            return state


till = Decider(State(), decide, evolve, name="till", state_type=State)
"""How the till decides."""


class Takings(Consumer):
    """What each customer has paid and got back: sums, so each payment must count exactly once."""

    mode: ClassVar[Mode] = EffectivelyOnce()
    types = (PaymentProcessed, PaymentRefunded)
    tables = """
        CREATE TABLE {takings} (
            place INTEGER PRIMARY KEY,
            cents_in BIGINT NOT NULL,
            cents_back BIGINT NOT NULL
        )
    """

    def __init__(self, settings: Settings) -> None:
        self.name = settings.group("takings")  # type: ignore[misc]
        self.topics = settings.topics("payment")  # type: ignore[misc]
        super().__init__()

    async def apply_batch(self, events: Sequence[Recorded[Any]], db: ConsumerConnection) -> None:
        """Add the batch's sums up, then write them once."""
        sums = Counter[type]()
        for one in events:
            sums[type(one.data)] += one.data.cents
        await db.execute(
            "INSERT INTO {takings} (place, cents_in, cents_back) VALUES (1, :paid, :back)"
            " ON CONFLICT (place) DO UPDATE SET cents_in = {takings}.cents_in + excluded.cents_in,"
            " cents_back = {takings}.cents_back + excluded.cents_back",
            {"paid": sums[PaymentProcessed], "back": sums[PaymentRefunded]},
        )


def create(settings: Settings) -> Goldseam:
    """The service with its store, its desk and its relay."""
    desk = Desk(
        settings.group("payments"),
        settings.topics("payment_commands", "order"),
        till,
        "payment",
        {
            PaymentRequested: as_it_is,
            RefundRequested: as_it_is,
            OrderPriceCorrected: as_it_is,
        },
        lambda: service.store,
    )
    service = Goldseam(
        settings.store("payments"),
        broker=settings.river,
        consumers=[desk, Takings(settings)],
        relay="payments",
        routing=routing(settings),
        member=settings.member,
    )
    return service


app = create(settings)
"""What ``goldseam run`` runs."""
