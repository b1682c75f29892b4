"""Mirrored letters: both families of headers, byte for byte, at least once, and back again."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from goldseam.broker.errors import RecordRefused
from goldseam.broker.port import Placed, Topic
from goldseam.broker.record import Partition, Received, Record
from goldseam.consumers.dead_letters.by_hand import take_in
from goldseam.consumers.dead_letters.headers import mirrored, original_headers
from goldseam.consumers.dead_letters.mirror import Mirror
from goldseam.database.connection import Database
from goldseam.errors import StoreUnavailable
from goldseam.resilience.clock import SystemClock
from goldseam.runtime.brokers import open_broker
from tests.unit.dead_letters.made import CONSUMER, ORDER, letter, parked, queued, tables

EXPECTED = {
    "__connect.errors.topic": b"orders",
    "__connect.errors.partition": b"3",
    "__connect.errors.offset": b"258",
    "__connect.errors.connector.name": b"billing",
    "__connect.errors.task.id": b"3",
    "__connect.errors.stage": b"TASK_PUT",
    "__connect.errors.class.name": b"goldseam.consumers",
    "__connect.errors.exception.class.name": b"ValueError",
    "__connect.errors.exception.message": b"no such currency",
    "__connect.errors.exception.stacktrace": b"T",
    "kafka_dlt-original-topic": b"orders",
    "kafka_dlt-original-partition": b"\x00\x00\x00\x03",
    "kafka_dlt-original-offset": b"\x00\x00\x00\x00\x00\x00\x01\x02",
    "kafka_dlt-original-timestamp": b"\x00\x00\x01\x8b\xcf\xe5\x68\x7b",
    "kafka_dlt-original-timestamp-type": b"CreateTime",
    "kafka_dlt-original-consumer-group": b"billing",
    "kafka_dlt-exception-fqcn": b"ValueError",
    "kafka_dlt-exception-cause-fqcn": b"ValueError",
    "kafka_dlt-exception-message": b"no such currency",
    "kafka_dlt-exception-stacktrace": b"T",
    "goldseam-dlq-reason": b"poison",
    "goldseam-attempts": b"5",
    "goldseam-first-failed-at": b"1970-01-01T00:00:00.000358+00:00",
    "goldseam-last-failed-at": b"1970-01-01T00:00:00.000458+00:00",
    "goldseam-redrive-count": b"0",
}


def as_received(record: Record, offset: int = 0) -> Received:
    return Received(
        record.topic, 0, offset, record.key, record.value, record.headers,
        record.timestamp_ms or 0,
    )  # fmt: skip


def test_both_families_of_headers_are_exact() -> None:
    """Texts where Connect writes texts, big-endian numbers where Spring writes numbers."""
    one = letter(258, partition=3, trace="T")
    made = mirrored(one)
    assert one.headers == made.headers[: len(one.headers)]
    assert EXPECTED == dict(made.headers[len(one.headers) :])
    assert ("orders-dlq", one.key, one.value, one.timestamp_ms) == (
        made.topic, made.key, made.value, made.timestamp_ms,
    )  # fmt: skip
    assert "orders.DLT" == mirrored(one, ".DLT").topic


def test_a_trace_is_cut_at_8_kib_and_keeps_its_end() -> None:
    """The innermost frames are the useful ones."""
    made = dict(mirrored(letter(1, trace="é" * 9_000 + "end")).headers)
    trace = made["kafka_dlt-exception-stacktrace"]
    assert len(trace) <= 8_192
    assert trace.endswith(b"end")


async def test_a_letter_is_mirrored_once_unless_a_crash_comes_between(
    store_url: str, tmp_path: Path
) -> None:
    """The crash after the broker's answer sends it again, alike; nothing is left out."""
    broker = open_broker(f"sqlite:///{tmp_path / 'broker.db'}")
    admin = await broker.admin()
    await admin.create(Topic(name="orders", partitions=2, replication=1))
    async with tables(store_url) as database:
        await parked(database, letter(1), queued(2))
        dying = Mirror(CONSUMER, _DiesAtMark(database), broker, SystemClock())  # type: ignore[arg-type]
        with pytest.raises(StoreUnavailable):
            await dying.once()
        mirror = Mirror(CONSUMER, database, broker, SystemClock())
        assert [2, 0] == [await mirror.once(), await mirror.once()]
        found = [
            one for n in range(2) for one in await admin.read(Partition("orders-dlq", n), 0, 9)
        ]
        assert ["1", "1", "2", "2"] == sorted(
            (one.header("__connect.errors.offset") or b"").decode() for one in found
        )
        assert 2 == len({one.headers for one in found})
        assert 2 == (await admin.topics())["orders-dlq"].partitions
        await mirror.close()
    await broker.close()


async def test_one_that_the_broker_refuses_does_not_hold_the_others_back(store_url: str) -> None:
    """It stays in the database; the mirror says so and goes on."""
    broker = _Refusing(b'{"amount":2}')
    async with tables(store_url) as database:
        await parked(database, letter(1), letter(2, "b", value=b'{"amount":2}'), letter(3, "c"))
        mirror = Mirror(CONSUMER, database, broker, SystemClock())  # type: ignore[arg-type]
        assert 3 == await mirror.once()
        assert [b'{"amount":1}'] * 2 == [one.value for one in broker.stored]
        assert 0 == await mirror.once()


async def test_our_own_mirror_reads_back_as_the_same_letter(store_url: str) -> None:
    """What is imported from the dead letter topic has its first place, headers and count."""
    one = letter(258, partition=3, redrive_count=2)
    async with tables(store_url) as database:
        taken = await database.transact(
            lambda c: take_in(c, CONSUMER, [as_received(mirrored(one))], ORDER)
        )
        assert one.record == taken[0].record
        assert (2, "ValueError", 5) == (
            taken[0].redrive_count, taken[0].error_class, taken[0].attempts,
        )  # fmt: skip
        again = await database.transact(
            lambda c: take_in(c, CONSUMER, [as_received(mirrored(one))], ORDER)
        )
        assert [taken[0].id] == [two.id for two in again]


@pytest.mark.parametrize("family", ["connect", "spring"])
async def test_letters_of_other_tools_are_understood(store_url: str, family: str) -> None:
    """Place and class from either family; the text of others is left out: it may hold values."""
    headers: tuple[tuple[str, bytes], ...] = (
        ("own", b"1"),
        ("__connect.errors.topic", b"orders"),
        ("__connect.errors.partition", b"2"),
        ("__connect.errors.offset", b"77"),
        ("__connect.errors.exception.class.name", b"org.DataException"),
        ("__connect.errors.exception.message", b"bad card 4111"),
    )
    if family == "spring":
        headers = (
            ("own", b"1"),
            ("kafka_dlt-original-topic", b"orders"),
            ("kafka_dlt-original-partition", struct.pack(">i", 2)),
            ("kafka_dlt-original-offset", struct.pack(">q", 77)),
            ("kafka_dlt-exception-fqcn", b"org.DataException"),
            ("kafka_dlt-exception-message", b"bad card 4111"),
        )
    received = Received("orders-dlq", 0, 5, b"k", b"v", headers, 9)
    assert (("own", b"1"),) == original_headers(received)
    async with tables(store_url) as database:
        (one,) = await database.transact(lambda c: take_in(c, CONSUMER, [received], ORDER))
        assert ("orders", 2, 77, "org.DataException", "") == (
            one.topic, one.partition, one.offset, one.error_class, one.error,
        )  # fmt: skip
        assert (("own", b"1"),) == one.headers


async def test_a_letter_that_went_round_too_often_comes_in_quarantined(store_url: str) -> None:
    """The count travels with the record, so the loop guard works across topics."""
    received = as_received(mirrored(letter(1, redrive_count=7)))
    async with tables(store_url) as database:
        (one,) = await database.transact(lambda c: take_in(c, CONSUMER, [received], ORDER))
        assert "quarantined" == one.state


class _DiesAtMark:
    """A database that is gone when the letters are to be marked as mirrored."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner

    async def read(self, operation: Any) -> Any:
        return await self._inner.read(operation)

    async def transact(self, operation: Any) -> Any:
        raise StoreUnavailable("gone")


class _Refusing:
    """A broker that never takes one value."""

    def __init__(self, value: bytes) -> None:
        self._value = value
        self.stored: list[Record] = []

    async def admin(self) -> _Refusing:
        return self

    async def topics(self) -> dict[str, Topic]:
        return {}

    async def publisher(self, name: str) -> _Refusing:
        return self

    async def publish(self, records: Sequence[Record]) -> Sequence[Placed]:
        if any(one.value == self._value for one in records):
            raise RecordRefused("too large")
        self.stored += records
        return [Placed(0, 0) for _ in records]

    async def close(self) -> None:
        """Nothing is held."""
