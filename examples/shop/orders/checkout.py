"""Takes up every order that was placed: its saga begins, once, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from examples.shop.messages import FulfilmentOpened, OrderPlaced, told
from examples.shop.orders.fulfilment import Fulfilment
from examples.shop.service import CONCURRENCY
from goldseam import Consumer, Recorded
from goldseam.consumers.connection import ConsumerConnection
from goldseam.consumers.modes import AtLeastOnce, Mode
from goldseam.sagas.desk import Sagas


class Checkout(Consumer):
    """Begins a saga for each order, under the order's id: to begin it twice is to begin it once.

    It hears of the order from the topic, not from the request: an order whose request died
    right after the append is taken up like any other.
    """

    mode: ClassVar[Mode] = AtLeastOnce(concurrency=CONCURRENCY)
    types = (OrderPlaced,)

    def __init__(self, name: str, topics: Sequence[str], sagas: Callable[[], Sagas]) -> None:
        self.name, self.topics = name, topics  # type: ignore[misc]
        self._sagas = sagas
        super().__init__()

    async def apply_batch(self, events: Sequence[Recorded[Any]], db: ConsumerConnection) -> None:
        """Begin each."""
        for event in events:
            await self._sagas().start(
                Fulfilment,
                told(FulfilmentOpened, event.data),
                key=event.data.order_id,
                causation=str(event.id),
            )
