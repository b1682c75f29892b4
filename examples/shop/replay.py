"""Customers who send the purchases of the file, several at once, and write down the answers."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from examples.shop.client import Reply, ShopClient
from examples.shop.purchases import Purchase, customer

CONNECTIONS = 12
OPEN_MAX = 600
"""Orders that may be under way: customers of a real shop do not order all at once either."""

EVERY_TWICE, EVERY_LOST = 97, 211
"""One order in so many is sent twice; for one in so many the answer is lost."""

WRONG_FACTOR = 10


class Replay:
    """Sends ``purchases``, each under a key of its own.

    Args:
        wrong: the order that is entered with ten times its price.
    """

    def __init__(self, port: int, purchases: Sequence[Purchase], *, wrong: str) -> None:
        self.port, self.wrong = port, wrong
        self.total = len(purchases)
        self.acknowledged: dict[str, int] = {}
        """Each order that was answered with 201, and its position."""
        self.lost_answers = self.sent_twice = self.replayed = self.repeated = 0
        self.unexpected: list[Reply] = []
        self._ahead = iter(purchases)
        self._known: set[str] = set()
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._ended = 0
        self._threads = [
            threading.Thread(target=self._send_all, daemon=True) for _ in range(CONNECTIONS)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until everything was sent and answered."""
        for thread in self._threads:
            thread.join()

    @property
    def placed(self) -> int:
        """How many were acknowledged."""
        return len(self.acknowledged)

    def ended(self, count: int) -> None:
        """Be told how many orders have ended: others may follow."""
        with self._room:
            self._ended = count
            self._room.notify_all()

    def _next(self) -> tuple[Purchase, bool] | None:
        with self._room:
            while self.placed - self._ended > OPEN_MAX:
                self._room.wait(timeout=1)
            purchase = next(self._ahead, None)
            if purchase is None:
                return None
            is_new = purchase.customer_id not in self._known
            self._known.add(purchase.customer_id)
            return purchase, is_new

    def _send_all(self) -> None:
        client = ShopClient(self.port)
        while (found := self._next()) is not None:
            purchase, is_new = found
            if is_new:
                path = f"/customers/{purchase.customer_id}"
                self._check(client.post(path, customer(purchase.customer_id)))
            self._order(client, purchase)
        client.close()
        with self._lock:
            self.repeated += client.repeated

    def _order(self, client: ShopClient, purchase: Purchase) -> None:
        number, key = int(purchase.order_id), f'"order-{purchase.order_id}"'
        is_wrong = purchase.order_id == self.wrong
        body = purchase.body(purchase.cents * WRONG_FACTOR if is_wrong else None)
        is_lost, twice = number % EVERY_LOST == 0, number % EVERY_TWICE == 0
        if is_lost:
            client.post_and_lose_the_answer("/orders", body, Idempotency_Key=key)
        reply = self._check(client.post("/orders", body, Idempotency_Key=key))
        if reply.status != 201:
            return
        again = self._check(client.post("/orders", body, Idempotency_Key=key)) if twice else reply
        with self._lock:
            self.acknowledged[purchase.order_id] = reply.body["position"]
            self.lost_answers += is_lost
            self.sent_twice += twice
            self.replayed += again.body["replayed"] or reply.body["replayed"]
            if again.body["position"] != reply.body["position"]:
                self.unexpected.append(again)

    def _check(self, reply: Reply) -> Reply:
        if reply.status != 201:
            with self._lock:
                self.unexpected.append(reply)
        return reply
