"""How long until a broker's disk is full, from what its topics take in and give up.

From the guide, "Disk Full": alerting and capacity planning. The rate is measured between two
looks; the size of a record is the mean of the newest ones. A topic that drops by age or by size
grows only until it holds its retention's worth.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from goldseam.broker.port import Admin, Topic
from goldseam.broker.record import Partition, Received
from goldseam.governance.broker_rules import RETENTION_CONFIG, RETENTION_DEFAULT_MS
from goldseam.telemetry.signals import signals

RETENTION_BYTES_CONFIG = "retention.bytes"
SEGMENT_BYTES_CONFIG = "segment.bytes"
SEGMENT_DEFAULT_BYTES = 1_073_741_824

SAMPLE_RECORDS = 200
RECORD_OVERHEAD_BYTES = 30
"""What a log adds to a record: offsets, times, lengths; batches share the rest."""

SECONDS_PER_DAY = 86_400.0
MS_PER_DAY = 86_400_000.0
WARN_DAYS = 14.0


class TopicCapacity(msgspec.Struct, frozen=True):
    """One topic: what it takes in, holds now, and will hold when retention balances it."""

    topic: str
    records_per_second: float
    record_bytes: float
    bytes_per_day: float
    bytes_now: float
    bytes_at_rest: float | None
    """At this rate, all copies; None when nothing is ever dropped."""


class Capacity(msgspec.Struct, frozen=True):
    """The whole broker. ``days_until_full``: None when it never will be, at these rates."""

    topics: tuple[TopicCapacity, ...]
    bytes_per_day: float
    free_bytes: int | None
    days_until_full: float | None
    verdict: str


class Look(msgspec.Struct, frozen=True):
    """The ends of all partitions at one moment (seconds on the monotonic clock)."""

    at: float
    highs: dict[Partition, int]
    lows: dict[Partition, int]


async def look(admin: Admin, names: Sequence[str], at: float) -> Look:
    """Note where every partition begins and ends now."""
    highs: dict[Partition, int] = {}
    lows: dict[Partition, int] = {}
    for name in names:
        for place, span in (await admin.spans(name)).items():
            highs[place], lows[place] = span.high, span.low
    return Look(at, highs, lows)


async def capacity(
    admin: Admin,
    topics: Sequence[Topic],
    first: Look,
    last: Look,
    free_bytes: int | None,
    *,
    brokers: int = 1,
) -> Capacity:
    """The forecast from two looks.

    Args:
        free_bytes: on the fullest disk; None when nobody looked.
        brokers: how many share the copies, evenly.
    """
    found = [await _one(admin, topic, first, last) for topic in topics]
    growing = sum(_still_growing(one) for one in found)
    days = None
    if free_bytes is not None and growing > 0:
        days = _days(found, free_bytes * brokers)
    if days is not None:
        signals.gauge("goldseam_broker_days_until_full", days)
    return Capacity(
        tuple(found),
        sum(one.bytes_per_day for one in found),
        free_bytes,
        days,
        _verdict(days, free_bytes),
    )


async def _one(admin: Admin, topic: Topic, first: Look, last: Look) -> TopicCapacity:
    places = [place for place in last.highs if place.topic == topic.name]
    seconds = max(last.at - first.at, 1e-9)
    grown = sum(last.highs[p] - first.highs.get(p, last.highs[p]) for p in places)
    held = sum(last.highs[p] - last.lows[p] for p in places)
    size = await _record_bytes(admin, places, last)
    rate, copies = grown / seconds, max(topic.replication, 1)
    per_day = rate * size * SECONDS_PER_DAY * copies
    return TopicCapacity(
        topic.name,
        rate,
        size,
        per_day,
        held * size * copies,
        _at_rest(topic, per_day, copies),
    )


def _at_rest(topic: Topic, bytes_per_day: float, copies: int) -> float | None:
    """What the topic will hold when as much is dropped as comes in; None if nothing ever is."""
    limits = []
    kept_ms = int(topic.config.get(RETENTION_CONFIG) or RETENTION_DEFAULT_MS)
    if kept_ms >= 0:
        limits.append(bytes_per_day * kept_ms / MS_PER_DAY)
    kept_bytes = int(topic.config.get(RETENTION_BYTES_CONFIG) or -1)
    if kept_bytes >= 0:  # a partition's; the segment that is written to is never dropped
        segment = int(topic.config.get(SEGMENT_BYTES_CONFIG) or SEGMENT_DEFAULT_BYTES)
        limits.append(float((kept_bytes + segment) * topic.partitions * copies))
    return min(limits, default=None)


async def _record_bytes(admin: Admin, places: Sequence[Partition], last: Look) -> float:
    """The mean size of the newest records."""
    each = max(SAMPLE_RECORDS // max(len(places), 1), 1)
    sizes = []
    for place in places:
        start = max(last.highs[place] - each, last.lows[place])
        sizes += [_size(one) for one in await admin.read(place, start, each)]
    return sum(sizes) / len(sizes) if sizes else 0.0


def _size(one: Received) -> int:
    headers = sum(len(name) + len(value) for name, value in one.headers)
    return len(one.key or b"") + len(one.value or b"") + headers + RECORD_OVERHEAD_BYTES


def _still_growing(one: TopicCapacity) -> float:
    """Bytes that will be added before retention balances the topic."""
    if one.bytes_at_rest is None:
        return one.bytes_per_day
    return max(one.bytes_at_rest - one.bytes_now, 0.0)


def _days(found: Sequence[TopicCapacity], free_bytes: int) -> float | None:
    """The first day on which growth has eaten the free space; None if retention is quicker."""
    horizon = [one for one in found if one.bytes_per_day > 0]
    ends = sorted(
        (one.bytes_at_rest - one.bytes_now) / one.bytes_per_day
        for one in horizon
        if one.bytes_at_rest is not None and one.bytes_at_rest > one.bytes_now
    )
    day, used = 0.0, 0.0
    for end in [*ends, None]:
        rate = sum(one.bytes_per_day for one in horizon if _grows_at(one, day))
        if rate <= 0:
            return None
        if end is None or used + rate * (end - day) >= free_bytes:
            return day + (free_bytes - used) / rate
        used += rate * (end - day)
        day = end
    return None


def _grows_at(one: TopicCapacity, day: float) -> bool:
    if one.bytes_at_rest is None:
        return True
    return one.bytes_now + one.bytes_per_day * day < one.bytes_at_rest - 1e-6


def _verdict(days: float | None, free_bytes: int | None) -> str:
    if free_bytes is None:
        return "unknown: the broker does not tell its free space; give --free-bytes"
    if days is None:
        return "ok: retention gives up what comes in before the disk is full"
    return f"{'ok' if days > WARN_DAYS else 'act'}: full in {days:.1f} days at the present rate"
