"""order -> inventory -> payment -> shipment, once as calls and once as commands with answers."""

from __future__ import annotations

from typing import Any

from goldseam import Saga, asks, event, step
from goldseam.sagas.saga import Call, Retry
from tests.unit.sagas.services import STEPS, UNDO, Services

FORWARD = Retry(attempts=3, first_seconds=0.1, longest_seconds=1)
BACKWARD = Retry(attempts=4, first_seconds=0.1, longest_seconds=1)
TIMEOUT_SECONDS = 0.005
"""Of a call: real time passes, so it is short."""

ANSWER_SECONDS = 5.0
"""Of an answer: the clock of the test passes it."""


@event(name="test.sagas.OrderReceived")
class OrderReceived:
    """What a saga is about."""

    order: str
    amount: int = 1


@event(name="test.sagas.Requested")
class Requested:
    """A command to one of the services."""

    action: str
    key: str


@event(name="test.sagas.Granted")
class Granted:
    """A service's yes."""

    action: str


@event(name="test.sagas.Denied")
class Denied:
    """A service's no."""

    action: str


class _WithServices(Saga[OrderReceived]):
    """Both kinds have services."""

    name = "without-steps"

    def __init__(self, services: Services) -> None:
        super().__init__()
        self.services = services


class Called(_WithServices):
    """Every step is a call."""

    name = "called"

    @step(timeout_seconds=TIMEOUT_SECONDS, retry=FORWARD)
    async def place(self, data: OrderReceived, call: Call) -> None:
        await self.services.call("place", call.key)

    @place.compensation(timeout_seconds=TIMEOUT_SECONDS, retry=BACKWARD)
    async def cancel(self, data: OrderReceived, call: Call) -> None:
        await self.services.call("cancel", call.key)

    @step(timeout_seconds=TIMEOUT_SECONDS, retry=FORWARD)
    async def reserve(self, data: OrderReceived, call: Call) -> int:
        await self.services.call("reserve", call.key)
        return 7

    @reserve.compensation(timeout_seconds=TIMEOUT_SECONDS, retry=BACKWARD)
    async def release(self, data: OrderReceived, call: Call) -> None:
        await self.services.call("release", call.key)

    @step(timeout_seconds=TIMEOUT_SECONDS, retry=FORWARD)
    async def charge(self, data: OrderReceived, call: Call) -> Granted:
        await self.services.call("charge", call.key)
        return Granted("charge")

    @charge.compensation(timeout_seconds=TIMEOUT_SECONDS, retry=BACKWARD)
    async def refund(self, data: OrderReceived, call: Call) -> None:
        await self.services.call("refund", call.key)

    @step(timeout_seconds=TIMEOUT_SECONDS, retry=FORWARD)
    async def ship(self, data: OrderReceived, call: Call) -> None:
        await self.services.call("ship", call.key)

    @ship.compensation(timeout_seconds=TIMEOUT_SECONDS, retry=BACKWARD)
    async def recall(self, data: OrderReceived, call: Call) -> None:
        await self.services.call("recall", call.key)


def _asking(action: str) -> Any:
    def method(_saga: Saga[Any], _data: OrderReceived, call: Call) -> Requested:
        return Requested(action, call.key)

    method.__name__ = action
    return method


def _asked(action: str) -> Any:
    there = {"timeout_seconds": ANSWER_SECONDS, "done": Granted, "refused": Denied}
    declared = asks(f"to_{action}", retry=FORWARD, **there)(_asking(action))
    return declared.compensation(to=f"to_{action}", retry=BACKWARD, **there)(_asking(UNDO[action]))


class Asked(_WithServices):
    """Every step sends a command; all services answer with the same two words."""

    name = "asked"

    place = _asked("place")
    reserve = _asked("reserve")
    charge = _asked("charge")
    ship = _asked("ship")


TOPICS = tuple(f"to_{action}" for action in STEPS)
