"""The two ports every database back-end implements.

A ``Connection`` is what transactional code awaits, and nothing else. A blocking back-end
implements the same coroutines without ever suspending, so one core serves both colours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar

T = TypeVar("T")

Dialect = Literal["sqlite", "postgresql"]
Row = tuple[Any, ...]
Parameters = Mapping[str, object]
Operation = Callable[["Connection"], Coroutine[Any, Any, T]]


class Connection(Protocol):
    """One connection inside a transaction that somebody else began and will end.

    SQL uses ``:name`` parameters on every back-end.
    """

    dialect: Dialect

    async def fetch(self, sql: str, parameters: Parameters = {}) -> list[Row]:
        """Run one statement; its rows, or an empty list.

        Raises:
            StoreUnavailable, StoreFull, SchemaError: by the kind of the driver's error.
        """
        ...

    async def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        """Run one statement for each of ``rows``, in as few round trips as the driver can."""
        ...


class Database(Protocol):
    """A database with its own connections; the only thing that begins and ends transactions."""

    dialect: Dialect
    url: str

    async def transact(self, operation: Operation[T]) -> T:
        """Run ``operation`` in one write transaction; commit when it returns."""
        ...

    async def read(self, operation: Operation[T]) -> T:
        """Run ``operation`` on one unchanging snapshot of the database."""
        ...

    async def read_one(self, operation: Operation[T]) -> T:
        """Run an ``operation`` whose statements need not see the same snapshot."""
        ...

    async def fetch(self, sql: str, parameters: Parameters = {}) -> list[Row]:
        """Run one reading statement on its own."""
        ...

    def notifications(self) -> AsyncIterator[None]:
        """Yields whenever somebody, in any process, may have appended; reconnects by itself."""
        ...

    async def close(self) -> None:
        """Give back every connection and thread. May be called twice."""
        ...
