"""A coordinator of sagas as a process, to be killed or stopped; the services' books are a file.

Arguments: ``saga`` or ``naive``, the store's URL, the books, how many orders, the number of the
request to a service at which it sends itself the signal, the side of it, the signal, the length
of its lease. It says `done` when nothing is left to do.
"""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from goldseam import Goldseam, Saga, SagaPlan, StepRefused, event, step
from goldseam.sagas.saga import Call, Retry, Step
from tests.faults.relay import KillPoint
from tests.unit.sagas.services import STEPS, UNDO

REFUSED_EVERY = 3
"""Each third order cannot be shipped."""

RETRY = Retry(attempts=5, first_seconds=0.01, longest_seconds=0.05)
OPEN = ("running", "compensating")


@event(name="test.faults.OrderReceived")
class OrderReceived:
    """What a saga is about."""

    number: int


class Books:
    """What the services have done: a file of their own, which no coordinator writes for them."""

    def __init__(self, path: str | Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS effects (number INTEGER PRIMARY KEY, of INTEGER, "
            "action TEXT, key TEXT, UNIQUE (action, key))"
        )

    def do(self, of: int, action: str, key: str) -> None:
        """Take effect once for each key.

        Raises:
            StepRefused: this order cannot be shipped.
        """
        if action == "ship" and of % REFUSED_EVERY == 0:
            raise StepRefused("no carrier goes there")
        self._db.execute(
            "INSERT INTO effects (of, action, key) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (of, action, key),
        )

    def done(self, of: int) -> list[str]:
        """What has taken effect for one order, in that order."""
        sql = "SELECT action FROM effects WHERE of = ? ORDER BY number"
        return [action for (action,) in self._db.execute(sql, (of,))]

    def judge(self, orders: int) -> None:
        """Every order is done or undone, each effect once, undone in reverse order."""
        for of in range(1, orders + 1):
            done = self.done(of)
            doubled = [one for one, count in Counter(done).items() if count > 1]
            assert not doubled, f"order {of}: doubled {doubled}: {done}"
            back = [UNDO[one] for one in reversed(STEPS[:-1])]
            wanted = [*STEPS[:-1], *back] if of % REFUSED_EVERY == 0 else list(STEPS)
            assert wanted == done, f"order {of} is half done: {done}"


Request = Callable[[int, str, str], Awaitable[None]]


def _step(name: str) -> Step:
    async def forward(self: Delivery, data: OrderReceived, call: Call) -> None:
        await self.request(data.number, name, call.key)

    async def back(self: Delivery, data: OrderReceived, call: Call) -> None:
        await self.request(data.number, UNDO[name], call.key)

    forward.__name__ = name
    declared: Any = step(retry=RETRY)(forward)
    return declared.compensation(retry=RETRY)(back)  # type: ignore[no-any-return]


class Delivery(Saga[OrderReceived]):
    """order, inventory, payment, shipment."""

    name = "delivery"
    place, reserve, charge, ship = (_step(name) for name in STEPS)

    def __init__(self, request: Request) -> None:
        super().__init__()
        self.request = request


async def _saga(url: str, orders: int, request: Request, lease: str) -> None:
    plan = SagaPlan(definitions=(Delivery(request),), lease_seconds=float(lease))
    async with Goldseam(url, sagas=plan) as app:
        for number in range(1, orders + 1):
            await app.sagas.start(Delivery, OrderReceived(number), key=f"{number}")
        while not await _all_ended(app, orders):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def _all_ended(app: Goldseam, orders: int) -> bool:
    """Read from the streams: no other process's index is believed."""
    for number in range(1, orders + 1):
        if (await app.sagas.load(f"delivery/{number}")).state.open:
            return False
    return True


async def _naive(orders: int, request: Request) -> None:
    """One service after the other; what went wrong is undone, if the program lives to do it."""
    for number in range(1, orders + 1):
        done: list[str] = []
        try:
            for name in STEPS:
                await request(number, name, uuid.uuid4().hex)
                done.append(name)
        except StepRefused:
            for name in reversed(done):
                await request(number, UNDO[name], uuid.uuid4().hex)


async def main(
    what: str,
    url: str,
    books_file: str,
    orders: str,
    number: str = "0",
    side: str = "before",
    how: str = "SIGKILL",
    lease: str = "1",
) -> None:
    """Do it once, unless killed on the way."""
    point, books = KillPoint(int(number) or None, side, signal.Signals[how]), Books(books_file)

    async def request(of: int, action: str, key: str) -> None:
        async def arrive() -> StepRefused | None:
            try:
                books.do(of, action, key)
            except StepRefused as no:
                return no
            return None

        refused = await point.pass_(arrive)
        if refused is not None:
            raise refused

    if what == "naive":
        await _naive(int(orders), request)
    else:
        await _saga(url, int(orders), request, lease)
    print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
