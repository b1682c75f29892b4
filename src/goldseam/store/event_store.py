"""The event store of an asyncio program: append, read, follow. Everything else hangs on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, TypeVar
from uuid import UUID

from goldseam.database.connection import Connection, Operation
from goldseam.database.statements import statements
from goldseam.errors import InvalidPosition, KeysMissing, StoreUnavailable
from goldseam.events.event import Metadata, RawEvent, Recorded
from goldseam.events.names import DEFAULT_TENANT, checked_name
from goldseam.events.positions import encode_token, parse_token
from goldseam.events.registry import Registry, registry
from goldseam.leadership.fencing import Fence
from goldseam.resilience.clock import Clock, IdFactory, SystemClock, uuid7_bytes
from goldseam.store import identity
from goldseam.store.batch import Appended, answer
from goldseam.store.connection import LogDatabase
from goldseam.store.decode import Page, sealed_payloads, sealed_type
from goldseam.store.expected import ExpectedVersion
from goldseam.store.follow import Changes
from goldseam.store.group_commit import RETRY_SECONDS, GroupCommit
from goldseam.store.idempotency import find_first_result
from goldseam.store.prepare import EVENT_BYTES_MAX, Preparer
from goldseam.store.raw import raw_page
from goldseam.store.read import PAGE_EVENTS, POSITION_END, Reader
from goldseam.store.sealing import Sealer, Sealing, personal_subjects
from goldseam.telemetry.signals import signals
from goldseam.versioning.admission import Admission

T = TypeVar("T")

Translate = Callable[[Connection, str], Coroutine[Any, Any, int | None]]
"""From a token of another store to a position here; None if it knows nothing of it."""

StreamEvents = tuple[str, ExpectedVersion, Sequence[object]]
"""A stream, the version it is expected to have, the events for it."""


class EventStore:
    """One tenant's view of a store. Open one with :func:`goldseam.open_store`.

    All views of one store share its connections and its group commit.
    """

    def __init__(
        self,
        database: LogDatabase,
        store_id: UUID,
        *,
        registry: Registry = registry,
        clock: Clock | None = None,
        new_id: IdFactory = uuid7_bytes,
        event_bytes_max: int = EVENT_BYTES_MAX,
        retry_seconds: float = RETRY_SECONDS,
        sealer: Sealer | None = None,
        translate: Translate | None = None,
        admission: Admission | None = None,
    ) -> None:
        self.database, self.store_id, self.registry = database, store_id, registry
        self.sealer, self._translate, self._admission = sealer, translate, admission
        self.clock = clock or SystemClock()
        self._new_id, self._event_bytes_max = new_id, event_bytes_max
        self.changes = Changes(database)
        self._commits = GroupCommit(database, self.clock, self.changes.committed, retry_seconds)
        self._bind(DEFAULT_TENANT)

    def _bind(self, tenant: str) -> None:
        self.tenant = tenant
        self._preparer = Preparer(
            self.registry, self.clock, self._new_id, tenant, self._event_bytes_max
        )
        self.reader = Reader(self.registry, tenant)

    def for_tenant(self, tenant: str) -> EventStore:
        """The same store, seen by another tenant: its streams, keys and reads are its own."""
        view = object.__new__(EventStore)
        view.__dict__.update(self.__dict__)
        view._bind(checked_name("tenant", tenant))
        return view

    def tolerant(self) -> EventStore:
        """The same store, but events of unregistered types are read as ``Untyped``.

        For readers that move past what they do not handle, as projections do.
        """
        view = object.__new__(EventStore)
        view.__dict__.update(self.__dict__)
        view.reader = Reader(self.registry, self.tenant, tolerant=True)
        return view

    async def append(
        self,
        stream: str,
        events: Sequence[object],
        *,
        expected: ExpectedVersion,
        key: str | None = None,
        fence: Fence | None = None,
        metadata: Metadata | None = None,
    ) -> Appended:
        """Append ``events`` to ``stream`` if it is at the ``expected`` version.

        Args:
            stream: ``category-key``, for example ``account-123``.
            events: instances of registered classes, or :class:`NewEvent` around them.
            expected: NEW, EXISTS, ANY, or the exact number of events it must have.
            key: idempotency key; a second append with it returns the first one's answer.
            fence: the fencing token of the lease under which this is written.
            metadata: correlation, causation, actor, trace for all the events.

        Raises:
            VersionConflict, Fenced, IdempotencyMismatch: refused; nothing was written.
            InvalidInput: the events or names cannot be stored; nothing was written.
            StoreUnavailable: the store cannot be reached; nothing was written.
            CommitUnknown: the answer was lost; append the same events again.
        """
        return await self.append_all(
            [(stream, expected, events)], key=key, fence=fence, metadata=metadata
        )

    async def append_all(
        self,
        writes: Sequence[StreamEvents],
        *,
        key: str | None = None,
        fence: Fence | None = None,
        metadata: Metadata | None = None,
        fingerprint: bytes | None = None,
    ) -> Appended:
        """Append to several streams, all or nothing. See :meth:`append`.

        ``fingerprint`` is what a second use of ``key`` is compared with, instead of the events.
        """
        if self._admission is not None:
            await self._admission.admit(event for _, _, events in writes for event in events)
        sealing = None if self.sealer is None else await self._sealing(writes)
        append = self._preparer.append(
            writes,
            key=key,
            fence=fence,
            metadata=metadata,
            fingerprint=fingerprint,
            sealing=sealing,
        )
        return answer(append, await self._commits.append(append), self.store_id)

    async def _sealing(self, writes: Sequence[StreamEvents]) -> Sealing | None:
        """The keys for the personal fields among the events."""
        events = (event for _, _, events in writes for event in events)
        subjects = personal_subjects(self.registry, events)
        if subjects is None or self.sealer is None:
            return None
        return await self.sealer.sealing(self.tenant, subjects)

    async def open_sealed(self, page: Page) -> Page:
        """``page`` with its sealed values opened.

        Raises:
            KeysMissing: the store was opened without keys.
            KeyStoreUnavailable: the keys cannot be reached.
        """
        if not page.sealed:
            return page
        if self.sealer is None:
            raise KeysMissing(sealed_type(page))
        opened = await self.sealer.open(self.tenant, sealed_payloads(page))
        return self.reader.decoder.opened(page, opened)

    async def first_result(self, key: str, fingerprint: bytes, stream: str) -> Appended | None:
        """The answer to the first write with ``key``, or None if there was none.

        Raises:
            IdempotencyMismatch: the key was used for something else.
        """
        first = await self._read(
            lambda c: find_first_result(c, self.tenant, key, fingerprint, stream)
        )
        if first is None:
            return None
        position, first_position, versions = first
        return Appended(position, first_position, versions, self.store_id, replayed=True)

    async def read_stream(self, stream: str, *, after: int = 0, limit: int = PAGE_EVENTS) -> Page:
        """One page of a stream: versions above ``after``, oldest first."""
        read = self.reader.stream
        return await self._page(lambda c, at: read(c, stream, after=at, limit=limit), after)

    async def read_stream_backwards(
        self, stream: str, *, before: int = POSITION_END, limit: int = PAGE_EVENTS
    ) -> Page:
        """One page of a stream: versions below ``before``, newest first."""
        read = self.reader.stream_backwards
        return await self._page(lambda c, at: read(c, stream, before=at, limit=limit), before)

    async def read_category(
        self, category: str, *, after: int = 0, limit: int = PAGE_EVENTS
    ) -> Page:
        """One page of all streams of a category: positions above ``after``, oldest first."""
        read = self.reader.category
        return await self._page(lambda c, at: read(c, category, after=at, limit=limit), after)

    async def read_category_backwards(
        self, category: str, *, before: int = POSITION_END, limit: int = PAGE_EVENTS
    ) -> Page:
        """One page of a category: positions below ``before``, newest first."""
        read = self.reader.category
        return await self._page(lambda c, at: read(c, category, before=at, limit=limit), before)

    async def read_all(self, *, after: int = 0, limit: int = PAGE_EVENTS) -> Page:
        """One page of the log: positions above ``after``, in the order of their commits."""
        read = self.reader.all
        return await self._page(lambda c, at: read(c, after=at, limit=limit), after)

    async def read_all_backwards(
        self, *, before: int = POSITION_END, limit: int = PAGE_EVENTS
    ) -> Page:
        """One page of the log: positions below ``before``, newest first."""
        read = self.reader.all_backwards
        return await self._page(lambda c, at: read(c, before=at, limit=limit), before)

    async def read_event(self, event_id: UUID) -> Recorded[Any] | None:
        """The event of this id, or None."""
        page = await self._page(lambda c, _: self.reader.event(c, event_id.bytes), 0)
        return page[0] if page else None

    async def raw_all(self, *, after: int = 0, limit: int = PAGE_EVENTS) -> list[RawEvent]:
        """One page of the log as it is stored, of all tenants; checked, neither opened nor upcast.

        For tools that copy, verify or show the log itself.
        """
        return await self._read(lambda c: raw_page(c, after=after, limit=limit))

    async def typed(self, stored: Sequence[RawEvent]) -> Page:
        """Events of this tenant that came another way than by a read: upcast, opened, typed.

        For readers of a topic; those of other tenants are left out.
        """
        page = self.reader.typed([one for one in stored if one.tenant == self.tenant])
        return await self.open_sealed(page) if page.sealed else page

    async def _page(
        self, read: Callable[[Connection, int], Coroutine[Any, Any, Page]], start: int
    ) -> Page:
        """A page that is empty only at the end: stored events may be read as none at all."""
        while True:
            at = start
            page = await self.database.read_one(lambda c: read(c, at))  # noqa: B023
            if page.sealed:
                page = await self.open_sealed(page)
            if page or not page.full:
                return page
            start = page.end

    async def replay(
        self, *, after: int = 0, until: int = POSITION_END, page: int = PAGE_EVENTS
    ) -> AsyncIterator[Recorded[Any]]:
        """Every event from ``after`` to the end the log has now; the next page is read ahead."""
        async for events in self.pages(after=after, until=until, page=page):
            for event in events:
                yield event

    async def pages(
        self, *, after: int = 0, until: int = POSITION_END, page: int = PAGE_EVENTS
    ) -> AsyncIterator[list[Recorded[Any]]]:
        """Like :meth:`replay`, a page at a time: for handlers that take batches."""
        until = min(until, await self.head())
        ahead = asyncio.ensure_future(self.read_all(after=after, limit=page))
        try:
            while events := await ahead:
                after = events.end
                if after >= until:
                    yield [event for event in events if event.position <= until]
                    return
                ahead = asyncio.ensure_future(self.read_all(after=after, limit=page))
                await asyncio.sleep(0)  # let the next page be asked for before this one is used
                yield events
        finally:
            ahead.cancel()

    async def follow(
        self, *, after: int = 0, category: str | None = None
    ) -> AsyncIterator[Recorded[Any]]:
        """Every event above ``after``, and then each new one as it is committed, for ever.

        Wakes by the database's notification, by a commit of this process, or by a poll;
        reconnects by itself. Nothing is missed: positions are given in the order of commits.
        """
        async with self.changes.subscribe() as changed:
            while True:
                try:
                    events = (
                        await self.read_all(after=after)
                        if category is None
                        else await self.read_category(category, after=after)
                    )
                except StoreUnavailable:
                    signals.count("goldseam_follower_reconnects_total")
                    await changed.wait()
                    continue
                for event in events:
                    yield event
                after = max(after, events.end)
                if not events:
                    await changed.wait()

    async def head(self) -> int:
        """The position of the newest event of the whole store, 0 when it is empty."""
        return int((await self._fetch("head"))[0][0])

    async def stream_version(self, stream: str) -> int:
        """How many events the stream has."""
        found = await self._fetch(
            "stream_version", tenant=self.tenant, stream=checked_name("stream", stream)
        )
        return int(found[0][0])

    async def streams(self, *, after: str = "", limit: int = PAGE_EVENTS) -> list[tuple[str, int]]:
        """One page of stream names above ``after`` with their versions, by name."""
        found = await self._fetch("list_streams", tenant=self.tenant, after=after, limit=limit)
        return [(str(stream), int(version)) for stream, version, _ in found]

    def token(self, position: int) -> str:
        """``position`` as a token bound to this store."""
        return encode_token(self.store_id, position)

    async def position_of(self, token: str | int) -> int:
        """The position that a reader's token names.

        Raises:
            InvalidPosition: forged, negative, of another store, or not given out yet.
        """
        try:
            position = await self._parsed(token)
            if position > self.changes.highest and position > await self.head():
                raise InvalidPosition(token, "it is in the future of this store")
        except InvalidPosition:
            signals.count("goldseam_positions_refused_total")
            raise
        return position

    async def _parsed(self, token: str | int) -> int:
        try:
            return parse_token(token, self.store_id)
        except InvalidPosition:
            if self._translate is None or not isinstance(token, str):
                raise
            translate = self._translate
            found = await self._read(lambda c: translate(c, token))
            if found is None:
                raise
            return found

    async def check(self) -> None:
        """Whether the tables are what this version needs; see ``goldseam store check``."""
        await self._read(identity.check)

    async def close(self) -> None:
        """Commit what is queued and give back every connection."""
        await self._commits.close()
        await self.changes.close()
        await self.database.close()

    async def __aenter__(self) -> EventStore:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _read(self, operation: Operation[T]) -> T:
        return await self.database.read_one(operation)

    async def _fetch(self, name: str, **parameters: object) -> list[tuple[Any, ...]]:
        sql = statements("goldseam.store", self.database.dialect)[name]
        return await self._read(lambda connection: connection.fetch(sql, parameters))
