"""Crash a relay at every await: before and after each statement, each commit and each publish."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from goldseam.testing.faults import CrashingDatabase, CrashPoint, crash_points, until_crash
from tests.crashes.outside import query
from tests.support.relays import (
    CrashingPublisher,
    checkpoint,
    delivered,
    firsts,
    log,
    logged,
    relay_of,
    sender,
)

EVENTS = 9
BATCH_EVENTS = 3


async def test_a_crash_at_any_await_of_a_relay_loses_nothing_and_keeps_the_order(
    store_url: str, tmp_path: Path
) -> None:
    """The next relay completes the topic: every event, by its own id, in stream order."""
    broker_url = f"sqlite:///{tmp_path / 'broker.db'}"
    crashes = doubles = 0
    async with log(store_url, EVENTS) as store, sender(broker_url) as publisher:
        await relay_of(store, publisher).flush()  # the tables are there, of both sides
        expected = firsts(logged(store_url))

        async def crash(point: CrashPoint) -> None:
            query(store_url, "UPDATE goldseam_relay_checkpoints SET position = 0")
            query(broker_url, "DELETE FROM goldseam_records")
            base: Any = CrashingDatabase(cast(Any, store.database), point)
            one = relay_of(
                store, CrashingPublisher(publisher, point), base, batch_events=BATCH_EVENTS
            )
            await until_crash(point, one.flush())

        async for _ in crash_points(crash):
            crashes += 1
            stood = checkpoint(store_url)
            assert {f.event_id for f in logged(store_url)[:stood]} <= {
                f.event_id for f in delivered(broker_url)
            }
            await relay_of(store, publisher).flush()
            found = delivered(broker_url)
            assert expected == firsts(found)
            assert EVENTS == checkpoint(store_url)
            doubles += len(found) - EVENTS
    assert crashes > 15
    assert doubles > 0
