"""The shards of a relay, spread fairly over the processes that run it.

Every process says that it is alive by a lease of its own; from the list of the living each works
out alone which shards are its own. A list that is out of date costs a short wait, no order: a
shard is relayed by whoever has its lease, and its checkpoint moves by its fence.
"""

from __future__ import annotations

import asyncio
import logging

from goldseam.broker.port import Publisher
from goldseam.database.connection import Database
from goldseam.errors import CommitUnknown, StoreUnavailable
from goldseam.leadership.lease import Leases
from goldseam.outbox.relay import LEASE_SECONDS, RENEWALS_IN_A_LEASE, Relay
from goldseam.outbox.sources import RelaySource
from goldseam.resilience.clock import Clock

_log = logging.getLogger("goldseam.outbox")


class ShardedRelay:
    """All shards of a relay, as one process runs them.

    Args:
        shards: the same number in every process; see ``goldseam outbox reshard``.
        holder: names this process; two processes must not share it.
    """

    def __init__(
        self,
        name: str,
        source: RelaySource,
        publisher: Publisher,
        database: Database,
        clock: Clock,
        *,
        holder: str,
        shards: int,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self.name, self._holder, self._lease_seconds = name, holder, lease_seconds
        self._leases = Leases(database, clock)
        self._stopping = asyncio.Event()
        self._mine: frozenset[int] = frozenset()
        self.relays = [
            Relay(
                name,
                source,
                publisher,
                database,
                clock,
                holder=holder,
                shard=shard,
                shards=shards,
                lease_seconds=lease_seconds,
                wanted=lambda shard=shard: shard in self._mine,  # type: ignore[misc]
            )
            for shard in range(shards)
        ]

    @property
    def leads(self) -> frozenset[int]:
        """The shards that this process relays at the moment."""
        return frozenset(one.shard for one in self.relays if one.leads)

    @property
    def failure(self) -> str | None:
        """Why one of them is not going on; None while all is well."""
        return next((one.failure for one in self.relays if one.failure), None)

    def stop(self) -> None:
        """Finish what is being sent, then give everything back."""
        self._stopping.set()
        for one in self.relays:
            one.stop()

    async def run(self) -> None:
        """Relay its share until stopped.

        Raises:
            ShardsChanged, RecordRefused: see :meth:`Relay.run`.
        """
        self._stopping.clear()
        async with asyncio.TaskGroup() as tasks:
            for one in self.relays:
                tasks.create_task(one.run())
            tasks.create_task(self._share())  # last: passes on a stop from before they began

    async def _share(self) -> None:
        """Say that this process is alive, and see who else is."""
        await self._prepared()
        own, prefix = f"relay/{self.name}/by/{self._holder}", f"relay/{self.name}/by/"
        fence = None
        while not self._stopping.is_set():
            try:
                fence = await self._leases.acquire(own, self._holder, self._lease_seconds)
                living = await self._leases.living(prefix)
                self._mine = share_of(self._holder, living, len(self.relays))
            except (StoreUnavailable, CommitUnknown) as error:
                _log.warning("relay %s does not know who else runs: %s", self.name, error)
            try:
                async with asyncio.timeout(self._lease_seconds / RENEWALS_IN_A_LEASE):
                    await self._stopping.wait()
            except TimeoutError:
                pass
        for one in self.relays:
            one.stop()
        if fence is not None:
            await self._leases.release(fence)

    async def _prepared(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._leases.prepare()
            except (StoreUnavailable, CommitUnknown):
                await asyncio.sleep(self._lease_seconds / RENEWALS_IN_A_LEASE)
            else:
                return


def share_of(holder: str, living: list[str], shards: int) -> frozenset[int]:
    """The shards of ``holder`` among ``living`` processes; their numbers differ by at most one."""
    names = sorted({*living, holder})
    return frozenset(range(names.index(holder), shards, len(names)))
