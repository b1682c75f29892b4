"""The reconciler: log = relayed = topic = applied, or the ids of what is missing or doubled.

Positions are dense, so one counter a position is enough to account for a whole log: a million
events take a few megabytes. Only what the relay has passed is owed; what is newer is lag.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID
from zlib import crc32

import msgspec

from goldseam.broker.cloudevents import Envelope, NotAnEvent, envelope_of
from goldseam.broker.port import Admin
from goldseam.broker.record import Partition, Received
from goldseam.governance.applied import Books, Owed
from goldseam.outbox.routing import Routing
from goldseam.store.event_store import EventStore
from goldseam.telemetry.signals import signals

READ_RECORDS = 2_000
READ_EVENTS = 5_000
NAMED_MAX = 100
"""Ids named for each finding unless all are asked for; the counts are always whole."""

SEEN_MAX = 255
RESENT_MAX = 100_000
"""Places that are remembered of what was sent more than once; a region switch may send it all."""


class Accounts(msgspec.Struct, frozen=True):
    """Log and topics, up to the position that is relayed.

    ``resent``: deliveries beyond the first; harmless, as consumers know them by their ids.
    ``expired``: events whose topic has dropped them by age. ``kept_inside``: routed nowhere.
    """

    position: int
    in_log: int
    kept_inside: int
    on_topics: int
    resent: int
    expired: int
    missing: int
    altered: int
    out_of_order: int
    foreign: int
    missing_ids: tuple[str, ...] = ()
    resent_ids: tuple[str, ...] = ()
    altered_ids: tuple[str, ...] = ()
    out_of_order_ids: tuple[str, ...] = ()

    @property
    def balanced(self) -> bool:
        """Whether every event that is owed is there, as it was written, in its order."""
        return not (self.missing or self.altered or self.out_of_order)


class ConsumerAccounts(msgspec.Struct, frozen=True):
    """One consumer: what it was owed, and what became of it. ``waiting``: not read yet."""

    consumer: str
    owed: int
    applied: int
    parked: int
    discarded: int
    waiting: int
    missing: int
    doubled: int
    missing_ids: tuple[str, ...] = ()
    doubled_ids: tuple[str, ...] = ()

    @property
    def balanced(self) -> bool:
        """Whether nothing is missing or doubled."""
        return not (self.missing or self.doubled)


class Ledger(msgspec.Struct, frozen=True):
    """The whole account."""

    accounts: Accounts
    consumers: tuple[ConsumerAccounts, ...]

    @property
    def balanced(self) -> bool:
        """Whether log, topics and every consumer agree."""
        return self.accounts.balanced and all(one.balanced for one in self.consumers)


class _Tally:
    """One counter and one fingerprint a position."""

    def __init__(self, cut: int) -> None:
        self.cut = cut
        self.owed = bytearray(cut + 1)
        self.seen = bytearray(cut + 1)
        self.print = array("I", bytes(4 * (cut + 1)))
        self.resent = self.foreign = self.altered = self.out_of_order = 0
        self.resent_at: dict[int, None] = {}
        self.altered_at: list[int] = []
        self.out_of_order_at: list[int] = []
        self.last_version: dict[tuple[str, str], int] = {}
        self.oldest_kept: dict[Partition, int] = {}

    def arrived(self, one: Envelope) -> bool:
        """Book a record; whether it is the first of its event."""
        at = one.position
        if not 0 < at <= self.cut:
            return False
        if self.print[at] != crc32(one.id_bytes):
            self.altered += 1
            self.altered_at.append(at)
            return False
        self.seen[at] = min(self.seen[at] + 1, SEEN_MAX)
        if self.seen[at] > 1:
            self.resent += 1
            if len(self.resent_at) < RESENT_MAX:
                self.resent_at[at] = None
            return False
        stream = one.tenant, one.stream
        if one.version < self.last_version.get(stream, 0):
            self.out_of_order += 1
            self.out_of_order_at.append(at)
        self.last_version[stream] = max(one.version, self.last_version.get(stream, 0))
        return True


async def reconcile(
    store: EventStore,
    admin: Admin,
    topics: Sequence[str],
    routing: Routing,
    *,
    source: str,
    position: int,
    books: Sequence[Books] = (),
    named_max: int = NAMED_MAX,
) -> Ledger:
    """Account for every event up to ``position``, which the relay has passed.

    Args:
        topics: every topic the relay has sent to.
        source: what the relay writes as ``ce_source``.
        books: the consumers, each with what it has applied and parked.
        named_max: ids that are named for each finding.

    Raises:
        CorruptEvent: the log itself is damaged; run ``goldseam store verify``.
        BrokerUnreachable, StoreUnavailable: try again.
    """
    tally = _Tally(position)
    await _read_log(store, routing, tally)
    for topic in topics:
        for partition, span in (await admin.spans(topic)).items():
            await _read_partition(admin, partition, span.low, span.high, source, tally, books)
    accounts = await _accounts(store, tally, named_max)
    found = tuple([_consumer_accounts(one, await one.settle(), named_max) for one in books])
    _show(accounts, found)
    return Ledger(accounts, found)


async def _read_log(store: EventStore, routing: Routing, tally: _Tally) -> None:
    after = 0
    while after < tally.cut:
        page = await store.raw_all(after=after, limit=min(READ_EVENTS, tally.cut - after))
        if not page:
            return
        for event in page:
            tally.owed[event.position] = 0 if routing(event) is None else 1
            tally.print[event.position] = crc32(event.id_bytes)
        after = page[-1].position


async def _read_partition(
    admin: Admin,
    partition: Partition,
    low: int,
    high: int,
    source: str,
    tally: _Tally,
    books: Sequence[Books],
) -> None:
    offset = low
    readers = [one for one in books if partition.topic in one.topics]
    while offset < high:
        page = await admin.read(partition, offset, min(READ_RECORDS, high - offset))
        if not page:
            return
        for record in page:
            owed = _book(record, source, tally, partition, expires=low > 0)
            if owed is not None:
                for one in readers:
                    one.owe(owed)
        offset = page[-1].offset + 1
        for one in readers:
            await one.turn()


def _book(
    record: Received, source: str, tally: _Tally, partition: Partition, *, expires: bool
) -> Owed | None:
    try:
        one = envelope_of(record)
    except NotAnEvent:
        tally.foreign += 1
        return None
    if one.source != source:
        tally.foreign += 1
        return None
    if expires:
        tally.oldest_kept.setdefault(partition, one.position)
    first = tally.arrived(one)
    if not first:
        return None
    key = one.stream if one.tenant == "main" else f"{one.tenant}/{one.stream}"
    return Owed(record, str(UUID(bytes=one.id_bytes)), one.type, key, one.version)


async def _accounts(store: EventStore, tally: _Tally, named_max: int) -> Accounts:
    kept = max(tally.oldest_kept.values(), default=0)
    absent = [at for at in range(1, tally.cut + 1) if tally.owed[at] and not tally.seen[at]]
    missing = [at for at in absent if at >= kept]
    owed = sum(tally.owed)
    return Accounts(
        position=tally.cut,
        in_log=tally.cut,
        kept_inside=tally.cut - owed,
        on_topics=sum(1 for at in range(1, tally.cut + 1) if tally.seen[at]),
        resent=tally.resent,
        expired=len(absent) - len(missing),
        missing=len(missing),
        altered=tally.altered,
        out_of_order=tally.out_of_order,
        foreign=tally.foreign,
        missing_ids=await _named(store, missing[:named_max]),
        resent_ids=await _named(store, list(tally.resent_at)[:named_max]),
        altered_ids=await _named(store, tally.altered_at[:named_max]),
        out_of_order_ids=await _named(store, tally.out_of_order_at[:named_max]),
    )


async def _named(store: EventStore, positions: Sequence[int]) -> tuple[str, ...]:
    """The ids of the events at ``positions``."""
    found = []
    for at in positions:
        page = await store.raw_all(after=at - 1, limit=1)
        found += [str(UUID(bytes=one.id_bytes)) for one in page]
    return tuple(found)


def _consumer_accounts(one: Books, counted: Mapping[str, Any], named_max: int) -> ConsumerAccounts:
    missing, doubled = counted["missing_ids"], counted["doubled_ids"]
    return ConsumerAccounts(
        one.consumer,
        counted["owed"],
        counted["applied"],
        counted["parked"],
        counted["discarded"],
        counted["waiting"],
        len(missing),
        len(doubled),
        tuple(missing[:named_max]),
        tuple(doubled[:named_max]),
    )


def _show(accounts: Accounts, found: Sequence[ConsumerAccounts]) -> None:
    signals.gauge("goldseam_ledger_missing", accounts.missing, consumer="")
    for one in found:
        signals.gauge("goldseam_ledger_missing", one.missing, consumer=one.consumer)
        signals.gauge("goldseam_ledger_doubled", one.doubled, consumer=one.consumer)
