"""producer/broker-unreachable: what was acknowledged is published, once by id, in order.

The broker refuses, flaps, and keeps what it did not answer for; the process is killed with a full
buffer; the disk fills. The controls lose messages without the buffer and storm without the breaker.
"""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from goldseam.broker.errors import BrokerUnreachable
from goldseam.broker.port import Placed, Publisher
from goldseam.broker.record import Record
from goldseam.outbox.buffer.errors import BufferFull, BufferTaken
from goldseam.outbox.buffer.publisher import BufferedPublisher
from goldseam.outbox.buffer.queue import RETRY_AFTER_SECONDS, LocalBuffer
from goldseam.outbox.guarded import GuardedPublisher, broker_breaker
from goldseam.resilience.breaker import Breaker, BreakerLimits
from goldseam.resilience.clock import SystemClock
from goldseam.runtime.wiring import open_database
from goldseam.telemetry.signals import signals
from tests.faults.small_disk import fill, small_disk
from tests.support.hand_clock import HandClock

RECORDS = 120
FLAP_SECONDS = 2.0
OUTAGE_SECONDS = 60.0
LIMITS = BreakerLimits(minimum_calls=5, open_seconds=5, trial_calls=1)

KILLED = """
import asyncio, os, signal, sys
from goldseam.broker.record import Record
from goldseam.outbox.buffer.errors import BufferFull
from goldseam.outbox.buffer.queue import RETRY_AFTER_SECONDS, LocalBuffer
from goldseam.resilience.clock import SystemClock
from goldseam.runtime.wiring import open_database

async def main():
    buffer = LocalBuffer("killed", open_database(sys.argv[1]), SystemClock(), records_max=50)
    await buffer.open()
    for n in range(1000):
        try:
            await buffer.append([Record("orders", b"k", b"%d" % n)])
        except BufferFull:
            print("full", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        print(n, flush=True)

asyncio.run(main())
"""


def record(n: int) -> Record:
    """The ``n``-th record of one key."""
    return Record("orders", b"k", b"%d" % n)


class Shaky:
    """A broker that can be gone, or store without answering; counts the attempts."""

    def __init__(self) -> None:
        self.gone = self.mute = False
        self.attempts = 0
        self.log: list[bytes | None] = []

    async def publish(self, records: Sequence[Record]) -> Sequence[Placed]:
        self.attempts += 1
        await asyncio.sleep(0)
        if self.gone:
            raise BrokerUnreachable("nobody answers")
        self.log += [one.value for one in records]
        if self.mute:
            raise BrokerUnreachable("stored, but the answer is lost")
        return [Placed(0, len(self.log)) for _ in records]

    async def close(self) -> None:
        """Nothing to give back."""

    def by_id(self) -> list[bytes | None]:
        """What a consumer that knows ids gets: the first of each."""
        return list(dict.fromkeys(self.log))


def buffer_at(tmp_path: Path, clock: HandClock | SystemClock, **limits: int) -> LocalBuffer:
    """A buffer in a file of the test."""
    return LocalBuffer("test", open_database(f"sqlite:///{tmp_path}/buffer.db"), clock, **limits)


def guarded(broker: Publisher, clock: HandClock | SystemClock) -> GuardedPublisher:
    """``broker`` behind a breaker with the limits of this file."""
    return GuardedPublisher(broker, broker_breaker("test", clock, LIMITS))


async def hand_sleep(clock: HandClock, seconds: float) -> None:
    """Time passes by hand, and others get their turn."""
    await asyncio.sleep(0.001)
    clock.seconds += seconds


async def test_down_and_back(tmp_path: Path) -> None:
    """What was taken while the broker was gone arrives after it is back, in order, once."""
    broker, clock = Shaky(), HandClock()
    buffer = buffer_at(tmp_path, clock)
    held = []
    async with BufferedPublisher(
        guarded(broker, clock), buffer, sleep=lambda s: hand_sleep(clock, s)
    ) as publisher:
        for n in range(RECORDS):
            broker.gone = 20 <= n < 80
            held.append(await publisher.publish([record(n)]))
        await publisher.drained()
    assert [b"%d" % n for n in range(RECORDS)] == broker.log
    assert ["broker"] * 20 + ["buffer"] * 60 == held[:80]


async def test_control_without_a_buffer_messages_are_lost() -> None:
    """CONTROL: a publisher that only tries loses what falls into the outage."""
    broker = Shaky()
    for n in range(RECORDS):
        broker.gone = 20 <= n < 80
        try:
            await broker.publish([record(n)])
        except BrokerUnreachable:
            continue
    assert RECORDS - 60 == len(broker.log)


async def test_stored_without_an_answer(tmp_path: Path) -> None:
    """A broker that stores but does not answer: repeats have the same id, order holds."""
    broker, clock = Shaky(), HandClock()
    buffer = buffer_at(tmp_path, clock)
    async with BufferedPublisher(
        guarded(broker, clock), buffer, sleep=lambda s: hand_sleep(clock, s)
    ) as publisher:
        for n in range(RECORDS):
            broker.mute = n % 10 == 3
            await publisher.publish([record(n)])
        broker.mute = False
        await publisher.drained()
    assert [b"%d" % n for n in range(RECORDS)] == broker.by_id()
    assert len(broker.log) > RECORDS


async def _attempts_while_flapping(tmp_path: Path, limits: BreakerLimits) -> int:
    """How often a drainer tries within a minute of a broker that is up one flap in four."""
    broker, clock = Shaky(), HandClock()
    begun = clock.seconds
    breaker = Breaker("flap", clock, limits, (BrokerUnreachable,))
    buffer = buffer_at(tmp_path, clock, records_max=100_000)

    async def sleep(seconds: float) -> None:
        await hand_sleep(clock, seconds)
        passed = clock.seconds - begun
        broker.gone = passed < OUTAGE_SECONDS and int(passed / FLAP_SECONDS) % 4 != 3

    broker.gone = True
    async with BufferedPublisher(GuardedPublisher(broker, breaker), buffer, sleep=sleep) as one:
        for n in range(RECORDS):
            await one.publish([record(n)])
            await sleep(0.5)
        broker.gone = False
        await one.drained()
    assert [b"%d" % n for n in range(RECORDS)] == broker.by_id()
    return broker.attempts


async def test_flapping_is_no_storm(tmp_path: Path) -> None:
    """Two minutes of traffic over a flapping broker: order holds, tries stay within a budget."""
    assert await _attempts_while_flapping(tmp_path, LIMITS) <= 2 * RECORDS


async def test_an_outage_costs_few_tries() -> None:
    """200 calls into an outage: at most the minimum, then one trial per pause."""
    broker, clock = Shaky(), HandClock()
    broker.gone = True
    publisher = guarded(broker, clock)
    for _ in range(200):
        with pytest.raises(Exception, match=r"nobody answers|is open"):
            await publisher.publish([record(0)])
        clock.seconds += 0.1
    assert LIMITS.minimum_calls + 20 / LIMITS.open_seconds >= broker.attempts


async def test_control_without_a_breaker_every_call_tries() -> None:
    """CONTROL: without a breaker each of 200 calls goes out into the outage."""
    broker = Shaky()
    broker.gone = True
    for _ in range(200):
        with pytest.raises(BrokerUnreachable):
            await broker.publish([record(0)])
    assert broker.attempts == 200


async def test_full_buffer_refuses_and_loses_nothing(tmp_path: Path) -> None:
    """A full buffer refuses the next; all it had said yes to arrives."""
    broker, clock = Shaky(), HandClock()
    broker.gone = True
    taken = []
    pauses = set()
    refused_before = signals.value("goldseam_buffer_refused_total", buffer="test")
    async with BufferedPublisher(
        guarded(broker, clock),
        buffer_at(tmp_path, clock, records_max=30),
        sleep=lambda s: hand_sleep(clock, s),
    ) as publisher:
        for n in range(RECORDS):
            try:
                await publisher.publish([record(n)])
            except BufferFull as full:
                pauses.add(full.retry_after_seconds)
                continue
            taken.append(b"%d" % n)
        broker.gone = False
        await publisher.drained()
    assert len(taken) == 30
    assert {RETRY_AFTER_SECONDS} == pauses
    assert taken == broker.log
    assert 90 == signals.value("goldseam_buffer_refused_total", buffer="test") - refused_before


async def test_killed_with_a_full_buffer(tmp_path: Path) -> None:
    """A SIGKILL with a full buffer: the next process publishes all that was acknowledged."""
    url = f"sqlite:///{tmp_path}/buffer.db"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, url, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert -signal.SIGKILL == process.returncode
    acknowledged = [line for line in out.splitlines() if line != b"full"]
    assert len(acknowledged) == 50
    broker = Shaky()
    async with BufferedPublisher(broker, buffer_at(tmp_path, SystemClock())) as publisher:
        await publisher.drained()
    assert acknowledged == broker.log


async def test_full_disk_refuses_and_loses_nothing() -> None:
    """On a full disk the buffer refuses like a full buffer; what it took before arrives."""
    with small_disk(2) as folder:
        broker, clock = Shaky(), HandClock()
        broker.gone = True
        taken, refused = [], 0
        async with BufferedPublisher(
            guarded(broker, clock), buffer_at(folder, clock), sleep=lambda s: hand_sleep(clock, s)
        ) as publisher:
            await publisher.publish([record(0)])
            taken.append(b"0")
            filler = fill(folder)
            for n in range(1, 400):
                try:
                    await publisher.publish([record(n)])
                except BufferFull:
                    refused += 1
                else:
                    taken.append(b"%d" % n)
            assert refused > 0
            filler.unlink()
            broker.gone = False
            await publisher.drained()
    assert taken == broker.by_id()


async def test_a_damaged_record_does_not_hold_up_the_rest(tmp_path: Path) -> None:
    """Bytes that changed on the disk are not published; they are set aside, the rest flows."""
    broker, clock = Shaky(), HandClock()
    buffer = buffer_at(tmp_path, clock)
    await buffer.open()
    await buffer.append([record(n) for n in range(3)])
    with sqlite3.connect(tmp_path / "buffer.db") as raw:
        raw.execute("UPDATE goldseam_buffer SET record = x'00' WHERE number = 2")
    raw.close()
    async with BufferedPublisher(guarded(broker, clock), buffer) as publisher:
        await publisher.drained()
    assert [b"0", b"2"] == broker.log
    assert [2] == [one.number for one in await buffer.aside()]


async def test_one_file_one_process(tmp_path: Path) -> None:
    """Who opened the file last has it; the one before is refused and takes nothing."""
    old, new = buffer_at(tmp_path, HandClock()), buffer_at(tmp_path, HandClock())
    await old.open()
    await new.open()
    with pytest.raises(BufferTaken):
        await old.append([record(1)])
    await new.append([record(2)])
    assert [record(2)] == [one.record() for one in await new.head()]
