"""Server-Sent Events: the log as it grows, resumable by position."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse

from goldseam.events.event import Recorded
from goldseam.http.bodies import shown
from goldseam.http.problems import Refusal
from goldseam.store.event_store import EventStore

FOLLOWERS_MAX = 100
"""Clients that may follow at once; each holds a connection."""

PING_SECONDS = 15.0
"""A comment is sent after so much silence, so that proxies keep the connection open."""

QUEUE_EVENTS = 256
"""Events waiting for a slow client; the log is read no faster than it takes them."""

_Waiting = asyncio.Queue[Recorded[Any] | None]
"""Events for one client; None ends its answer."""

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Followers:
    """Counts the clients that follow, and ends them when the server stops."""

    def __init__(self, most: int = FOLLOWERS_MAX) -> None:
        self._most, self._queues = most, set[_Waiting]()
        self._ending = asyncio.Event()

    def close(self) -> None:
        """End every answer after what it holds already; the clients resume elsewhere."""
        self._ending.set()
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()  # not sent, so the client asks for it again
            queue.put_nowait(None)

    async def rest(self, seconds: float) -> bool:
        """Wait between two parts of an endless answer; False when the server stops meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        except TimeoutError:
            return True
        return False

    def response(self, store: EventStore, after: int, category: str | None) -> Response:
        """An endless answer.

        Raises:
            Refusal: 429, too many follow already.
        """
        if len(self._queues) >= self._most:
            raise Refusal(429, "too-many-followers", "too many clients follow", Retry_After="5")
        body = self._counted(store, after, category)
        return StreamingResponse(body, headers=_HEADERS, media_type="text/event-stream")

    async def _counted(
        self, store: EventStore, after: int, category: str | None
    ) -> AsyncIterator[bytes]:
        queue: _Waiting = asyncio.Queue(QUEUE_EVENTS)
        self._queues.add(queue)
        try:
            yield b"retry: 2000\n\n"
            async with aclosing(_lines(queue, store, after, category)) as lines:
                async for line in lines:
                    yield line
        finally:
            self._queues.discard(queue)


async def _lines(
    queue: _Waiting, store: EventStore, after: int, category: str | None
) -> AsyncGenerator[bytes, None]:
    async def fill() -> None:
        async for event in store.follow(after=after, category=category):
            await queue.put(event)

    filling = asyncio.create_task(fill(), name="goldseam-sse")
    try:
        while True:
            try:
                async with asyncio.timeout(PING_SECONDS):
                    event = await queue.get()
                if event is None:
                    return
                frame = _frame(event)
            except TimeoutError:
                frame = b": ping\n\n"
            yield frame  # outside the timeout: a slow client is waited for, not cut off
            if filling.done():
                filling.result()
    finally:
        filling.cancel()
        with suppress(asyncio.CancelledError):
            await filling


def _frame(event: Recorded[Any]) -> bytes:
    name = event.type.replace("\r", " ").replace("\n", " ")
    data = msgspec.json.encode(shown(event))
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.position, name.encode(), data)
