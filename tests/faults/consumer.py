"""A process to be killed or stopped: one member of the bank's consumer.

Arguments: the broker's URL, the database's URL, the mode, and (optional) the await at which it
kills itself, the side of it, the signal, and the member's static id. It says what it has done.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar, cast

import msgspec

from goldseam.broker.port import Broker, Listener, Membership, Subscription
from goldseam.broker.record import Partition, Received
from goldseam.consumers.modes import AtLeastOnce, AtMostOnce, EffectivelyOnce, Mode, Watermark
from goldseam.consumers.runner import ConsumerRunner
from goldseam.runtime.brokers import open_broker
from goldseam.runtime.wiring import open_database
from goldseam.testing.faults import CrashingDatabase, CrashPoint
from tests.support.consumers import of_mode

T = TypeVar("T")

MODES: dict[str, Mode] = {
    "at-most-once": AtMostOnce(),
    "at-least-once": AtLeastOnce(),
    "effectively-once": EffectivelyOnce(),
    "watermark": EffectivelyOnce(dedup=Watermark()),
}
BATCH_RECORDS = 10
LOOK_SECONDS = 0.01
IDLE_LOOKS = 40
"""So many looks without anything new, and the member has caught up."""


IDLE_SECONDS = 1.5
"""How long the transaction of a stopped member may stand in the next one's way."""


class KillPoint(CrashPoint):
    """A crash point that is a real one: no handler runs. After SIGSTOP it goes on."""

    def __init__(self, number: int | None, side: Any, how: signal.Signals) -> None:
        super().__init__(number, side)
        self._how = how
        self.armed = False
        """Counted from the first partition on: how many tables were made before does not matter."""

    async def pass_(self, work: Callable[[], Awaitable[T]]) -> T:
        return await (super().pass_(work) if self.armed else work())

    def _fire(self) -> None:
        os.kill(os.getpid(), self._how)


class KillingSubscription:
    """A subscription whose commits are moments to die, too."""

    def __init__(self, inner: Subscription, point: CrashPoint) -> None:
        self._inner, self._point = inner, point

    @property
    def assigned(self) -> frozenset[Partition]:
        return self._inner.assigned

    async def poll(self, limit: int, seconds: float) -> Sequence[Received]:
        return await self._inner.poll(limit, seconds)

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        await self._point.pass_(lambda: self._inner.commit(offsets))

    async def committed(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        return await self._inner.committed(partitions)

    async def pause(self, partitions: Collection[Partition]) -> None:
        await self._inner.pause(partitions)

    async def resume(self, partitions: Collection[Partition]) -> None:
        await self._inner.resume(partitions)

    async def seek(self, partition: Partition, offset: int) -> None:
        await self._inner.seek(partition, offset)

    async def close(self) -> None:
        await self._inner.close()


class KillingBroker:
    """A broker whose subscriptions are :class:`KillingSubscription`."""

    def __init__(self, inner: Broker, point: KillPoint) -> None:
        self._inner, self._point = inner, point
        self.url, self.capabilities = inner.url, inner.capabilities

    async def subscribe(
        self, topics: Sequence[str], membership: Membership, listener: Listener
    ) -> KillingSubscription:
        inner = await self._inner.subscribe(topics, membership, listener)
        self._point.armed = True
        return KillingSubscription(inner, self._point)

    async def admin(self) -> Any:
        return await self._inner.admin()


async def main(
    broker_url: str,
    url: str,
    mode: str,
    number: str = "0",
    side: str = "before",
    how: str = "SIGKILL",
    instance: str = "balances-0",
) -> None:
    """Apply until there is nothing new, unless killed on the way."""
    consumer = of_mode(MODES[mode])
    broker, database = open_broker(broker_url), open_database(url)
    point = KillPoint(int(number) or None, side, signal.Signals[how])
    runner = ConsumerRunner(
        consumer,
        cast(Broker, KillingBroker(broker, point)),
        cast(Any, CrashingDatabase(database, point)),
        batch_records=BATCH_RECORDS,
        membership=Membership(group=consumer.name, instance=instance, session_seconds=1.0),
        idle_seconds=IDLE_SECONDS,
    )
    task = asyncio.create_task(runner.run())
    seen, still = None, 0
    while still < IDLE_LOOKS and not task.done():
        await asyncio.sleep(LOOK_SECONDS)
        now = msgspec.json.encode(runner.tally)
        at_work = runner.tally.rebalances and all(one.open for one in runner._lanes.values())
        still = still + 1 if now == seen and at_work else 0
        seen = now
    runner.stop()
    await task
    await broker.close()
    await database.close()
    print(msgspec.json.encode(runner.tally).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
