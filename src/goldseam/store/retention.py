"""How long idempotency keys are kept. Events are kept for ever."""

from __future__ import annotations

from datetime import timedelta

from goldseam.database.connection import Connection, Database
from goldseam.database.statements import statements
from goldseam.resilience.clock import Clock

KEY_DAYS_KEPT = 30
"""Days a key is kept unless said otherwise: longer than any client goes on retrying."""


async def prune_keys(database: Database, clock: Clock, older_than: timedelta) -> int:
    """Forget idempotency keys older than ``older_than``; returns how many.

    A retry that comes later than that is a new write, so be generous.
    """
    before_us = clock.now_us() - older_than // timedelta(microseconds=1)
    sql = statements("goldseam.store", database.dialect)

    async def operation(connection: Connection) -> int:
        before = int((await connection.fetch(sql["count_keys"]))[0][0])
        await connection.fetch(sql["prune_keys"], {"before_us": before_us})
        return before - int((await connection.fetch(sql["count_keys"]))[0][0])

    return await database.transact(operation)
