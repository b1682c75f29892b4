"""Days until a disk is full: rates, copies, and what retention gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import pytest

from goldseam.broker.port import Admin, Span, Topic
from goldseam.broker.record import Partition, Received
from goldseam.governance.broker_capacity import (
    RECORD_OVERHEAD_BYTES,
    Capacity,
    capacity,
    look,
)

RECORD_BYTES = 1_000
SECONDS = 10.0
PER_SECOND = 100
DAY_BYTES = 86_400 * PER_SECOND * RECORD_BYTES
MS_PER_DAY = 86_400_000
PLACE = Partition("orders", 0)


class Desk:
    """One partition that grows steadily; every record has the same size."""

    def __init__(self, held: int) -> None:
        self.high = held

    async def spans(self, topic: str) -> Mapping[Partition, Span]:
        return {PLACE: Span(0, self.high)}

    async def read(self, place: Partition, offset: int, limit: int) -> Sequence[Received]:
        value = b"v" * (RECORD_BYTES - RECORD_OVERHEAD_BYTES)
        last = min(offset + limit, self.high)
        return [Received("orders", 0, n, None, value, (), 0) for n in range(offset, last)]


async def forecast(
    config: dict[str, str],
    free_bytes: int | None,
    *,
    held: int = 0,
    grows: int = PER_SECOND,
    copies: int = 1,
    brokers: int = 1,
) -> Capacity:
    """The forecast for one topic that was looked at twice."""
    desk = Desk(held)
    admin = cast(Admin, desk)
    first = await look(admin, ["orders"], 0.0)
    desk.high += int(grows * SECONDS)
    last = await look(admin, ["orders"], SECONDS)
    topic = Topic(name="orders", partitions=1, replication=copies, config=config)
    return await capacity(admin, [topic], first, last, free_bytes, brokers=brokers)


async def test_rates_and_sizes_are_measured() -> None:
    """Records a second, bytes a record, bytes a day of all copies."""
    found = (await forecast({"retention.ms": "-1"}, None, copies=3)).topics[0]
    assert (PER_SECOND, RECORD_BYTES) == (found.records_per_second, found.record_bytes)
    assert 3 * DAY_BYTES == pytest.approx(found.bytes_per_day)
    assert found.bytes_at_rest is None


@pytest.mark.parametrize("days", [0.5, 3.0, 100.0])
async def test_a_topic_that_keeps_everything_fills_the_disk(days: float) -> None:
    """Free space divided by the rate; within two weeks it is time to act."""
    found = await forecast({"retention.ms": "-1"}, int(days * DAY_BYTES))
    assert days == pytest.approx(found.days_until_full)
    assert ("act" if days <= 14 else "ok") == found.verdict.partition(":")[0]


async def test_copies_are_spread_over_the_brokers() -> None:
    """Three copies on three brokers: each disk takes one of them."""
    found = await forecast({"retention.ms": "-1"}, 2 * DAY_BYTES, copies=3, brokers=3)
    assert pytest.approx(2.0) == found.days_until_full


@pytest.mark.parametrize(
    "config",
    [
        {"retention.ms": str(2 * MS_PER_DAY)},
        {"retention.ms": "-1", "retention.bytes": str(DAY_BYTES), "segment.bytes": str(DAY_BYTES)},
        {
            "retention.ms": str(9 * MS_PER_DAY),
            "retention.bytes": str(DAY_BYTES),
            "segment.bytes": str(DAY_BYTES),
        },
    ],
    ids=["by age", "by size", "by whichever is sooner"],
)
async def test_retention_balances_the_topic_at_two_days_worth(config: dict[str, str]) -> None:
    """Room for three days: never full. Room for one: full when that is used up."""
    assert (await forecast(config, 3 * DAY_BYTES)).days_until_full is None
    assert (await forecast(config, 3 * DAY_BYTES)).verdict.startswith("ok: retention")
    assert pytest.approx(1.0, rel=1e-3) == (await forecast(config, DAY_BYTES)).days_until_full


async def test_nothing_comes_in() -> None:
    """A topic at rest fills nothing."""
    found = await forecast({"retention.ms": "-1"}, 1, held=500, grows=0)
    assert found.days_until_full is None


async def test_without_the_free_space_there_is_no_forecast() -> None:
    """It is said, not guessed."""
    found = await forecast({"retention.ms": "-1"}, None)
    assert found.days_until_full is None
    assert found.verdict.startswith("unknown")
