"""Relays a log to its topics: in order, at least once, one relay a shard at a time.

From the guide, "Message Lost Before Send": the crash between commit and publish loses nothing,
because what is published is read from what is committed. The event id is the idempotency key
and the same on every retry ("Duplicate Send on Retry").
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from goldseam.broker.errors import BrokerUnreachable
from goldseam.broker.port import Publisher
from goldseam.database.connection import Database
from goldseam.errors import CommitUnknown, StoreUnavailable
from goldseam.leadership.errors import LeaseLost
from goldseam.leadership.fencing import Fence
from goldseam.leadership.lease import Leases
from goldseam.outbox import checkpoint
from goldseam.outbox.errors import RelayFenced
from goldseam.outbox.sources import Batch, RelaySource
from goldseam.outbox.status import RelayStatus, lease_of, relay_status
from goldseam.outbox.topics import in_flight_max
from goldseam.resilience.clock import Clock
from goldseam.store.follow import Subscription
from goldseam.telemetry.signals import signals

BATCH_EVENTS = 2_000
IN_FLIGHT_BYTES_MAX = 33_554_432
"""Values of batches that are not yet acknowledged: what a relay holds in memory, and sends again
after an outage. One batch may be larger."""

LEASE_SECONDS = 10.0
RENEWALS_IN_A_LEASE = 3
STANDBY_SECONDS = 1.0
CHECKPOINT_SECONDS = 0.2
"""How often the checkpoint is written in a backlog; a crash repeats what lies between."""

IDLE_SECONDS = 1.0
MEASURE_SECONDS = 1.0
RETRY_PAUSE_SECONDS = 0.1
RETRY_PAUSE_SECONDS_MAX = 5.0

_TRY_AGAIN = (BrokerUnreachable, StoreUnavailable, CommitUnknown)

_log = logging.getLogger("goldseam.outbox")


class _Sent(NamedTuple):
    """A batch on its way, and the bytes of its values."""

    batch: Batch
    size: int
    acknowledged: asyncio.Future[None]


def _size(batch: Batch) -> int:
    return sum(len(one.value or b"") for one in batch.records)


class Relay:
    """One shard's relay. Start as many as you like: one leads, the others stand by.

    Args:
        name: stable; it is the key of the checkpoints and leases.
        database: where checkpoints and leases are: the source's own.
        holder: names this process; two processes must not share it.
        source: what is relayed; see goldseam.outbox.sources.
        wanted: whether this process should lead now; see goldseam.outbox.shards.
    """

    def __init__(
        self,
        name: str,
        source: RelaySource,
        publisher: Publisher,
        database: Database,
        clock: Clock,
        *,
        holder: str,
        shard: int = 0,
        shards: int = 1,
        lease_seconds: float = LEASE_SECONDS,
        batch_events: int = BATCH_EVENTS,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self.name, self.shard, self.shards = name, shard, shards
        self._source, self._publisher = source, publisher
        self._database, self._clock, self._holder = database, clock, holder
        self._leases = Leases(database, clock)
        self._lease_seconds, self._batch_events = lease_seconds, batch_events
        self._wanted, self._in_flight_max = wanted, in_flight_max(publisher)
        self._stopping = asyncio.Event()
        self._prepared = False
        self._position = 0
        self._stored = 0
        self._stored_at = 0.0
        self._renewed_at = 0.0
        self._measured_at = float("-inf")
        self.failure: str | None = None
        """Why it is not going on at the moment; None while all is well or it stands by."""
        self.leads = False

    @property
    def lease_name(self) -> str:
        """The lease that makes it the one active relay of its shard."""
        return lease_of(self.name, self.shard)

    def stop(self) -> None:
        """Finish the batch that is being sent, write the checkpoint, give the lease back."""
        self._stopping.set()

    async def prepare(self) -> None:
        """Make or upgrade the tables, once."""
        if self._prepared:
            return
        await self._leases.prepare()
        await self._database.transact(lambda c: checkpoint.apply_tables(c, self._clock))
        self._prepared = True

    async def run(self) -> None:
        """Lead when nobody else does, until stopped; outages are waited for.

        Raises:
            ShardsChanged: its checkpoints are of another number of shards.
            RecordRefused: the broker will never take an event: too large, or no such topic.
        """
        self._stopping.clear()
        failures = 0
        while not self._stopping.is_set():
            try:
                await self.prepare()
                fence = await self._acquired() if self._wanted() else None
                if fence is None:
                    await self._rest(STANDBY_SECONDS)
                    continue
                await self._lead(fence)
                failures = 0
            except (LeaseLost, RelayFenced) as error:
                _log.warning("relay %s/%d stands by: %s", self.name, self.shard, error)
                await self._rest(STANDBY_SECONDS)
            except _TRY_AGAIN as error:
                failures += 1
                self._say(error)
                await self._rest(self._pause(failures))

    async def flush(self) -> int:
        """Relay what there is now and return the position.

        Raises:
            LeaseLost: another relay leads; it will relay it.
            BrokerUnreachable, StoreUnavailable: try again.
        """
        await self.prepare()
        fence = await self._acquired()
        if fence is None:
            raise LeaseLost(f"another process leads {self.lease_name!r}; it relays what there is")
        try:
            await self._take_over(fence)
            await self._catch_up(fence)
            await self._write(fence)
        finally:
            await self._leases.release(fence)
        return self._position

    async def _acquired(self) -> Fence | None:
        return await self._leases.acquire(self.lease_name, self._holder, self._lease_seconds)

    @property
    def _on(self) -> bool:
        return self._wanted() and not self._stopping.is_set()

    async def _lead(self, fence: Fence) -> None:
        """Relay until stopped or overtaken."""
        await self._take_over(fence)
        self.leads = True
        try:
            async with self._source.subscribe() as changed:
                failures = 0
                while self._on:
                    try:
                        await self._catch_up(fence)
                        failures, self.failure = 0, None
                    except _TRY_AGAIN as error:
                        failures += 1
                        signals.count("goldseam_relay_retries_total")
                        self._say(error)
                        self._position = self._stored
                        with suppress(*_TRY_AGAIN):  # an outage is when the backlog is looked at
                            await self._measure()
                        await self._rest(self._pause(failures))
                        await self._renew(fence)
                        continue
                    await self._measure()
                    await self._renew(fence)
                    await self._wait(changed)
            await self._write(fence)
        finally:
            self.leads = False
            with suppress(StoreUnavailable, CommitUnknown):
                await self._leases.release(fence)

    async def _take_over(self, fence: Fence) -> None:
        now_us = self._clock.now_us()
        self._position = self._stored = await self._database.transact(
            lambda c: checkpoint.claim(c, self.name, self.shard, self.shards, fence, now_us)
        )
        self._renewed_at = self._stored_at = self._clock.monotonic()

    async def _catch_up(self, fence: Fence) -> None:
        """Send batch after batch, a few on their way at once and the next one read meanwhile."""
        flight: deque[_Sent] = deque()
        asked = self._position
        ahead = self._ask(asked)
        try:
            while self._on:
                batch = await ahead
                if batch.position == asked:
                    break
                asked = batch.position
                ahead = self._ask(asked)
                await asyncio.sleep(0)  # let the next one be asked for before this one is sent
                await self._renew(fence)
                sending = asyncio.ensure_future(self._send(batch))
                flight.append(_Sent(batch, _size(batch), sending))
                await asyncio.sleep(0)  # handed over before the next one is
                while self._is_full(flight):
                    await self._acknowledged(flight, fence)
            while flight:
                await self._acknowledged(flight, fence)
        finally:
            left: list[asyncio.Future[Any]] = [ahead, *(one.acknowledged for one in flight)]
            for one in left:
                one.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        await self._write(fence)

    def _is_full(self, flight: deque[_Sent]) -> bool:
        if len(flight) >= self._in_flight_max:
            return True
        return len(flight) > 1 and sum(one.size for one in flight) > IN_FLIGHT_BYTES_MAX

    async def _send(self, batch: Batch) -> None:
        if batch.records:
            await self._publisher.publish(batch.records)
            signals.count("goldseam_outbox_published_total", len(batch.records))

    async def _acknowledged(self, flight: deque[_Sent], fence: Fence) -> None:
        """Wait for the oldest batch on its way; the checkpoint never passes one that is not."""
        await flight[0].acknowledged
        self._position = flight.popleft().batch.position
        if self._clock.monotonic() - self._stored_at >= CHECKPOINT_SECONDS:
            await self._write(fence)

    def _ask(self, after: int) -> asyncio.Future[Batch]:
        limit, shard, shards = self._batch_events, self.shard, self.shards
        return asyncio.ensure_future(self._source.batch(after, limit, shard, shards))

    async def _write(self, fence: Fence) -> None:
        """Store the checkpoint, if it moved; refused for any but the newest token."""
        self._stored_at = self._clock.monotonic()
        if self._position == self._stored:
            return
        position, now_us = self._position, self._clock.now_us()
        await self._database.transact(
            lambda c: checkpoint.advance(c, self.name, self.shard, fence, position, now_us)
        )
        self._stored = position

    async def _renew(self, fence: Fence) -> None:
        """Hold the lease; who has not managed to for its whole length sends nothing more."""
        since = self._clock.monotonic() - self._renewed_at
        if since < self._lease_seconds / RENEWALS_IN_A_LEASE:
            return
        await self._leases.renew(fence, self._lease_seconds)
        self._renewed_at = self._clock.monotonic()

    async def _measure(self) -> None:
        if self._clock.monotonic() - self._measured_at < MEASURE_SECONDS:
            return
        self._measured_at = self._clock.monotonic()
        status = await self.status()
        labels = {"relay": self.name, "shard": str(self.shard)}
        signals.gauge("goldseam_outbox_pending", status.pending, **labels)
        signals.gauge("goldseam_outbox_oldest_seconds", status.oldest_seconds, **labels)

    async def status(self) -> RelayStatus:
        """How far the shard is, and who leads it; whoever asks need not be the one."""
        await self.prepare()
        return await relay_status(
            self.name, self._source, self._database, self._clock, self.shard, self.shards
        )

    async def _wait(self, changed: Subscription) -> None:
        """Until the log may have grown; stopping ends it too."""
        waiting = asyncio.ensure_future(changed.wait(IDLE_SECONDS))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait([waiting, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in (waiting, stopping):
                one.cancel()
            await asyncio.gather(waiting, stopping, return_exceptions=True)

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    def _pause(self, failures: int) -> float:
        jitter = 0.5 + (self._clock.now_us() % 1_000) / 1_000
        doubled = RETRY_PAUSE_SECONDS * 2.0 ** min(failures - 1, 16)
        return float(min(doubled, RETRY_PAUSE_SECONDS_MAX) * jitter)

    def _say(self, error: Exception) -> None:
        words = f"{type(error).__name__}: {error}"
        if words != self.failure:
            _log.warning("relay %s/%d tries again: %s", self.name, self.shard, words)
        self.failure = words
