"""The best Python peer, eventsourcing 9.5, at its best, beside ours in the same run."""

from __future__ import annotations

import asyncio
import threading
import uuid
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from benchmarks.measure import Run, Scenario, Stopwatch
from benchmarks.payload import OrderPlaced, order
from benchmarks.postgres import WRITERS, Postgres

FIELDS = OrderPlaced.__struct_fields__


def scenarios(postgres: Postgres) -> list[Scenario]:
    """Ours beside both modes of the peer; the ratio is to the faster one."""
    return [
        Scenario(
            "PostgreSQL: 32 writers beside eventsourcing 9.5",
            8.0,
            postgres.ours(WRITERS, 1),
            {
                "eventsourcing 9.5 app.save": _peer(postgres, functions=False),
                "eventsourcing 9.5 app.save, database functions": _peer(postgres, functions=True),
            },
        )
    ]


def _peer(postgres: Postgres, *, functions: bool) -> Run:
    async def run() -> float:
        return await asyncio.to_thread(_run, postgres, functions)

    return run


def _run(postgres: Postgres, functions: bool) -> float:
    from eventsourcing.application import Application

    parts = urlsplit(postgres.base)
    app: Any = Application(
        env={
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": parts.path.lstrip("/"),
            "POSTGRES_HOST": parts.hostname or "127.0.0.1",
            "POSTGRES_PORT": str(parts.port or 5432),
            "POSTGRES_USER": parts.username or "postgres",
            "POSTGRES_PASSWORD": parts.password or "none",
            "POSTGRES_SCHEMA": postgres.schema,
            "POSTGRES_POOL_SIZE": str(WRITERS),
            "POSTGRES_MAX_OVERFLOW": str(WRITERS),
            "POSTGRES_ENABLE_DB_FUNCTIONS": "y" if functions else "n",
            "APPLICATION_NAME": f"peer{'f' if functions else 't'}",
        }
    )
    kind = _aggregate()
    counts = [0] * WRITERS
    aggregates = [kind(uuid.uuid4()) for _ in range(WRITERS)]
    app.save(*aggregates)
    watch = Stopwatch(postgres.seconds)

    def writer(n: int) -> None:
        while watch.running:
            placed = order(counts[n])
            aggregates[n].place(**{name: getattr(placed, name) for name in FIELDS})
            app.save(aggregates[n])
            counts[n] += 1

    threads = [threading.Thread(target=writer, args=(n,)) for n in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = watch.rate(sum(counts))
    app.close()
    return rate


@cache
def _aggregate() -> Any:
    from eventsourcing.domain import Aggregate, event

    class Basket(Aggregate):
        @event("Started")
        def __init__(self, key: uuid.UUID) -> None:
            self.total = 0

        @event("OrderPlaced")
        def place(
            self,
            order_id: str,
            customer: str,
            total: int,
            currency: str,
            lines: list[str],
            address: str,
            note: str,
            placed_by: str,
        ) -> None:
            self.total = total

    return Basket
