"""The guide's saga, order to inventory to payment to shipment, in both kinds of steps."""

from __future__ import annotations

from collections import Counter
from typing import Any

from goldseam import Goldseam, Saga, StepRefused, asks, event, step
from goldseam.sagas.choreography import Choreography, FlowProjection
from goldseam.sagas.saga import Retry

QUICK = Retry(attempts=2, first_seconds=0.001, longest_seconds=0.002)


@event(name="test.OrderReceived")
class OrderReceived:
    """What the saga is about; ``trouble`` is ``charge:refuse,reserve/undo:fail``."""

    order: str
    trouble: str = ""


@event(name="test.ReservationRequested")
class ReservationRequested:
    """To the inventory."""

    order: str


@event(name="test.InventoryReserved")
class InventoryReserved:
    """The inventory's yes."""

    order: str


@event(name="test.InventoryRefused")
class InventoryRefused:
    """The inventory's no."""

    order: str


@event(name="test.ReleaseRequested")
class ReleaseRequested:
    """To the inventory, on the way back."""

    order: str


@event(name="test.InventoryReleased")
class InventoryReleased:
    """The inventory has taken it back."""

    order: str


@event(name="test.PaymentProcessed")
class PaymentProcessed:
    """The money is there."""

    order: str


@event(name="test.PaymentFailed")
class PaymentFailed:
    """It is not."""

    order: str


class Called(Saga[OrderReceived]):
    """Every step is a call. ``books`` is what the services have seen, by key."""

    name = "called"
    books: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.books = Counter()

    def _do(self, data: OrderReceived, key: str) -> None:
        """Refuse or fail as the order says, else take effect once for each key."""
        how = dict(one.split(":") for one in data.trouble.split(",") if one)
        match how.get(key.removeprefix(f"called/{data.order}/")):
            case "refuse":
                raise StepRefused("not today")
            case "fail":
                raise RuntimeError(f"{data.order} has failed")
        self.books[key] = 1

    @step(retry=QUICK)
    async def reserve(self, data: OrderReceived, call: Any) -> int:
        """Take it from the shelf."""
        self._do(data, call.key)
        return 7

    @reserve.compensation(retry=QUICK)
    async def release(self, data: OrderReceived, call: Any) -> None:
        """Put it back."""
        self._do(data, call.key)

    @step(retry=QUICK)
    async def charge(self, data: OrderReceived, call: Any) -> PaymentProcessed:
        """Take the money."""
        self._do(data, call.key)
        return PaymentProcessed(data.order)

    @charge.compensation(retry=QUICK)
    async def refund(self, data: OrderReceived, call: Any) -> None:
        """Give it back."""
        self._do(data, call.key)

    @step(retry=QUICK, nothing_to_undo=True)
    async def tell(self, data: OrderReceived, call: Any) -> None:
        """Tell the customer."""
        self._do(data, call.key)


class Asked(Saga[OrderReceived]):
    """The first step asks the inventory, the second is a call."""

    name = "asked"

    @asks("inventory", done=InventoryReserved, refused=InventoryRefused, timeout_seconds=30)
    def reserve(self, data: OrderReceived, call: Any) -> ReservationRequested:
        """Take it from the shelf."""
        return ReservationRequested(data.order)

    @reserve.compensation(done=InventoryReleased, timeout_seconds=10)
    def release(self, data: OrderReceived, call: Any) -> ReleaseRequested:
        """Put it back."""
        return ReleaseRequested(data.order)

    @step(retry=QUICK, nothing_to_undo=True)
    async def charge(self, data: OrderReceived, call: Any) -> None:
        """Take the money."""
        if data.trouble == "charge:refuse":
            raise StepRefused("no money")


class Reacting(Choreography):
    """The same without a coordinator."""

    name = "reacting"
    begins = ReservationRequested
    reactions = {  # noqa: RUF012
        ReservationRequested: (InventoryReserved, InventoryRefused),
        InventoryReserved: (PaymentProcessed, PaymentFailed),
        PaymentFailed: (InventoryReleased,),
    }
    completes = (PaymentProcessed,)
    compensates = (InventoryRefused, InventoryReleased)
    within_seconds = 60


def application(url: str) -> Goldseam:
    """Both kinds, in one application."""
    return Goldseam(url, projections=[FlowProjection(Reacting())], sagas=[Called(), Asked()])


app = application("sqlite:///never-opened.db")
"""For commands, which are given their store."""
