"""Run it: python -m examples.cqrs_without_events [URL of the orders [URL of the read model]]."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from examples.cqrs_without_events.orders import Orders
from examples.cqrs_without_events.spending import SPENT, Spending
from goldseam.projections.hosted import HostedProjection
from goldseam.projections.row_source import RowSource
from goldseam.reads.read_model import ReadModel
from goldseam.runtime.wiring import open_database


async def main(orders_url: str, read_model_url: str) -> dict[str, int]:
    """Place, pay and remove orders; each read shows the write before it. What was spent."""
    write_side, read_side = open_database(orders_url), open_database(read_model_url)
    try:
        orders, source = Orders(write_side), RowSource(write_side, "orders")
        await orders.prepare()
        hosted = HostedProjection(Spending(), source, read_side)
        await hosted.prepare()
        spending = ReadModel(source, hosted.projection, read_side, advances=hosted.advances)
        running = asyncio.ensure_future(hosted.runner.run())
        await orders.place("o-1", "ada", 1_200)
        await orders.place("o-2", "ada", 800)
        await orders.place("o-3", "bob", 500)
        for order in ("o-1", "o-2", "o-3"):
            position = await orders.pay(order)
        print("paid, at position", position, await spending.fetch(SPENT, after=position, wait=10))
        position = await orders.remove("o-2")
        rows = await spending.fetch(SPENT, after=position, wait=10)
        print("one removed, at position", position, rows)
        hosted.runner.stop()
        await running
        return {str(customer): int(cents) for customer, cents in rows}
    finally:
        await read_side.close()
        await write_side.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        first = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{Path(folder) / 'orders.db'}"
        second = sys.argv[2] if len(sys.argv) > 2 else f"sqlite:///{Path(folder) / 'reads.db'}"
        asyncio.run(main(first, second))
