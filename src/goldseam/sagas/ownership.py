"""Which process runs which sagas: slots by lease, each with a fence for what is written.

A process says that it is alive by a lease of its own; from the list of the living each works out
its share. A list that is out of date costs a short wait: a slot's sagas are run by whoever has
its lease, and an append with an older token is refused.
"""

from __future__ import annotations

import asyncio
import logging

from goldseam.database.connection import Database
from goldseam.errors import CommitUnknown, StoreUnavailable
from goldseam.leadership.errors import LeaseLost
from goldseam.leadership.fencing import Fence
from goldseam.leadership.lease import Leases
from goldseam.resilience.clock import Clock

LEASE_SECONDS = 10.0
RENEWALS_IN_A_LEASE = 3

_log = logging.getLogger("goldseam.sagas")


class Ownership:
    """The shards of one process, and their fences.

    Args:
        holder: names this process; two processes must not share it.
        shards: the same number in every process.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        holder: str,
        shards: int,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self.shards, self._holder, self._seconds = shards, holder, lease_seconds
        self._leases, self._clock = Leases(database, clock), clock
        self._alive: Fence | None = None
        self._fences: dict[int, Fence] = {}
        self._until: dict[int, float] = {}

    def fence_of(self, slot: int) -> Fence | None:
        """The fence under which this process runs the sagas of ``slot``; None: it does not."""
        shard = slot % self.shards
        fence = self._fences.get(shard)
        if fence is None or self._clock.monotonic() > self._until[shard]:
            return None
        return fence

    @property
    def owns(self) -> frozenset[int]:
        """The shards that this process runs now."""
        return frozenset(self._fences)

    def lose(self, slot: int) -> None:
        """An append was refused: somebody else has the shard."""
        self._fences.pop(slot % self.shards, None)

    async def keep(self, stopping: asyncio.Event) -> None:
        """Take, renew and give back leases until told to stop."""
        prepared = False
        while not stopping.is_set():
            try:
                if not prepared:
                    await self._leases.prepare()
                    prepared = True
                await self._round()
            except (StoreUnavailable, CommitUnknown) as error:
                _log.warning("sagas: leases cannot be renewed: %s", type(error).__name__)
            try:
                async with asyncio.timeout(self._seconds / RENEWALS_IN_A_LEASE):
                    await stopping.wait()
            except TimeoutError:
                pass

    async def _round(self) -> None:
        own = f"sagas/by/{self._holder}"
        self._alive = await self._leases.acquire(own, self._holder, self._seconds)
        share = share_of(self._holder, await self._leases.living("sagas/by/"), self.shards)
        for shard in range(self.shards):
            if shard in share:
                await self._hold(shard)
            elif shard in self._fences:
                await self._leases.release(self._fences.pop(shard))

    async def _hold(self, shard: int) -> None:
        asked = self._clock.monotonic()
        fence = self._fences.get(shard)
        try:
            if fence is None:
                fence = await self._leases.acquire(f"sagas/{shard}", self._holder, self._seconds)
            else:
                await self._leases.renew(fence, self._seconds)
        except LeaseLost:
            fence = None
        if fence is None:
            self._fences.pop(shard, None)
        else:
            self._until[shard] = asked + self._seconds
            self._fences[shard] = fence

    async def give_back(self) -> None:
        """Let the next ones have everything at once, and count without this process."""
        for fence in self._fences.values():
            await self._leases.release(fence)
        self._fences.clear()
        if self._alive is not None:
            await self._leases.release(self._alive)
            self._alive = None


def share_of(holder: str, living: list[str], shards: int) -> frozenset[int]:
    """The shards of ``holder`` among ``living`` processes; their numbers differ by at most one."""
    names = sorted({*living, holder})
    return frozenset(range(names.index(holder), shards, len(names)))
