"""A process to be killed or stopped: a relay, or what people write who have none.

Arguments: what it does (``relay``, ``unfenced`` or ``naive``), the broker's URL, the store's URL,
the await at which it kills itself, the side of it, the signal, its name as a holder, and the
length of its lease. It says `done`, or the error that ended it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from goldseam import EventStore, GoldseamError
from goldseam.broker.cloudevents import record_of
from goldseam.broker.port import Publisher
from goldseam.broker.record import Record
from goldseam.outbox import relay
from goldseam.testing.faults import CrashingDatabase, CrashPoint
from tests.support.relays import RELAY, STREAMS, CrashingPublisher, log, relay_of, sender
from tests.support.ticks import tick

BATCH_EVENTS = 4
KEEPS = 2
"""A third word after the holder and the lease: only what it sends is counted as a step."""


class KillPoint(CrashPoint):
    """A crash point that is a real one: no handler runs. After SIGSTOP it goes on."""

    def __init__(self, number: int | None, side: Any, how: signal.Signals) -> None:
        super().__init__(number, side)
        self._how = how
        self._met = False

    def _fire(self) -> None:
        if not self._met:  # after SIGSTOP the same await passes its other side, too
            self._met = True
            os.kill(os.getpid(), self._how)


async def _relay(store: EventStore, publisher: Publisher, point: KillPoint, *of: str) -> None:
    relay.CHECKPOINT_SECONDS = 0.0  # after each batch: more steps to be killed at
    base: Any = store.database if len(of) > KEEPS else CrashingDatabase(store.database, point)
    one = relay_of(
        store,
        CrashingPublisher(publisher, point),
        base,
        holder=of[0],
        lease_seconds=float(of[1]),
        batch_events=BATCH_EVENTS,
    )
    await one.flush()


async def _unfenced(store: EventStore, publisher: Publisher, point: KillPoint, *_: str) -> None:
    """A relay that believes in its lease: it writes its checkpoint whoever leads by now."""
    found = await store.raw_all(limit=BATCH_EVENTS)
    records = [record_of(one, "tick", "/naive") for one in found]
    await CrashingPublisher(publisher, point).publish(records)
    sql = "UPDATE goldseam_relay_checkpoints SET position = :position WHERE relay = :relay"
    row = {"relay": RELAY, "position": found[-1].position}
    await store.database.transact(lambda c: c.fetch(sql, row))


async def _naive(store: EventStore, publisher: Publisher, point: KillPoint, *_: str) -> None:
    """Commit, then publish: the guide's first producer-side failure."""
    for n in range(STREAMS):
        stream = f"tick-{n}"
        version = await store.stream_version(stream)
        done = await store.append(stream, [tick(n, version)], expected=version)
        stored = (await store.raw_all(after=done.position - 1, limit=1))[0]
        records: list[Record] = [record_of(stored, "tick", "/naive")]
        await CrashingPublisher(publisher, point).publish(records)


async def main(
    what: str,
    broker_url: str,
    url: str,
    number: str = "0",
    side: str = "before",
    how: str = "SIGKILL",
    *of: str,
) -> None:
    """Do it once, unless killed on the way."""
    point = KillPoint(int(number) or None, side, signal.Signals[how])
    work = {"relay": _relay, "unfenced": _unfenced, "naive": _naive}[what]
    words = "done"
    async with log(url) as store, sender(broker_url) as publisher:
        try:
            await work(store, publisher, point, *(of or ("relay-a", "60")))
        except GoldseamError as error:
            words = type(error).__name__
    print(words, flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
