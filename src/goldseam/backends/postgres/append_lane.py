"""The append lane: the connection that does nothing but append, one batch at a time."""

from __future__ import annotations

from psycopg import errors

from goldseam.backends.postgres.append import (
    APPEND,
    APPEND_CAREFULLY,
    APPEND_ONE,
    is_lone_event,
    lone_parameters,
    parameters,
)
from goldseam.backends.postgres.lane import Lane
from goldseam.backends.postgres.results import batch_verdicts, lone_verdict
from goldseam.store.batch import Batch, Verdict


async def append(lane: Lane, batch: Batch) -> list[Verdict]:
    """Send ``batch`` in one statement; a lone event takes the short way first.

    Raises:
        psycopg.Error: the server refused it, or the connection is lost.
    """
    way = APPEND
    if is_lone_event(batch):
        verdict = lone_verdict(await lane.execute(APPEND_ONE, lone_parameters(batch)))
        if verdict is not None:
            return verdict
        way = APPEND_CAREFULLY
    values = parameters(batch)
    try:
        return batch_verdicts(batch, await lane.execute(way, values))
    except errors.UniqueViolation:
        if way is APPEND_CAREFULLY:
            raise
    return batch_verdicts(batch, await lane.execute(APPEND_CAREFULLY, values))
