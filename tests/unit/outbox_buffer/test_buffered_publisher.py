"""The buffered publisher: refusals reach their caller, and one bad record holds up nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from goldseam.broker.errors import BrokerUnreachable, RecordRefused
from goldseam.broker.port import Placed
from goldseam.broker.record import Record
from goldseam.errors import InvalidInput
from goldseam.outbox.buffer.publisher import BufferedPublisher
from goldseam.outbox.buffer.queue import LocalBuffer
from goldseam.runtime.wiring import open_database
from tests.support.hand_clock import HandClock

BAD = b"bad"


class Picky:
    """Refuses whatever has a bad record in it; can be gone."""

    def __init__(self) -> None:
        self.gone = False
        self.log: list[bytes | None] = []

    async def publish(self, records: Sequence[Record]) -> Sequence[Placed]:
        await asyncio.sleep(0)
        if self.gone:
            raise BrokerUnreachable("nobody answers")
        if any(one.value == BAD for one in records):
            raise RecordRefused("never")
        self.log += [one.value for one in records]
        return [Placed(0, 0) for _ in records]

    async def close(self) -> None:
        """Nothing to give back."""


def made(broker: Picky, tmp_path: Path) -> tuple[BufferedPublisher, LocalBuffer]:
    """A publisher to ``broker`` with a new buffer."""
    clock = HandClock()
    buffer = LocalBuffer("unit", open_database(f"sqlite:///{tmp_path}/b.db"), clock)
    return BufferedPublisher(broker, buffer, sleep=lambda _: asyncio.sleep(0.001)), buffer


async def test_a_refusal_reaches_only_its_caller(tmp_path: Path) -> None:
    """Of calls that went out together only the one with the bad record fails."""
    broker = Picky()
    publisher, _ = made(broker, tmp_path)
    async with publisher:
        ends = await asyncio.gather(
            *(publisher.publish([Record("t", b"k", v)]) for v in (b"1", BAD, b"2")),
            return_exceptions=True,
        )
    assert ["broker", RecordRefused, "broker"] == [
        type(end) if isinstance(end, Exception) else end for end in ends
    ]
    assert [b"1", b"2"] == broker.log


async def test_a_refused_record_in_the_buffer_is_set_aside(tmp_path: Path) -> None:
    """What the broker refuses after it was buffered stays in the file; the rest flows."""
    broker = Picky()
    broker.gone = True
    publisher, buffer = made(broker, tmp_path)
    async with publisher:
        for value in (b"1", BAD, b"2"):
            assert await publisher.publish([Record("t", b"k", value)]) == "buffer"
        broker.gone = False
        await publisher.drained()
    assert [b"1", b"2"] == broker.log
    assert [BAD] == [one.record().value for one in await buffer.aside()]


async def test_not_entered(tmp_path: Path) -> None:
    """A publisher that was never entered takes nothing."""
    publisher, _ = made(Picky(), tmp_path)
    with pytest.raises(InvalidInput, match="async with"):
        await publisher.publish([Record("t", None, b"1")])
