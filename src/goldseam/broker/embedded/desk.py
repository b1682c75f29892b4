"""The embedded broker's way to its database: its errors become a broker's, writes wake readers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from goldseam.broker.errors import BrokerUnreachable
from goldseam.database import schema
from goldseam.database.connection import Connection, Database
from goldseam.errors import CommitUnknown, StoreFull, StoreUnavailable
from goldseam.resilience.clock import Clock
from goldseam.telemetry.signals import signals

PACKAGE, PART = "goldseam.broker", "broker"

T = TypeVar("T")
Operation = Callable[[Connection], Coroutine[Any, Any, T]]


class Desk:
    """One process's access to the tables of an embedded broker."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database, self._clock = database, clock
        self._made = False
        self._making = asyncio.Lock()
        self._written = asyncio.Event()
        self.writes = 0
        """Counts what this process has published, so that its own readers need not poll."""

    async def transact(self, operation: Operation[T]) -> T:
        """Run ``operation`` in one write transaction.

        Raises:
            BrokerUnreachable: it did not commit, or nobody knows whether it did.
        """
        await self._make()
        return await self._as_broker(self.database.transact(operation))

    async def read(self, operation: Operation[T]) -> T:
        """Run ``operation`` on one snapshot."""
        await self._make()
        return await self._as_broker(self.database.read(operation))

    async def _make(self) -> None:
        if self._made:
            return
        async with self._making:
            if not self._made:
                await self._as_broker(self.database.transact(self._tables))
                self._made = True

    async def _tables(self, connection: Connection) -> None:
        await schema.apply(connection, PACKAGE, PART, self._clock)

    async def _as_broker(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        except StoreFull as error:
            signals.count("goldseam_broker_unreachable_total")
            raise BrokerUnreachable(f"the embedded broker's disk is full: {error}") from error
        except (StoreUnavailable, CommitUnknown) as error:
            signals.count("goldseam_broker_unreachable_total")
            raise BrokerUnreachable(
                f"the embedded broker's database does not answer ({error}); send again"
            ) from error

    def wrote(self) -> None:
        """Wake this process's readers."""
        self.writes += 1
        self._written.set()
        self._written = asyncio.Event()

    async def news(self, seen: int, seconds: float) -> None:
        """Return when this process has written since ``seen``, or after ``seconds``."""
        if self.writes != seen:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._written.wait()
        except TimeoutError:
            pass
