"""What goes wrong in the demo, on purpose, while customers order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from examples.shop import purchases
from examples.shop.books import rows
from examples.shop.client import Reply, ShopClient
from examples.shop.ledger import look, sums
from examples.shop.processes import Processes
from examples.shop.replay import WRONG_FACTOR
from examples.shop.settings import Settings
from examples.shop.show import say
from goldseam.broker.record import Record
from goldseam.runtime.brokers import open_broker

POISON = b'{"orderId": "poison", "cents": '
SHOWN = 600
LETTERS = "SELECT count(*) FROM goldseam_dead_letters"


class Scene(NamedTuple):
    """The shop's processes, and somebody who speaks to it."""

    shop: Processes
    client: ShopClient


class BrokenPromise(Exception):
    """The shop does not do what it promises."""


def kill_payments(at: Scene) -> None:
    """A consumer dies in the middle of its work, and is started again."""
    at.shop.kill("payments")
    at.shop.start("payments")
    say("Killed: the payments service got SIGKILL with charges under way, and was started again.")


def poison(at: Scene) -> None:
    """Somebody writes something to the topic of the charges that is no message at all."""
    asyncio.run(_publish_poison(at.shop.settings))
    wait_until(lambda: _letters(at.shop.settings) > 0, "a poison message must become a dead letter")
    say("Poison: half a message on the topic of the charges is a dead letter of payments now; "
        "those behind it go on.")  # fmt: skip


def rebuild(at: Scene) -> None:
    """The list of orders is built anew beside the live one."""
    before = at.client.get("/read-models").body["orders"]["colour"]
    answer = at.client.post("/read-models/orders/rebuild")
    expect(answer.status == 202, "a rebuild must be accepted", answer)
    wait_until(
        lambda: at.client.get("/read-models").body["orders"]["colour"] != before,
        "a rebuild must end",
    )
    say(f"Rebuild: the list of orders was built anew while customers ordered; the new rows "
        f"are live (colour {before} before, the other one now).")  # fmt: skip


def read_your_own_write(at: Scene, customer: str) -> None:
    """A reader who asks for a write that is not shown yet is told to come back."""
    at.client.post("/read-models/orders/pause")
    written = at.client.post(f"/customers/{customer}", purchases.customer(customer))
    target = written.body["position"]
    early = at.client.get(f"/orders?after={target}")
    at.client.post("/read-models/orders/resume")
    expect(early.status == 503, "a read model that is behind must answer 503", early)
    late = at.client.get(f"/orders?after={target}", Prefer="wait=30")
    expect(late.status == 200, "the read model must get there", late)
    say(f"Read your own write: GET /orders?after={target} while the list stands still: 503, "
        f"Retry-After {early.headers['retry-after']} s; and when it goes on: 200.")  # fmt: skip


def heal_price(at: Scene, order: str) -> None:
    """An order was entered with ten times its price, and charged: it is healed."""
    wait_until(lambda: _status(at.client, order) == "completed", f"order {order} must be completed")
    event = at.client.get(f"/store/streams/order-{order}").body["events"][0]
    wrong = event["data"]["cents"]
    asked = {
        "eventId": event["id"], "set": {"cents": wrong // WRONG_FACTOR},
        "reason": "a zero too many", "ticket": "SHOP-12", "correctedBy": "clerk-7",
    }  # fmt: skip
    look = at.client.post("/heal", {**asked, "dryRun": True})
    expect(look.status == 200, "a dry run must answer 200", look)
    done = at.client.post("/heal", asked)
    expect(done.status == 201, "a healing must answer 201", done)
    right = wrong // WRONG_FACTOR
    wait_until(
        lambda: at.client.get(f"/orders/{order}").body["cents"] == right, "the list must show it"
    )
    say(f"Healing: order {order} was entered and charged with {wrong} cents; OrderPriceCorrected "
        f"(SHOP-12) says {right}, and payments gives {wrong - right} back.")  # fmt: skip


def forget(at: Scene, customer: str) -> None:
    """A customer asks to be forgotten: their key is destroyed, the facts stay."""
    known = at.client.get(f"/customers/{customer}")
    expect(known.status == 200, "a customer must be known", known)
    done = at.client.post("/privacy/forget", {"subjects": [customer], "reason": "asked for it"})
    expect(done.status == 200, "forgetting must be answered", done)
    wait_until(
        lambda: at.client.get(f"/customers/{customer}").body["name"] == "[forgotten]",
        "a forgotten customer must be gone from the list",
    )
    again = at.client.post(
        f"/customers/{customer}", {"name": "Back Again", "email": "b@example.org"}
    )
    expect(again.status >= 400, "an append about the forgotten must be refused", again)
    say(f"Forgetting: customer {customer} was {known.body['name']!r} and is '[forgotten]' now; "
        f"their orders still count; a new event about them gets {again.status}.")  # fmt: skip


def caught_up(settings: Settings, wrong: str) -> None:
    """Wait until the refund for the healed price is stored, and the sums have it."""
    paid = f"SELECT count(*) FROM goldseam_events WHERE stream = 'payment-{wrong}'"
    wait_until(lambda: rows(settings, "payments", paid)[0][0] > 1, "the price must be refunded")
    wait_until(lambda: sums_agree(settings), "the sums must catch up")


def sums_agree(settings: Settings) -> bool:
    """Whether what the services count for themselves has caught up with their facts."""
    return not sums(settings, look(settings))


def expect(holds: bool, claim: str, reply: Reply | None) -> None:
    """End the demo when the shop does not do what it promises.

    Raises:
        BrokenPromise: it does not.
    """
    if not holds:
        raise BrokenPromise(f"{claim}; the shop said {str(reply)[:SHOWN]}")


def wait_until(ready: Callable[[], Any], claim: str, seconds: float = 90) -> None:
    """Wait for ``ready``.

    Raises:
        BrokenPromise: it was not in time.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise BrokenPromise(f"{claim}, and in {seconds} s did not")
        time.sleep(0.05)


def _status(client: ShopClient, order: str) -> str | None:
    found = client.get(f"/orders/{order}")
    return None if found.status != 200 else found.body["status"]


def _letters(settings: Settings) -> int:
    return int(rows(settings, "payments", LETTERS)[0][0])


async def _publish_poison(settings: Settings) -> None:
    broker = open_broker(settings.river)
    try:
        publisher = await broker.publisher("somebody")
        topic = settings.topic("payment_commands")
        await publisher.publish([Record(topic, b"poison", POISON)])
        await publisher.close()
    finally:
        await broker.close()
