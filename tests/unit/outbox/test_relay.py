"""What is committed reaches its topic, in order, under the same id however often it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest

from goldseam import ANY, EventStore, Registry, open_store
from goldseam.broker.cloudevents import envelope_of
from goldseam.broker.embedded import EmbeddedBroker
from goldseam.broker.errors import BrokerUnreachable
from goldseam.broker.port import Placed, Publisher
from goldseam.broker.record import Record
from goldseam.leadership.errors import LeaseLost
from goldseam.outbox import checkpoint, relay
from goldseam.outbox.errors import RelayFenced, ShardsChanged
from goldseam.outbox.relay import Relay
from goldseam.outbox.routing import by_category, to_topic
from goldseam.outbox.sources import LogSource
from goldseam.resilience.clock import SystemClock, uuid7_bytes
from goldseam.runtime.wiring import open_database
from tests.support.eventually import eventually

types = Registry()
STREAMS, EACH = 7, 20


@types.event
class DepositApplied(msgspec.Struct, frozen=True):
    amount: int


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[EventStore]:
    async with await open_store(store_url, registry=types) as store:
        for n in range(EACH):
            for stream in range(STREAMS):
                await store.append(f"account-{stream}", [DepositApplied(n)], expected=ANY)
        yield store


@pytest.fixture
async def broker(tmp_path: object) -> AsyncIterator[EmbeddedBroker]:
    broker = EmbeddedBroker(
        open_database(f"sqlite:///{tmp_path}/broker.db"), SystemClock(), uuid7_bytes
    )
    yield broker
    await broker.close()


class LosesAnswers:
    """Stores what it is given and then says that nobody answered, as often as told."""

    def __init__(self, inner: Publisher, times: int) -> None:
        self._inner, self._left = inner, times

    async def publish(self, records: Sequence[Record]) -> Sequence[Placed]:
        placed = await self._inner.publish(records)
        if self._left:
            self._left -= 1
            raise BrokerUnreachable("the answer was lost")
        return placed

    async def close(self) -> None:
        await self._inner.close()


class Slow:
    """Takes several batches at once and answers late; what was the most it had on its hands."""

    in_flight_max = 4

    def __init__(self, inner: Publisher) -> None:
        self._inner = inner
        self.batches = self.most_batches = 0

    async def publish(self, records: Sequence[Record]) -> Sequence[Placed]:
        self.batches += 1
        self.most_batches = max(self.most_batches, self.batches)
        await asyncio.sleep(0.05)
        placed = await self._inner.publish(records)
        self.batches -= 1
        return placed

    async def close(self) -> None:
        await self._inner.close()


def relay_of(
    store: EventStore, publisher: Publisher, holder: str = "ann", *, shard: int = 0, shards: int = 1
) -> Relay:
    """A relay of the store's accounts."""
    return Relay(
        "main",
        LogSource(store, by_category()),
        publisher,
        store.database,
        SystemClock(),
        holder=holder,
        shard=shard,
        shards=shards,
        batch_events=16,
    )


async def on_topic(broker: EmbeddedBroker, topic: str = "account") -> list[tuple[str, int, bytes]]:
    """Stream, version and id of everything on the topic, partition by partition."""
    admin = await broker.admin()
    found = []
    for place, span in (await admin.spans(topic)).items():
        for one in await admin.read(place, span.low, 10_000):
            envelope = envelope_of(one)
            found.append((envelope.stream, envelope.version, envelope.id_bytes))
    return found


def first_seen(found: Sequence[tuple[str, int, bytes]]) -> dict[str, list[int]]:
    """The versions of each stream in the order of their first arrival."""
    versions: dict[str, list[int]] = {}
    seen = set()
    for stream, version, id_ in found:
        if id_ not in seen:
            seen.add(id_)
            versions.setdefault(stream, []).append(version)
    return versions


async def _all_relayed(relay: Relay) -> bool:
    return (await relay.status()).pending == 0


async def _relayed(relay: Relay, position: int) -> bool:
    return (await relay.status()).position >= position


EVERYTHING = {f"account-{n}": list(range(1, EACH + 1)) for n in range(STREAMS)}


async def test_the_log_is_relayed_in_order(store: EventStore, broker: EmbeddedBroker) -> None:
    """Every event once, each stream in the order of its versions."""
    relay = relay_of(store, await broker.publisher())
    assert await store.head() == await relay.flush()
    found = await on_topic(broker)
    assert EVERYTHING == first_seen(found)
    assert STREAMS * EACH == len(found)
    await store.append("account-0", [DepositApplied(1)], expected=ANY)
    await relay.flush()
    assert STREAMS * EACH + 1 == len(await on_topic(broker))


async def test_a_lost_answer_sends_again_under_the_same_id(
    store: EventStore, broker: EmbeddedBroker
) -> None:
    """Stored though nobody answered: doubled on the topic, told apart by nothing but the id."""
    relay = relay_of(store, LosesAnswers(await broker.publisher(), 3))
    running = asyncio.create_task(relay.run())
    await eventually(lambda: _all_relayed(relay))
    relay.stop()
    await running
    found = await on_topic(broker)
    assert STREAMS * EACH < len(found)
    assert EVERYTHING == first_seen(found)


async def test_it_follows_what_is_appended_later(store: EventStore, broker: EmbeddedBroker) -> None:
    """A running relay is woken by a commit."""
    relay = relay_of(store, await broker.publisher())
    running = asyncio.create_task(relay.run())
    try:
        for n in range(5):
            appended = await store.append("account-late", [DepositApplied(n)], expected=ANY)
            await eventually(lambda: _relayed(relay, appended.position))  # noqa: B023
    finally:
        relay.stop()
        await running
    assert [1, 2, 3, 4, 5] == first_seen(await on_topic(broker))["account-late"]


async def test_one_leads_and_the_other_takes_over(
    store: EventStore, broker: EmbeddedBroker
) -> None:
    """While the first holds the lease the second sends nothing; after it, it goes on."""
    ann, bob = [relay_of(store, await broker.publisher(), who) for who in ("ann", "bob")]
    running = asyncio.create_task(ann.run())
    await eventually(lambda: ann.leads)
    with pytest.raises(LeaseLost):
        await bob.flush()
    ann.stop()
    await running
    await store.append("account-0", [DepositApplied(1)], expected=ANY)
    assert await store.head() == await bob.flush()


async def test_an_overtaken_relay_cannot_move_the_checkpoint(
    store: EventStore, broker: EmbeddedBroker
) -> None:
    """Stopped past its lease and woken: its checkpoint is refused by the newer token."""
    publisher = await broker.publisher()
    ann, bob = relay_of(store, publisher, "ann"), relay_of(store, publisher, "bob")
    await ann.prepare()
    leases = ann._leases
    stale = await leases.acquire(ann.lease_name, "ann", 0.0)
    assert stale is not None
    assert await store.head() == await bob.flush()
    for position in (3, STREAMS * EACH + 5):
        with pytest.raises(RelayFenced):
            await store.database.transact(
                lambda c: checkpoint.advance(c, "main", 0, stale, position, 0)  # noqa: B023
            )
    assert await store.head() == (await bob.status()).position


async def test_shards_divide_the_streams(store: EventStore, broker: EmbeddedBroker) -> None:
    """Each stream belongs to one shard; together they relay everything once."""
    counts = []
    for shard in range(3):
        await relay_of(store, await broker.publisher(), shard=shard, shards=3).flush()
        counts.append(len(await on_topic(broker)))
    assert STREAMS * EACH == counts[-1]
    assert sorted(set(counts)) == counts
    assert EVERYTHING == first_seen(await on_topic(broker))
    with pytest.raises(ShardsChanged):
        await relay_of(store, await broker.publisher()).flush()
    await store.database.transact(lambda c: checkpoint.reshard(c, "main", 1, 0))
    assert await store.head() == await relay_of(store, await broker.publisher()).flush()


async def test_a_route_may_keep_events_inside(store: EventStore, broker: EmbeddedBroker) -> None:
    """What has no topic is passed over, and the checkpoint goes on."""
    await store.append("secret-1", [DepositApplied(1)], expected=ANY)
    routing = to_topic("public")
    source = LogSource(store, lambda e: None if e.stream.startswith("secret") else routing(e))
    relay = Relay(
        "main", source, await broker.publisher(), store.database, SystemClock(), holder="ann"
    )
    assert await store.head() == await relay.flush()
    assert EVERYTHING == first_seen(await on_topic(broker, "public"))


async def test_a_few_batches_are_on_their_way_at_once(
    store: EventStore, broker: EmbeddedBroker
) -> None:
    """As many as the publisher takes; all arrives."""
    slow = Slow(await broker.publisher())
    assert STREAMS * EACH == await relay_of(store, slow).flush()
    assert Slow.in_flight_max == slow.most_batches
    assert STREAMS * EACH == len(await on_topic(broker))


async def test_the_bytes_on_their_way_are_bounded(
    store: EventStore, broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large events do not fill the memory: one batch may be too large, a second waits for it."""
    monkeypatch.setattr(relay, "IN_FLIGHT_BYTES_MAX", 1)
    slow = Slow(await broker.publisher())
    assert STREAMS * EACH == await relay_of(store, slow).flush()
    assert slow.most_batches <= 2
    assert STREAMS * EACH == len(await on_topic(broker))
