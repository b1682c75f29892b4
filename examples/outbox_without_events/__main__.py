"""Run it: python -m examples.outbox_without_events [shop URL [broker URL [invoices URL]]]."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
from pathlib import Path

from sqlalchemy.orm import Session

from examples.outbox_without_events.invoices import Invoices
from examples.outbox_without_events.shop import (
    ORDERS,
    connected,
    engine,
    pay_with_psycopg,
    pay_with_sqlalchemy,
    pay_with_sqlite3,
)
from goldseam.consumers.runner import ConsumerRunner
from goldseam.runtime.brokers import open_broker
from goldseam.runtime.outbox_relay import OutboxRelay, prepare_outbox
from goldseam.runtime.wiring import open_database

PRICES = {"o-1": 1_200, "o-2": 800, "o-3": 500}


def sell(shop_url: str) -> int:
    """Pay three orders, and one that comes to nothing; how many rows the shop has."""
    with connected(shop_url) as connection:
        connection.execute(ORDERS)
        connection.commit()
        for order in ("o-1", "o-2"):
            if isinstance(connection, sqlite3.Connection):
                pay_with_sqlite3(connection, order, PRICES[order])
            else:
                pay_with_psycopg(connection, order, PRICES[order])
    made = engine(shop_url)
    with Session(made) as session:
        pay_with_sqlalchemy(session, "o-3", PRICES["o-3"])
        try:
            pay_with_sqlalchemy(session, "o-3", 99_999)
        except Exception as error:  # the row is there already, so the second fact goes with it
            print("refused and rolled back:", type(error).__name__)
    made.dispose()
    with connected(shop_url) as connection:
        (count,) = connection.execute("SELECT count(*) FROM orders").fetchall()[0]
    return int(count)


async def bill(broker_url: str, invoices_url: str, expected: int) -> dict[str, int]:
    """Run the consumer until it has applied what there is; the invoices."""
    broker, database = open_broker(broker_url), open_database(invoices_url)
    try:
        runner = ConsumerRunner(Invoices(), broker, database)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(runner.run())
            # Only this example ends by itself; a service goes on until it is told to stop.
            while runner.tally.applied + runner.tally.duplicates < expected:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            runner.stop()
        rows = await database.fetch("SELECT order_id, cents FROM invoices ORDER BY order_id")
        return {str(order): int(cents) for order, cents in rows}
    finally:
        await database.close()
        await broker.close()


async def main(shop_url: str, broker_url: str, invoices_url: str) -> dict[str, int]:
    """Sell, relay, bill: the invoices agree with the rows of the shop."""
    await prepare_outbox(shop_url)
    rows = await asyncio.to_thread(sell, shop_url)
    async with OutboxRelay(shop_url, broker_url, source="/shop") as relay:
        print(f"{rows} orders in the shop, {await relay.flush()} facts relayed")
    invoices = await bill(broker_url, invoices_url, rows)
    print("invoices:", invoices)
    return invoices


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        own = [f"sqlite:///{Path(folder) / name}.db" for name in ("shop", "broker", "invoices")]
        given = sys.argv[1:4]
        asyncio.run(main(*given, *own[len(given) :]))
