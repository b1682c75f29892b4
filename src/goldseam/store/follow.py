"""Knowing that the log has grown: by this process's own commits, by the database, or by a poll."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from goldseam.database.connection import Database
from goldseam.errors import StoreUnavailable

POLL_SECONDS = 1.0
"""How long a follower trusts silence: a lost notification costs at most this."""


class Changes:
    """Wakes followers when the log may have grown."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._subscriptions: set[Subscription] = set()
        self._listener: asyncio.Task[None] | None = None
        self.highest = 0
        """The highest position this process has seen committed."""

    def committed(self, position: int) -> None:
        """This process has committed up to ``position``."""
        self.highest = max(self.highest, position)
        self._wake()

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[Subscription]:
        """Be woken until the block ends; the database is listened to while anyone is."""
        subscription = Subscription()
        self._subscriptions.add(subscription)
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen(), name="goldseam-listen")
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            if not self._subscriptions:
                await self.close()

    async def close(self) -> None:
        """Stop listening."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            try:
                async for _ in self._database.notifications():
                    self._wake()
            except StoreUnavailable:
                await asyncio.sleep(POLL_SECONDS)

    def _wake(self) -> None:
        for subscription in self._subscriptions:
            subscription.wake.set()


class Subscription:
    """One follower's alarm."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()

    async def wait(self, seconds: float = POLL_SECONDS) -> None:
        """Return when the log may have grown since the last return, or after ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                await self.wake.wait()
        except TimeoutError:
            pass
        self.wake.clear()
