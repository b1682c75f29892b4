"""Threads that own SQLite connections, and the way from the event loop to them and back.

SQLite blocks, so each connection lives in a thread of its own. A whole operation is one hop:
the coroutine is driven to its end inside the thread (a hop for each statement is four times
slower).
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from goldseam.backends.sqlite.connection import SqliteConnection, begin, rollback
from goldseam.backends.sqlite.errors import translate
from goldseam.database.connection import Operation
from goldseam.errors import CommitUnknown, StoreFull, StoreUnavailable
from goldseam.resilience.blocking import run_blocking

T = TypeVar("T")
_Job = tuple[str, Operation[Any], "asyncio.Future[Any]", asyncio.AbstractEventLoop]


class Workers:
    """One or more threads that take operations from one queue.

    Args:
        connect: opens a connection; called in the thread that will own it.
        count: how many threads.
        name: for thread names and error messages.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], count: int, name: str) -> None:
        self._connect, self._name = connect, name
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"goldseam-{name}-{n}", daemon=True)
            for n in range(count)
        ]
        self._closed = False
        for thread in self._threads:
            thread.start()

    async def run(self, mode: str, operation: Operation[T]) -> T:
        """Run ``operation`` in a ``mode`` (IMMEDIATE, DEFERRED) transaction in a thread.

        A caller that is cancelled leaves the operation to finish by itself.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put((mode, operation, future, loop))
        return await future

    def close(self) -> None:
        """Finish what is queued, close the connections, end the threads."""
        if self._closed:
            return
        self._closed = True
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        raw: sqlite3.Connection | None = None
        while (job := self._jobs.get()) is not None:
            mode, operation, future, loop = job
            result: object = None
            error: BaseException | None = None
            try:
                raw = raw or self._connect()
                result = transact(raw, mode, operation)
            except sqlite3.Error as foreign:
                error = translate(foreign)
            except BaseException as raised:  # the loop's side decides what it means
                error = raised
            if raw is not None and _is_broken(error):
                raw.close()
                raw = None
            _send(loop, future, result, error)
        if raw is not None:
            raw.close()


def transact(raw: sqlite3.Connection, mode: str, operation: Operation[T]) -> T:
    """Run ``operation`` in one transaction of ``raw``; commit when it returns."""
    begin(raw, mode)
    try:
        result = run_blocking(operation(SqliteConnection(raw)))
    except BaseException:
        rollback(raw)
        raise
    try:
        raw.execute("COMMIT")
    except sqlite3.Error as error:
        _give_up_commit(raw, error)
    return result


def _give_up_commit(raw: sqlite3.Connection, error: sqlite3.Error) -> None:
    """A failed commit is unknown, unless SQLite says why it cannot have happened."""
    translated = translate(error)
    rollback(raw)
    if isinstance(translated, StoreFull) or error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
        raise translated from error
    raise CommitUnknown((), str(error)) from error


def _is_broken(error: BaseException | None) -> bool:
    """After an I/O error a connection must not be trusted; it is opened anew."""
    return isinstance(error, StoreUnavailable | CommitUnknown)


def _send(
    loop: asyncio.AbstractEventLoop,
    future: asyncio.Future[Any],
    result: object,
    error: BaseException | None,
) -> None:
    def deliver() -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    if not loop.is_closed():
        loop.call_soon_threadsafe(deliver)
