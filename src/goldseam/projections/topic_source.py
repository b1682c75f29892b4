"""Follow a store's log as its topics carry it: the same events, the same positions.

Partitions are read side by side and put in order by position. Positions are dense, so a page
ends where the next position has not arrived yet: a closed prefix, as sound as one of the store.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from goldseam.broker.cloudevents import Envelope, NotAnEvent, envelope_of
from goldseam.broker.port import Admin
from goldseam.broker.record import Partition, Received
from goldseam.events.event import RawEvent
from goldseam.events.names import category_of
from goldseam.projections.source import Alarm, Page, StoreSource
from goldseam.resilience.clock import Clock
from goldseam.store.event_store import EventStore
from goldseam.telemetry.signals import signals

READ_RECORDS = 1_000
"""Records asked of one partition at a time."""

AHEAD_EVENTS_MAX = 20_000
"""Events kept while an earlier position is missing; more are read again later."""

PATIENCE_SECONDS = 5.0
"""How long the next position may be missing before the store is asked for it."""

LOOK_SECONDS = 2.0
"""How often to look for new topics and partitions."""

POLL_SECONDS = 0.05

_log = logging.getLogger("goldseam.projections")


class TopicSource:
    """A store's log by way of its topics; what they do not hold (any more) comes from the store.

    Heads, tokens and the age of what is behind are the store's own: a projection may change
    between this source and the store without being rebuilt.

    Args:
        source: what the relay writes as ``ce_source``; records of others are passed over.
        topics: says where to read; asked again now and then, as a relay finds new ones.
    """

    def __init__(
        self,
        store: EventStore,
        admin: Admin,
        clock: Clock,
        *,
        source: str,
        topics: Callable[[], Awaitable[Sequence[str]]],
        category: str | None = None,
    ) -> None:
        self._store, self._admin, self._clock = store.tolerant(), admin, clock
        self._source, self._topics, self._category = source, topics, category
        self._by_store = StoreSource(store, category)
        self.identity = self._by_store.identity
        self._next: dict[Partition, int] = {}
        self._ahead: dict[int, RawEvent] = {}
        self._at = 0
        self._looked = float("-inf")
        self._waiting_since: float | None = None

    async def page(self, after: int, limit: int) -> Page:
        """The events above ``after`` whose positions have arrived without a hole."""
        if after != self._at or not self._next:
            await self._go_to(after)
        await self._fetch()
        ready: list[RawEvent] = []
        while len(ready) < limit and (found := self._ahead.pop(self._at + 1, None)) is not None:
            self._at += 1
            ready.append(found)
        if not ready:
            ready = await self._fill(limit)
        else:
            self._waiting_since = None
        return Page(await self._store.typed(self._wanted(ready)), self._at)

    async def _go_to(self, after: int) -> None:
        """Begin at the first record of each partition that may be above ``after``."""
        self._at, self._waiting_since = after, None
        self._ahead.clear()
        self._next.clear()
        self._looked = float("-inf")

    async def _look_for_partitions(self) -> None:
        if self._clock.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = self._clock.monotonic()
        for name in await self._topics():
            for partition, span in (await self._admin.spans(name)).items():
                if partition not in self._next:
                    start = await self._first_above(partition, span.low, span.high)
                    self._next[partition] = start

    async def _first_above(self, partition: Partition, low: int, high: int) -> int:
        """Where events above the present position begin.

        A relay sends in order and, after a failure, again in order: behind any record at or
        below the position come all those above it. Where that fails, the store fills in.
        """
        while low < high:
            middle = (low + high) // 2
            found = await self._admin.read(partition, middle, 1)
            if not found or self._position(found[0]) > self._at:
                high = middle
            else:
                low = found[0].offset + 1
        return low

    def _position(self, received: Received) -> int:
        envelope = self._ours(received)
        return 0 if envelope is None else envelope.position

    def _ours(self, received: Received) -> Envelope | None:
        try:
            envelope = envelope_of(received)
        except NotAnEvent:
            return None  # not from this store's relay: consumers park it, positions know no hole
        return envelope if envelope.source == self._source else None

    async def _fetch(self) -> None:
        if len(self._ahead) >= AHEAD_EVENTS_MAX:
            return
        await self._look_for_partitions()
        for partition, offset in list(self._next.items()):
            for received in await self._admin.read(partition, offset, READ_RECORDS):
                self._next[partition] = received.offset + 1
                envelope = self._ours(received)
                if envelope is not None and envelope.position > self._at:
                    self._ahead[envelope.position] = _raw(envelope)

    async def _fill(self, limit: int) -> list[RawEvent]:
        """Events that the topics do not hold, from the store, once waiting has been in vain."""
        now = self._clock.monotonic()
        if self._waiting_since is None:
            self._waiting_since = now
        if now - self._waiting_since < PATIENCE_SECONDS:
            return []
        if not self._ahead and await self.head() <= self._at:
            self._waiting_since = None
            return []
        until = min(self._ahead, default=self._at + limit + 1)
        found = await self._store.raw_all(after=self._at, limit=min(limit, until - self._at - 1))
        if found:
            first, last = found[0].position, found[-1].position
            _log.warning("positions %s to %s are on no topic: read from the store", first, last)
            signals.count("goldseam_topic_gaps_filled_total", len(found))
            self._at = last
        return found

    def _wanted(self, events: Sequence[RawEvent]) -> Sequence[RawEvent]:
        if self._category is None:
            return events
        return [one for one in events if category_of(one.stream) == self._category]

    async def head(self) -> int:
        """The newest position of the store."""
        return await self._by_store.head()

    async def recorded_us_after(self, position: int) -> int | None:
        """When the oldest event above ``position`` was recorded."""
        return await self._by_store.recorded_us_after(position)

    async def position_of(self, token: str | int) -> int:
        """The position that a token of the store names."""
        return await self._by_store.position_of(token)

    def subscribe(self) -> AbstractAsyncContextManager[Alarm]:
        """Look again every ``POLL_SECONDS``."""
        return _pulse()


class _Pulse:
    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, POLL_SECONDS))


@asynccontextmanager
async def _pulse() -> AsyncIterator[Alarm]:
    yield _Pulse()


def _raw(one: Envelope) -> RawEvent:
    return RawEvent(
        one.position,
        one.tenant,
        one.stream,
        one.version,
        one.type,
        one.type_version,
        one.payload,
        one.recorded_us,
        one.id_bytes,
        one.metadata_bytes,
    )
