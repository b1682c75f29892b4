"""broker/all-brokers-down: the region is gone; fail over to another one, and back.

MirrorMaker 2 copies the east to the west and is behind when the east dies: the west lacks what was
not copied, and its offsets are imprecise. The relay sends again what the ledger misses, and more;
consumers that know event ids apply each one once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from goldseam import EventStore
from goldseam.backends.kafka import KafkaBroker
from goldseam.consumers.modes import AtLeastOnce, EffectivelyOnce, Mode
from goldseam.consumers.runner import ConsumerRunner
from goldseam.outbox import checkpoint
from goldseam.resilience.clock import SystemClock
from tests.faults.effects import GROUP, effects_in, effects_of
from tests.faults.facts_to_kafka import Appends, accounts, drained, relay_to, relaying
from tests.faults.kafka import JARS, REASON, broker_at, new_topic, revive
from tests.support.eventually import eventually
from tests.support.relays import RELAY, log
from tests.support.river import running, target
from tests.support.ticks import registry
from tools.kafka_cluster import KafkaCluster
from tools.mirror_maker import MirrorMaker

pytestmark = pytest.mark.soak

SENT_EVENTS = 600
UNCOPIED_EVENTS = 300
OVERLAP_EVENTS = 200
"""The relay starts so far before the first event that is missing: nobody counts exactly then."""

SECONDS_MAX = 180.0


@pytest.fixture
def east(tmp_path: Path) -> Iterator[KafkaCluster]:
    """The region that is lost: three brokers."""
    yield from _region(tmp_path, "kafka-east", 3)


@pytest.fixture
def west(tmp_path: Path) -> Iterator[KafkaCluster]:
    """The region that takes over: one broker."""
    yield from _region(tmp_path, "kafka-west", 1)


def _region(root: Path, name: str, brokers: int) -> Iterator[KafkaCluster]:
    if JARS is None:
        pytest.skip(REASON)
    made = KafkaCluster(root, JARS, brokers=brokers, name=name)
    made.start()
    yield made
    made.remove()


@pytest.fixture
def mirror(east: KafkaCluster, west: KafkaCluster) -> Iterator[MirrorMaker]:
    """MirrorMaker 2 from east to west."""
    made = MirrorMaker(east, west, topics="fault-.*", groups=GROUP)
    made.start()
    yield made
    made.remove()


class Drill:
    """A store and a consumer's database that outlive the regions, and what is done to them."""

    def __init__(self, folder: Path, mode: Mode, store: EventStore, topic: str) -> None:
        self.store, self.topic, self._mode = store, topic, mode
        self.effects_url = f"sqlite:///{folder}/effects.db"
        self.appends = Appends(store)

    @asynccontextmanager
    async def in_region(self, cluster: KafkaCluster) -> AsyncIterator[ConsumerRunner]:
        """The relay and the consumer at work in one region; stopped in good order."""
        broker = broker_at(cluster)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(broker.close)
            database = await stack.enter_async_context(target(self.effects_url))
            publisher = await broker.publisher()
            self.relay = relay_to(self.store, publisher, self.topic)
            await stack.enter_async_context(relaying(self.relay))
            consumer = effects_of(self.topic, self._mode)
            runner = ConsumerRunner(consumer, broker, database, registry=registry)
            yield await stack.enter_async_context(running(runner))

    async def send_again_to(self, cluster: KafkaCluster) -> int:
        """Set the relay back to before the first event that this region lacks; how many it does."""
        broker = broker_at(cluster)
        missing = (await accounts(self.store, broker, self.topic)).missing
        await broker.close()
        clock = SystemClock()
        back = max(await self.store.head() - missing - OVERLAP_EVENTS, 0)
        await self.store.database.transact(
            lambda c: checkpoint.rewind(c, RELAY, back, clock.now_us())
        )
        return missing

    async def more(self, events: int) -> None:
        """Wait until so many more are appended."""
        wanted = len(self.appends.acknowledged) + events
        await eventually(lambda: len(self.appends.acknowledged) >= wanted, SECONDS_MAX)

    async def applied(self) -> None:
        """Wait until everything that is acknowledged by now has an effect."""
        wanted = {str(one) for one in self.appends.acknowledged}
        await eventually(lambda: wanted <= set(effects_in(self.effects_url)), SECONDS_MAX)


async def _group_is_there(broker: KafkaBroker) -> bool:
    """Whether the translated offsets have arrived."""
    admin = await broker.admin()
    found = await admin.offsets(GROUP)
    await admin.close()
    return bool(found) and sum(found.values()) > 0


async def _east_is_lost(
    drill: Drill, east: KafkaCluster, west: KafkaCluster, mirror: MirrorMaker
) -> None:
    """East works and is copied; then the copying ends first, and the region with it."""
    there = broker_at(west)
    async with drill.in_region(east):
        await drill.more(SENT_EVENTS)
        await eventually(lambda: _group_is_there(there), SECONDS_MAX)
        mirror.kill()
        await drill.more(UNCOPIED_EVENTS)
        await drill.applied()
    for number in east.numbers:
        east.kill(number)
    await there.close()


async def _there_and_back(
    folder: Path, mode: Mode, east: KafkaCluster, west: KafkaCluster, mirror: MirrorMaker
) -> Drill:
    """East, then west, then east again, while events are appended all the time."""
    broker = broker_at(east)
    topic = await new_topic(broker)
    await broker.close()
    async with log(f"sqlite:///{folder}/store.db") as store:
        drill = Drill(folder, mode, store, topic)
        appending = asyncio.create_task(drill.appends.run())
        await _east_is_lost(drill, east, west, mirror)
        assert await drill.send_again_to(west) >= UNCOPIED_EVENTS
        async with drill.in_region(west):
            await drill.more(SENT_EVENTS)
            await asyncio.to_thread(revive, east)
        await drill.send_again_to(east)
        async with drill.in_region(east):
            await drill.more(SENT_EVENTS)
            drill.appends.stop()
            await appending
            await eventually(lambda: drained(drill.relay), SECONDS_MAX)
            await drill.applied()
        again = broker_at(east)
        found = await accounts(store, again, topic)
        await again.close()
    assert found.balanced
    assert found.resent > 0
    return drill


async def test_over_and_back_loses_and_doubles_nothing(
    tmp_path: Path, east: KafkaCluster, west: KafkaCluster, mirror: MirrorMaker
) -> None:
    """Every acknowledged event has one effect, whichever region it went through, or both."""
    drill = await _there_and_back(tmp_path, EffectivelyOnce(), east, west, mirror)
    effects = effects_in(drill.effects_url)
    assert {str(one) for one in drill.appends.acknowledged} == set(effects)
    assert {1} == set(effects.values())


async def test_control_without_dedup_effects_are_doubled(
    tmp_path: Path, east: KafkaCluster, west: KafkaCluster, mirror: MirrorMaker
) -> None:
    """CONTROL: the same way over and back, and a consumer that knows no ids applies twice."""
    drill = await _there_and_back(tmp_path, AtLeastOnce(), east, west, mirror)
    effects = effects_in(drill.effects_url)
    assert {str(one) for one in drill.appends.acknowledged} <= set(effects)
    assert max(effects.values()) > 1
