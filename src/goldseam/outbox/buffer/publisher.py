"""Publishes for programs without a database: to the broker, or to the local buffer first.

From the guide, "Broker Unreachable". While the buffer has anything, everything goes behind it,
so records keep their order.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, Literal

from goldseam.broker.errors import BrokerUnreachable, RecordRefused
from goldseam.broker.port import Publisher
from goldseam.broker.record import Record
from goldseam.errors import CommitUnknown, Corrupt, InvalidInput, StoreUnavailable
from goldseam.outbox.buffer.errors import BufferFull
from goldseam.outbox.buffer.queue import LocalBuffer, Waiting
from goldseam.resilience.errors import BreakerOpen

BATCH_RECORDS: Final = 500
PAUSE_FIRST_SECONDS: Final = 0.1
PAUSE_MAX_SECONDS: Final = 5.0
WAITING_CALLS_MAX: Final = 10_000
"""Calls that may wait in memory for their turn; more are told that the buffer is full."""

Held = Literal["broker", "buffer"]
"""Who holds the records now: both keep them through a crash of this process."""

_UNREACHABLE = (BrokerUnreachable, BreakerOpen)
_TRY_AGAIN = (BufferFull, StoreUnavailable, CommitUnknown)

_log = logging.getLogger("goldseam.outbox")


class BufferedPublisher:
    """Takes records and keeps them: each :meth:`publish` returns when its records are durable.

    Calls that overlap are sent together, in the order of the calls. Use it as an async context
    manager; it closes neither the publisher nor the buffer's database.

    Args:
        publisher: a goldseam.outbox.guarded.GuardedPublisher, so that an outage costs few tries.
        buffer: not opened yet, or opened.
        sleep: how the drainer waits, in seconds.
    """

    def __init__(
        self,
        publisher: Publisher,
        buffer: LocalBuffer,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._publisher, self._buffer, self._sleep = publisher, buffer, sleep
        self._calls: deque[tuple[Sequence[Record], asyncio.Future[Held]]] = deque()
        self._flusher: asyncio.Task[None] | None = None
        self._drainer: asyncio.Task[None] | None = None
        self._filled = asyncio.Event()
        self._empty = asyncio.Event()

    async def __aenter__(self) -> BufferedPublisher:
        """Open the buffer and begin to drain what an earlier process left in it."""
        await self._buffer.open()
        self._mark()
        self._drainer = asyncio.create_task(self._drain())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Finish the calls that wait, then stop draining; the rest waits on disk."""
        if self._flusher is not None:
            await self._flusher
        if self._drainer is not None:
            self._drainer.cancel()
            with suppress(asyncio.CancelledError):
                await self._drainer

    async def publish(self, records: Sequence[Record]) -> Held:
        """Return when all of ``records`` are acknowledged by the broker or fsynced here.

        After any error send the same records again: they may be stored, their ids are the same.

        Raises:
            BufferFull: the broker is gone and there is no room; answer 503.
            RecordRefused: the broker will never take one of them.
            BufferTaken: another process has this buffer's file.
        """
        if self._drainer is None:
            raise InvalidInput("publish() was called before the publisher was entered: async with")
        if self._drainer.done():
            await self._drainer  # raises what stopped it
        if len(self._calls) >= WAITING_CALLS_MAX:
            why = f"{WAITING_CALLS_MAX} calls wait already"
            raise BufferFull(self._buffer.name, why, PAUSE_MAX_SECONDS)
        future: asyncio.Future[Held] = asyncio.get_running_loop().create_future()
        self._calls.append((records, future))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        return await future

    async def drained(self) -> None:
        """Return when nothing waits in the buffer."""
        await self._empty.wait()

    async def _flush(self) -> None:
        while self._calls:
            calls = [self._calls.popleft()]
            size = len(calls[0][0])
            while self._calls and size + len(self._calls[0][0]) <= BATCH_RECORDS:
                calls.append(self._calls.popleft())
                size += len(calls[-1][0])
            await self._take(calls)

    async def _take(self, calls: list[tuple[Sequence[Record], asyncio.Future[Held]]]) -> None:
        records = [record for one, _ in calls for record in one]
        try:
            held = await self._keep(records)
        except (BufferFull, RecordRefused) as error:
            if len(calls) == 1:
                _answer(calls, error)
                return
            for call in calls:  # one of them is too much or wrong: not all of them suffer
                await self._take([call])
        except Exception as error:
            _answer(calls, error)
        else:
            _answer(calls, held)

    async def _keep(self, records: Sequence[Record]) -> Held:
        if not self._buffer.records:
            try:
                await self._publisher.publish(records)
            except _UNREACHABLE:
                pass
            else:
                return "broker"
        try:
            await self._buffer.append(records)
        finally:
            self._mark()
        return "buffer"

    # -------------------------------------------------------------------------- draining

    async def _drain(self) -> None:
        failed = 0
        while True:
            await self._filled.wait()
            try:
                await self._drain_some()
                failed = 0
            except BreakerOpen as error:
                await self._sleep(error.retry_after_seconds)
            except (BrokerUnreachable, *_TRY_AGAIN):
                await self._sleep(_pause(failed))
                failed += 1

    async def _drain_some(self) -> None:
        waiting = await self._buffer.head(BATCH_RECORDS)
        if waiting:
            records = await self._whole(waiting)
            try:
                if records:
                    await self._publisher.publish(records)
            except RecordRefused as error:
                if len(waiting) > 1:
                    await self._one_by_one(waiting)
                else:
                    await self._set_aside(waiting[0], error)
            else:
                await self._forget(waiting)
        self._mark()

    async def _one_by_one(self, waiting: Sequence[Waiting]) -> None:
        for each in waiting:
            try:
                for record in await self._whole([each]):
                    await self._publisher.publish([record])
            except RecordRefused as error:
                await self._set_aside(each, error)
            else:
                await self._forget([each])

    async def _whole(self, waiting: Sequence[Waiting]) -> list[Record]:
        """The records of ``waiting``; a damaged one is set aside and left out."""
        found: list[Record] = []
        for each in waiting:
            try:
                found.append(each.record())
            except Corrupt as error:
                await self._set_aside(each, error)
        return found

    async def _set_aside(self, each: Waiting, error: Exception) -> None:
        _log.error(
            "record %d of the local buffer %s is set aside: %s",
            each.number,
            self._buffer.name,
            type(error).__name__,
        )
        await self._buffer.set_aside(each.number)

    async def _forget(self, waiting: Sequence[Waiting]) -> None:
        """Remove what is acknowledged; while the disk refuses, wait rather than send again."""
        failed = 0
        while True:
            try:
                await self._buffer.remove(waiting[0].number, waiting[-1].number)
            except _TRY_AGAIN:
                await self._sleep(_pause(failed))
                failed += 1
            else:
                return

    def _mark(self) -> None:
        if self._buffer.records:
            self._empty.clear()
            self._filled.set()
        else:
            self._filled.clear()
            self._empty.set()


def _pause(failed: int) -> float:
    return float(min(PAUSE_FIRST_SECONDS * 2 ** min(failed, 10), PAUSE_MAX_SECONDS))


def _answer(
    calls: Sequence[tuple[Sequence[Record], asyncio.Future[Held]]], answer: Held | Exception
) -> None:
    for _, future in calls:
        if future.done():  # its caller was cancelled
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
