"""Crash at every await: each await of a connection is a moment at which a process may die.

A ``Crash`` is a ``BaseException``, so no ``except Exception`` can survive it, as none survives
SIGKILL. Real kills find what this cannot: half-written files, lost sockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, Literal, TypeVar, cast

from goldseam.database.connection import Connection, Dialect, Operation, Parameters, Row
from goldseam.store.batch import Batch, Verdict
from goldseam.store.connection import LogConnection, LogDatabase

T = TypeVar("T")

Side = Literal["before", "after"]
SIDES: tuple[Side, ...] = ("before", "after")

AWAITS_MAX = 1_000
"""An operation with more awaits than this does not end."""


LOOK_SECONDS = 0.002
"""How often to look whether another thread has met the crash."""


class Crash(BaseException):
    """The process dies here."""


class CrashPoint:
    """Counts awaits and crashes at one of them.

    Args:
        number: the await to crash at, counted from 1; None only counts.
        side: before the await is sent, or after its effect and before anybody hears of it.
    """

    def __init__(self, number: int | None = None, side: Side = "before") -> None:
        self.number, self.side = number, side
        self.awaits = 0
        self.fired = False

    async def pass_(self, work: Callable[[], Awaitable[T]]) -> T:
        """Await ``work``, unless this is where the crash is."""
        if self.fired:
            raise Crash("a dead process does nothing")
        self.awaits += 1
        here = self.awaits == self.number
        if here and self.side == "before":
            self._fire()
        result = await work()
        if here:
            self._fire()
        return result

    def _fire(self) -> None:
        self.fired = True
        raise Crash(f"{self.side} await {self.number}")


class CrashingConnection:
    """A connection that crashes at one of its awaits."""

    def __init__(self, connection: LogConnection, point: CrashPoint) -> None:
        self.connection, self.point = connection, point
        self.dialect: Dialect = connection.dialect

    async def fetch(self, sql: str, parameters: Parameters = {}) -> list[Row]:
        """One await."""
        return await self.point.pass_(lambda: self.connection.fetch(sql, parameters))

    async def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        """One await."""
        await self.point.pass_(lambda: self.connection.execute_many(sql, rows))

    async def append(self, batch: Batch) -> list[Verdict]:
        """PostgreSQL judges in one statement; on SQLite each statement is an await of its own."""
        if self.dialect == "sqlite":
            from goldseam.backends.sqlite.append import append_batch

            return await append_batch(self, batch)
        return await self.point.pass_(lambda: self.connection.append(batch))


class CrashingDatabase:
    """A database that crashes at one await: inside a transaction, at its commit, at its answer."""

    def __init__(self, database: LogDatabase, point: CrashPoint) -> None:
        self.database, self.point = database, point
        self.dialect: Dialect = database.dialect
        self.url = database.url

    async def append(self, batch: Batch) -> list[Verdict]:
        """One transaction around the append, so that each of its awaits can be the last."""
        return await self.transact(lambda c: cast(LogConnection, c).append(batch))

    async def transact(self, operation: Operation[T]) -> T:
        """The awaits of ``operation``, then that of the commit's answer."""
        return await self._around(self.database.transact, operation)

    async def read(self, operation: Operation[T]) -> T:
        """The awaits of ``operation``, then that of the answer."""
        return await self._around(self.database.read, operation)

    async def read_one(self, operation: Operation[T]) -> T:
        """The awaits of ``operation``, then that of the answer."""
        return await self._around(self.database.read_one, operation)

    async def fetch(self, sql: str, parameters: Parameters = {}) -> list[Row]:
        """One await."""
        return await self.point.pass_(lambda: self.database.fetch(sql, parameters))

    def notifications(self) -> AsyncIterator[None]:
        """Those of the database."""
        return self.database.notifications()

    async def close(self) -> None:
        """Closes the database."""
        await self.database.close()

    async def _around(
        self,
        run: Callable[[Operation[T]], Coroutine[Any, Any, T]],
        operation: Operation[T],
    ) -> T:
        def crashing(connection: Connection) -> Coroutine[Any, Any, T]:
            return operation(CrashingConnection(cast(LogConnection, connection), self.point))

        result = await run(crashing)
        # The transaction has ended; whether its answer arrives is the next moment to die.
        return await self.point.pass_(lambda: _given(result))


async def _given(result: T) -> T:
    return result


async def until_crash(point: CrashPoint, work: Coroutine[Any, Any, T]) -> T:
    """Run ``work``, which may hand its database calls to other tasks and threads.

    Whoever of them meets the crash, the whole process is dead: ``work`` is given up.

    Raises:
        Crash: ``point`` has fired.
    """
    task = asyncio.ensure_future(work)
    while not task.done() and not point.fired:
        await asyncio.wait({task}, timeout=LOOK_SECONDS)
    if point.fired:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise Crash(f"{point.side} await {point.number}")
    return task.result()


async def crash_points(run: Callable[[CrashPoint], Awaitable[object]]) -> AsyncIterator[CrashPoint]:
    """Run ``run`` once for each await it has, and each side of it; gives each point that fired.

    ``run`` must raise the :class:`Crash` of its point. The last run passes its point unharmed.

    Raises:
        RuntimeError: it never ends, or a crash was swallowed.
    """
    for side in SIDES:
        for number in range(1, AWAITS_MAX):
            point = CrashPoint(number, side)
            try:
                await run(point)
            except Crash:
                yield point
                continue
            if point.fired:
                raise RuntimeError(f"a crash {side} await {number} was swallowed")
            break
        else:
            raise RuntimeError(f"the operation has more than {AWAITS_MAX} awaits")
