"""A projection over the million events with a batch handler: totals for each currency and day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from benchmarks.payload import OrderPlaced, registry
from goldseam import Goldseam, Projection, Recorded
from goldseam.projections.connection import ProjectionConnection


class Turnover(Projection):
    """One row for each stream: how many orders, how much money."""

    name = "turnover"
    types = (OrderPlaced,)
    tables = "CREATE TABLE {turnover} (stream TEXT PRIMARY KEY, orders BIGINT, total BIGINT)"

    async def apply_batch(self, events: Sequence[Recorded[Any]], db: ProjectionConnection) -> None:
        """Add a page up in memory, then write each row once."""
        orders, totals = Counter[str](), Counter[str]()
        for event in events:
            orders[event.stream] += 1
            totals[event.stream] += event.data.total
        await db.execute_many(
            "INSERT INTO {turnover} VALUES (:stream, :orders, :total)"
            " ON CONFLICT (stream) DO UPDATE SET orders = {turnover}.orders + excluded.orders,"
            " total = {turnover}.total + excluded.total",
            [{"stream": s, "orders": orders[s], "total": totals[s]} for s in orders],
        )


async def rebuild(url: str) -> float:
    """Events per second of a rebuild of the whole log beside the live projection."""
    async with Goldseam(url, projections=[Turnover()], registry=registry, run=False) as app:
        hosted = app.projections["turnover"]
        head = await app.store.head()
        await hosted.runner.catch_up()
        start = perf_counter()
        await hosted.rebuild(force=True)
        seconds = perf_counter() - start
        rows = await app.fetch("turnover", "SELECT sum(orders) FROM turnover")
        assert int(rows[0][0]) == head, (rows, head)
        return head / seconds
