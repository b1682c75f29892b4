"""One thread that owns a client; calls come from the event loop, and may come while it waits."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

LOOK_SECONDS = 0.01
_END = None


class Owner:
    """Runs functions one after the other in a thread of its own.

    A callback of the client that must wait for a coroutine goes on serving calls meanwhile: the
    coroutine may need the client.
    """

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    async def call(self, function: Callable[[], T]) -> T:
        """The result of ``function``, run in the thread."""
        future: asyncio.Future[T] = self._loop.create_future()

        def work() -> None:
            try:
                result = function()
            except BaseException as error:
                self._loop.call_soon_threadsafe(_fail, future, error)
            else:
                self._loop.call_soon_threadsafe(_succeed, future, result)

        self._calls.put(work)
        return await future

    def wait_for(self, coroutine: Coroutine[Any, Any, T], seconds: float) -> T:
        """In the thread: the result of ``coroutine``, run in the loop; calls are served meanwhile.

        Raises:
            TimeoutError: it took longer than ``seconds``.
        """
        done = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        left = seconds
        while not done.done():
            try:
                call = self._calls.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                left -= LOOK_SECONDS
                if left <= 0:
                    done.cancel()
                    raise TimeoutError from None
            else:
                if call is not None:
                    call()
        return done.result()

    async def end(self, seconds: float) -> None:
        """End the thread after the calls that are waiting."""
        self._calls.put(_END)
        await asyncio.to_thread(self._thread.join, seconds)

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def _succeed(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[T], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
