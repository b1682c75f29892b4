"""broker/disk-full: a full disk stops brokers, loses nothing, and is seen before it comes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from goldseam.backends.kafka import KafkaBroker
from goldseam.broker.port import Admin
from goldseam.governance.broker_capacity import Capacity, capacity, look
from goldseam.governance.broker_check import Needs, check_broker
from tests.faults.kafka import (
    JARS,
    REASON,
    Load,
    broker_at,
    lost,
    new_topic,
    on_topic,
    out_of_order,
    revive,
)
from tests.faults.small_disk import fill, small_disk
from tests.support.eventually import eventually
from tools.kafka_cluster import KafkaCluster

DISK_MEGABYTES = 48
BROKERS = 3
WRITES_STOP = 2
"""So many brokers gone, and the last one takes nothing more: its own disk need not be full."""

FILLED_LEAVES_BYTES = 65_536
BALLAST_BYTES = 20_000
GIVE_UP_MS = "2000"
SEGMENT_BYTES = 1_048_576
KEEPS_ALL = {"retention.ms": "-1", "segment.bytes": str(SEGMENT_BYTES)}
"""From the guide: the cause of a full disk is a retention that does not fit it."""

FITS = {**KEEPS_ALL, "retention.bytes": str(SEGMENT_BYTES), "file.delete.delay.ms": "100"}
QUICK_RETENTION = {"log.retention.check.interval.ms": "200", "log.initial.task.delay.ms": "200"}
LOOK_SECONDS = 1.0

Disks = dict[int, Path]


@pytest.fixture
def disks() -> Iterator[Disks]:
    """A small disk for each broker."""
    with ExitStack() as stack:
        yield {n: stack.enter_context(small_disk(DISK_MEGABYTES)) for n in range(1, BROKERS + 1)}


@pytest.fixture
def cluster(tmp_path: Path, disks: Disks) -> Iterator[KafkaCluster]:
    """Three brokers on small disks."""
    if JARS is None:
        pytest.skip(REASON)
    made = KafkaCluster(tmp_path, JARS, config=QUICK_RETENTION, disks=disks)
    made.start()
    yield made
    made.remove()


def _ended(cluster: KafkaCluster) -> int:
    """How many brokers have ended."""
    return sum(not cluster.running(number) for number in cluster.numbers)


def _free(disks: Disks) -> int:
    """Bytes left on the fullest disk, as `df` tells them."""
    found = [os.statvfs(disk) for disk in disks.values()]
    return min(one.f_bavail * one.f_frsize for one in found)


async def _loaded(
    cluster: KafkaCluster, **config: str
) -> tuple[KafkaBroker, str, Load, asyncio.Task[None]]:
    """A load of records that no compression makes small."""
    broker = broker_at(cluster, **{"delivery.timeout.ms": GIVE_UP_MS})
    topic = await new_topic(broker, config=config)
    load = Load(topic, await broker.publisher(), ballast=os.urandom(BALLAST_BYTES))
    running = asyncio.create_task(load.run())
    await eventually(lambda: load.acknowledged > 0)
    return broker, topic, load, running


async def _full_and_mended(cluster: KafkaCluster, disks: Disks) -> tuple[str, int]:
    """The disks are filled under load until their brokers end; then there is room again."""
    broker, topic, load, running = await _loaded(cluster)
    fillers = [fill(disk, FILLED_LEAVES_BYTES) for disk in disks.values()]
    await eventually(lambda: _ended(cluster) >= min(len(disks), WRITES_STOP))
    before, failures = load.acknowledged, load.failures
    if len(disks) < WRITES_STOP:
        await eventually(lambda: load.acknowledged > before)
    else:
        await eventually(lambda: load.failures > failures)
        assert before == load.acknowledged
    for filler in fillers:
        filler.unlink()
    await asyncio.to_thread(revive, cluster)
    before = load.acknowledged
    await eventually(lambda: load.acknowledged > before)
    load.stop()
    await running
    await broker.close()
    return topic, load.acknowledged


async def test_one_full_disk_stops_one_broker_only(cluster: KafkaCluster, disks: Disks) -> None:
    """Writing goes on with the other two; with room again the broker comes back."""
    topic, acknowledged = await _full_and_mended(cluster, {1: disks[1]})
    found = on_topic(cluster, topic)
    assert [] == list(lost(found, acknowledged))
    assert [] == out_of_order(found)


@pytest.mark.soak
async def test_all_disks_full(cluster: KafkaCluster, disks: Disks) -> None:
    """Nothing is taken, nothing that was taken is lost, and with room again it goes on."""
    topic, acknowledged = await _full_and_mended(cluster, disks)
    found = on_topic(cluster, topic)
    assert [] == list(lost(found, acknowledged))
    assert [] == out_of_order(found)


async def _forecast(admin: Admin, topic: str, disks: Disks) -> Capacity:
    """What `goldseam broker capacity` says now."""
    topics = await admin.topics()
    first = await look(admin, [topic], time.monotonic())
    await asyncio.sleep(LOOK_SECONDS)
    last = await look(admin, [topic], time.monotonic())
    return await capacity(admin, [topics[topic]], first, last, _free(disks), brokers=BROKERS)


@pytest.mark.soak
async def test_retention_that_fits_the_disk_is_foretold_and_holds(
    cluster: KafkaCluster, disks: Disks
) -> None:
    """Capacity planning: the forecast says never, and several disks' worth is taken in peace."""
    broker, topic, load, running = await _loaded(cluster, **FITS)
    admin = await broker.admin()
    assert (await _forecast(admin, topic, disks)).verdict.startswith("ok: retention")
    enough = 3 * DISK_MEGABYTES * 1_000_000 // BALLAST_BYTES
    await eventually(lambda: load.acknowledged > enough)
    load.stop()
    await running
    assert 0 == load.failures
    assert 0 == _ended(cluster)
    await broker.close()


@pytest.mark.soak
async def test_control_retention_that_does_not_fit_stops_every_broker(
    cluster: KafkaCluster, disks: Disks
) -> None:
    """CONTROL: kept for ever, the same load ends in full disks; both commands had said so."""
    broker, topic, load, running = await _loaded(cluster, **KEEPS_ALL)
    admin = await broker.admin()
    assert (await _forecast(admin, topic, disks)).verdict.startswith("act: full in 0.0 days")
    await eventually(lambda: _free(disks) < DISK_MEGABYTES * 1_000_000 // 10)
    needs = Needs(free_bytes=_free(disks), disk_bytes=DISK_MEGABYTES * 1_048_576)
    found = await check_broker(admin, broker.capabilities, needs)
    assert ("error", "disk-headroom") in [(one.severity, one.rule) for one in found]
    await eventually(lambda: load.failures > 0)
    await eventually(lambda: _ended(cluster) >= WRITES_STOP)
    running.cancel()
    await broker.close()
