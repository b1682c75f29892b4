"""What a projection can follow: the event store, or anything that gives out closed prefixes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec

from goldseam.database.statements import statements
from goldseam.events.event import Recorded
from goldseam.store.event_store import EventStore


class Page(msgspec.Struct, frozen=True, gc=False):
    """A closed prefix: every event up to ``position`` is in ``events``, or is of no concern.

    ``last`` says that nothing was behind it when it was read.
    """

    events: Sequence[Recorded[Any]]
    position: int
    last: bool = False


class Alarm(Protocol):
    """Says that there may be more to read."""

    async def wait(self, seconds: float) -> None:
        """Return when the source may have grown, or after ``seconds``."""
        ...


class Source(Protocol):
    """A log with positions in the order of commits.

    Once a page has ended at a position, nothing at or below it may appear later: without that
    no checkpoint and no position token means anything.
    """

    @property
    def identity(self) -> str:
        """What this log is; a checkpoint of another one is refused."""
        ...

    async def head(self) -> int:
        """The newest position, 0 when there is none."""
        ...

    async def page(self, after: int, limit: int) -> Page:
        """The next events above ``after``, at most ``limit``."""
        ...

    async def recorded_us_after(self, position: int) -> int | None:
        """When the first event above ``position`` was recorded; None when there is none."""
        ...

    async def position_of(self, token: str | int) -> int:
        """The position that a reader's token names.

        Raises:
            InvalidPosition: this log never gave it out.
        """
        ...

    def subscribe(self) -> AbstractAsyncContextManager[Alarm]:
        """Be told when there may be more, until the block ends."""
        ...


class StoreSource:
    """One tenant's view of an event store, all of it or one category.

    Events of types that nobody registered come as ``Untyped``: most projections pass them over.
    """

    def __init__(self, store: EventStore, category: str | None = None) -> None:
        self._store, self._category = store.tolerant(), category
        self._head_seen = 0
        self.identity = str(store.store_id)

    async def head(self) -> int:
        """The newest position of the store."""
        self._head_seen = await self._store.head()
        return self._head_seen

    async def page(self, after: int, limit: int) -> Page:
        """The next events above ``after``; other tenants' and categories' are passed over.

        The head is read before the page, so a page that is not full is complete up to it.
        """
        if after >= self._head_seen and await self.head() <= after:
            return Page((), after, last=True)
        until = self._head_seen
        if self._category is None:
            events = await self._store.read_all(after=after, limit=limit)
        else:
            events = await self._store.read_category(self._category, after=after, limit=limit)
        if events.full:
            return Page(events, events.end)
        return Page(events, max(until, events.end), last=True)

    async def recorded_us_after(self, position: int) -> int | None:
        """When the oldest event above ``position`` was recorded."""
        store = self._store
        sql = statements("goldseam.store", store.database.dialect)["recorded_after"]
        found = await store.database.fetch(sql, {"tenant": store.tenant, "position": position})
        return int(found[0][0]) if found else None

    async def position_of(self, token: str | int) -> int:
        """The position that a token of this store names."""
        return await self._store.position_of(token)

    def subscribe(self) -> AbstractAsyncContextManager[Alarm]:
        """Be told by the store: its own commits, the database's notifications, or a poll."""
        return self._store.changes.subscribe()
