"""One member of a group at the embedded broker."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from goldseam.broker.embedded import groups, topics
from goldseam.broker.embedded.desk import Desk
from goldseam.broker.embedded.groups import Joined, Owned
from goldseam.broker.errors import BrokerUnreachable, FencedMember
from goldseam.broker.port import CLOSED, Listener
from goldseam.broker.record import Partition, Received
from goldseam.database.connection import Connection
from goldseam.resilience.clock import MICROSECONDS_PER_SECOND, Clock

BEAT_SECONDS = 0.5
"""How often a member says that it is alive and looks whether partitions have moved."""

BEATS_IN_A_SESSION = 3
LOOK_SECONDS = 0.02
"""How often a waiting member looks for records that other processes have sent."""


class EmbeddedSubscription:
    """See :class:`goldseam.broker.port.Subscription`. Used from one event loop."""

    def __init__(
        self, desk: Desk, clock: Clock, who: Joined, listener: Listener, *, from_start: bool
    ) -> None:
        self._desk, self._clock, self._who, self._listener = desk, clock, who, listener
        self._from_start = from_start
        session_seconds = who.session_us / MICROSECONDS_PER_SECOND
        self._beat_seconds = min(BEAT_SECONDS, session_seconds / BEATS_IN_A_SESSION)
        self._beaten = float("-inf")
        self._joining, self._closed = True, False
        self._positions: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._turn = 0

    @property
    def assigned(self) -> frozenset[Partition]:
        """The partitions it owns at the moment."""
        return frozenset(self._positions)

    async def poll(self, limit: int, seconds: float) -> Sequence[Received]:
        """At most ``limit`` records, waiting at most ``seconds`` for the first."""
        until, begun = self._clock.monotonic() + seconds, False
        while not self._closed:
            begun = True
            await self._beat()
            seen = self._desk.writes
            found = await self._read(limit)
            left = until - self._clock.monotonic()
            if found or left <= 0:
                return found
            await self._desk.news(seen, min(left, LOOK_SECONDS))
        if not begun:
            raise BrokerUnreachable(CLOSED)
        return ()

    async def _beat(self) -> None:
        now = self._clock.monotonic()
        if now - self._beaten < self._beat_seconds:
            return
        joining = self._joining
        try:
            owned = await self._desk.transact(
                lambda c: groups.beat(c, self._who, self._clock.now_us(), joining=joining)
            )
        except FencedMember:
            await self._forget_all()
            raise
        self._joining, self._beaten = False, now
        await self._follow(owned)

    async def _forget_all(self) -> None:
        """Somebody else has all of them; the next poll joins anew, unless the place is taken."""
        gone = list(self._positions)
        self._positions.clear()
        self._paused.clear()
        self._joining = self._who.instance is None
        if gone:
            await self._listener.lost(gone)

    async def _follow(self, owned: Owned) -> None:
        """Tell the listener what changed, and give up what others wait for."""
        gone = [place for place in self._positions if place not in owned.mine]
        if gone:
            self._drop(gone)
            await self._listener.lost(gone)
        if owned.wanted:
            giving = [place for place in owned.wanted if place in self._positions]
            if giving:
                await self._listener.revoked(giving)
                self._drop(giving)
            owned = await self._desk.transact(partial(self._release, partitions=list(owned.wanted)))
        new = sorted(owned.mine - owned.wanted - self._positions.keys())
        if new:
            self._positions |= await self._beginnings(new)
            await self._listener.assigned(new)

    async def _release(self, connection: Connection, partitions: Collection[Partition]) -> Owned:
        return await groups.release(connection, self._who, partitions, self._clock.now_us())

    def _drop(self, partitions: Collection[Partition]) -> None:
        for place in partitions:
            self._positions.pop(place, None)
            self._paused.discard(place)

    async def _beginnings(self, places: Sequence[Partition]) -> dict[Partition, int]:
        async def look(connection: Connection) -> dict[Partition, int]:
            stored = await groups.offsets(connection, self._who.group)
            found = {}
            for place in places:
                span = (await topics.spans(connection, place.topic))[place]
                begin = span.low if self._from_start else span.high
                found[place] = max(stored.get(place, begin), span.low)
            return found

        return await self._desk.read(look)

    async def _read(self, limit: int) -> list[Received]:
        """Every partition in turn, so that a long one does not keep the others waiting."""
        places = [place for place in sorted(self._positions) if place not in self._paused]
        if not places:
            return []
        self._turn = (self._turn + 1) % len(places)
        places = places[self._turn :] + places[: self._turn]
        positions = dict(self._positions)

        async def pages(connection: Connection) -> list[Received]:
            found: list[Received] = []
            for place in places:
                if len(found) < limit:
                    left = limit - len(found)
                    found += await topics.read(connection, place, positions[place], left)
            return found

        found = await self._desk.read(pages)
        for one in found:
            self._positions[one.place] = one.offset + 1
        return found

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Store the next offsets to read."""
        if offsets:
            await self._desk.transact(lambda c: groups.commit(c, self._who, offsets))

    async def committed(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """The stored offsets; a partition without one is left out."""
        found = await self._desk.read(lambda c: groups.offsets(c, self._who.group))
        return {place: found[place] for place in partitions if place in found}

    async def pause(self, partitions: Collection[Partition]) -> None:
        """Deliver nothing of these until :meth:`resume`."""
        self._paused |= set(partitions) & self._positions.keys()

    async def resume(self, partitions: Collection[Partition]) -> None:
        """Deliver them again."""
        self._paused -= set(partitions)

    async def seek(self, partition: Partition, offset: int) -> None:
        """Deliver from ``offset`` next."""
        if partition in self._positions:
            self._positions[partition] = offset

    async def close(self) -> None:
        """Leave; a static member keeps its place until its session ends."""
        if self._closed:
            return
        self._closed = True
        mine = list(self._positions)
        if mine:
            await self._listener.revoked(mine)
        self._drop(mine)
        if self._who.instance is None and not self._joining:
            leaving = self._desk.transact(
                lambda c: groups.leave(c, self._who, self._clock.now_us())
            )
            await asyncio.shield(leaving)
