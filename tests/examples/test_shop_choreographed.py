"""The shop without a coordinator: the same decisions, the same ends, and the path to be seen."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from examples.shop import choreographed
from examples.shop.messages import Order, told
from examples.shop.orders.order import PlaceOrder, order
from examples.shop.payments import DECLINED_CARD, NO_REFUND_CARD
from examples.shop.settings import Settings
from examples.shop.shipping import NOWHERE
from goldseam import Goldseam
from goldseam.sagas.flows import FlowStory

SECONDS = 60.0
GOOD = Order("good", "0004", "title 001", 2, 2_933, "card", "US")
ORDERS = (
    GOOD,
    Order("many", "0004", "title 001", 21, 2_933, "card", "US"),
    Order("declined", "0004", "title 001", 2, 2_933, DECLINED_CARD, "US"),
    Order("far", "0004", "title 001", 2, 2_933, "card", NOWHERE),
)
STUCK = Order("stuck", "0004", "title 001", 2, 2_933, NO_REFUND_CARD, NOWHERE)
WHOLE = ("OrderPlaced", "InventoryReserved", "PaymentProcessed", "ShipmentCreated",
         "OrderCompleted")  # fmt: skip
TURNED_BACK = ("OrderPlaced", "InventoryReserved", "PaymentProcessed", "ShipmentRefused",
               "PaymentRefunded", "InventoryReleased", "OrderCancelled")  # fmt: skip


async def placed(orders: Goldseam, *wanted: Order) -> dict[str, str]:
    """Each order's flow: the id of its first event."""
    flows = {}
    for one in wanted:
        stream = f"order-{one.order_id}"
        await orders.handle(order, stream, told(PlaceOrder, one))
        flows[one.order_id] = str((await orders.store.read_stream(stream))[0].id)
    return flows


async def story(orders: Goldseam, flow: str) -> FlowStory:
    found = await orders.saga_list.show(f"order-flow/{flow}")
    assert isinstance(found, FlowStory)
    return found


async def all_ended(orders: Goldseam, count: int) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            found = await orders.saga_list.find(definition="order-flow")
            if sum(one.status in ("completed", "compensated") for one in found) == count:
                return
            await asyncio.sleep(0.05)


async def _flows_end(folder: Path) -> None:
    services = choreographed.create(Settings(folder=folder))
    async with AsyncExitStack() as stack:
        for one in services.values():
            await stack.enter_async_context(one)
        orders = services["orders"]
        flows = await placed(orders, *ORDERS)
        await all_ended(orders, len(ORDERS))
        stories = {name: await story(orders, flow) for name, flow in flows.items()}
        diagram = await orders.saga_list.diagram("order-flow")

    statuses = {name: one.row.status for name, one in stories.items()}
    turned = "compensated"
    assert {"good": "completed", "many": turned, "declined": turned, "far": turned} == statuses
    assert WHOLE == tuple(one.type for one in stories["good"].events)
    assert TURNED_BACK == tuple(one.type for one in stories["far"].events)
    causes = [one.causation for one in stories["far"].events]
    assert ["", *(one.event_id for one in stories["far"].events[:-1])] == causes
    assert "ShipmentRefused" in diagram


def test_every_flow_ends_and_its_path_is_seen(tmp_path: Path) -> None:
    """Each fact was caused by the one before it, across four services that share a broker only."""
    asyncio.run(_flows_end(tmp_path))


async def refused(payments: Goldseam) -> None:
    """Until the refund was refused: from then on nobody does anything."""
    async with asyncio.timeout(SECONDS):
        async for event in payments.store.follow(category="payment"):
            if event.type == "RefundRefused":
                return


async def _stuck(folder: Path) -> None:
    services = choreographed.create(Settings(folder=folder))
    async with AsyncExitStack() as stack:
        for one in services.values():
            await stack.enter_async_context(one)
        orders = services["orders"]
        flows = await placed(orders, GOOD, STUCK)
        await all_ended(orders, 1)
        await refused(services["payments"])
        stuck = await story(orders, flows["stuck"])
        good = await story(orders, flows["good"])

    assert ("running", ("ShipmentRefused",)) == (stuck.row.status, stuck.unanswered)
    assert ("completed", ()) == (good.row.status, good.unanswered)


def test_a_flow_that_nobody_ends_is_found(tmp_path: Path) -> None:
    """A refund that is refused has no coordinator to park it: the flow says what is unanswered."""
    asyncio.run(_stuck(tmp_path))
