"""How far behind a consumer is: in records, in seconds, in which direction, and until when.

Measured from outside the members, so one that hangs does not look healthy; an idle topic has no
lag, however old its last record is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import msgspec

from goldseam.broker.port import Admin
from goldseam.broker.record import Partition
from goldseam.consumers.claims import Standing, standings
from goldseam.consumers.consumer import Consumer
from goldseam.consumers.modes import EffectivelyOnce
from goldseam.database.connection import Database
from goldseam.resilience.clock import Clock
from goldseam.telemetry.signals import signals

SAMPLES_MAX = 60
"""Measurements that the trend looks back on."""

HEADROOM = 1.25
"""How much more than what arrives the advised members can apply: a lag must shrink."""

STEADY_SHARE = 0.01
"""A change below this share of what arrives is called steady."""


class PartitionLag(msgspec.Struct, frozen=True):
    """One partition: ``next_offset`` is applied next, ``high`` will be written next."""

    topic: str
    partition: int
    next_offset: int
    high: int
    records: int
    seconds: float


class Lag(msgspec.Struct, frozen=True):
    """A consumer at one moment. ``seconds``: the age of the oldest record not applied; 0 if none.

    ``at`` is on the monotonic clock; ``applied`` and ``produced`` count offsets since the topic
    began, so their differences are rates.
    """

    consumer: str
    at: float
    records: int
    seconds: float
    applied: int
    produced: int
    members: int
    partitions: tuple[PartitionLag, ...]


class Trend(msgspec.Struct, frozen=True):
    """What becomes of the lag. Rates are records per second."""

    arriving: float
    applying: float
    direction: str
    catch_up_seconds: float | None
    """Until there is no lag, at these rates; 0 without lag, None if never."""
    members_advised: int
    advice: str


async def measure(consumer: Consumer, admin: Admin, database: Database | None, clock: Clock) -> Lag:
    """Measure ``consumer`` now and show it in the signals.

    Raises:
        BrokerUnreachable, StoreUnavailable: one of the two does not answer.
    """
    found: list[PartitionLag] = []
    where = await applied_offsets(consumer, admin, database)
    now_ms = clock.now_us() // 1_000
    for topic in consumer.topics:
        for place, span in sorted((await admin.spans(topic)).items()):
            at = max(where.get(place, span.low), span.low)
            seconds = 0.0
            if at < span.high:
                oldest = await admin.read(place, at, 1)
                if oldest:
                    seconds = max(0.0, (now_ms - oldest[0].timestamp_ms) / 1_000)
            behind = max(0, span.high - at)
            found.append(PartitionLag(topic, place.number, at, span.high, behind, seconds))
    members = len(await admin.members(consumer.name))
    lag = Lag(
        consumer.name,
        clock.monotonic(),
        sum(one.records for one in found),
        max((one.seconds for one in found), default=0.0),
        sum(one.next_offset for one in found),
        sum(one.high for one in found),
        members,
        tuple(found),
    )
    signals.gauge("goldseam_consumer_lag_events", lag.records, consumer=consumer.name)
    signals.gauge("goldseam_consumer_lag_seconds", lag.seconds, consumer=consumer.name)
    return lag


async def applied_offsets(
    consumer: Consumer, admin: Admin, database: Database | None
) -> Mapping[Partition, int]:
    """Where the consumer goes on: as its database says, where the broker is only told later."""
    told = dict(await admin.offsets(consumer.name))
    if database is None or not isinstance(consumer.mode, EffectivelyOnce):
        return told
    found: list[Standing] = await database.read(lambda c: standings(c, consumer.name))
    known = {one.place: one.next_offset for one in found if one.next_offset >= 0}
    # The stored offset may stand still over records that nobody wants; the broker was told.
    return {**told, **{p: max(o, told.get(p, 0)) for p, o in known.items()}}


class Watch:
    """Remembers measurements of one consumer and says where it is going."""

    def __init__(self) -> None:
        self._samples: deque[Lag] = deque(maxlen=SAMPLES_MAX)

    def see(self, lag: Lag) -> Trend:
        """The trend up to ``lag``; shown in the signals."""
        self._samples.append(lag)
        found = trend(self._samples[0], lag)
        catch_up = -1.0 if found.catch_up_seconds is None else found.catch_up_seconds
        signals.gauge("goldseam_consumer_catch_up_seconds", catch_up, consumer=lag.consumer)
        return found


def trend(first: Lag, last: Lag) -> Trend:
    """What the rates between two measurements mean for the lag."""
    took = last.at - first.at
    if took <= 0:
        return Trend(0.0, 0.0, "unknown", None, max(1, last.members), "measure once more")
    arriving = max(0.0, (last.produced - first.produced) / took)
    applying = max(0.0, (last.applied - first.applied) / took)
    gaining = applying - arriving
    direction = "steady"
    if abs(gaining) > STEADY_SHARE * max(arriving, applying):
        direction = "shrinking" if gaining > 0 else "growing"
    catch_up: float | None = None
    if last.records == 0:
        catch_up = 0.0
    elif gaining > 0:
        catch_up = last.records / gaining
    members, advice = _advice(last, arriving, applying, direction)
    return Trend(arriving, applying, direction, catch_up, members, advice)


def _advice(last: Lag, arriving: float, applying: float, direction: str) -> tuple[int, str]:
    """How many members the consumer should have: never more than there are partitions."""
    members, most = max(1, last.members), max(1, len(last.partitions))
    if last.records == 0 or direction != "growing":
        return members, "enough members" if last.members else "no member is running; start one"
    if last.members == 0:
        return 1, "no member is running; start one"
    if applying <= 0:
        return members, (
            "nothing is applied: look at the member's failure and its database, more members "
            "would not help"
        )
    each = applying / members
    needed = -int(-arriving * HEADROOM // each)
    if needed <= most:
        return max(needed, members), f"scale out to {max(needed, members)} member(s)"
    return most, (
        f"{needed} members would be needed and there are {most} partition(s): scale out to {most}, "
        "then make the handler quicker (apply_batch) or add partitions"
    )
