"""What every broker behind the port must do; each broker's own module runs these tests.

Subclass ``BrokerKit`` and give a fixture ``broker``. A capability that is not declared is tried
too: the broker must say that it has not got it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from uuid import uuid4

import pytest

from goldseam.broker.errors import (
    BrokerError,
    BrokerUnreachable,
    FencedMember,
    NotRunHere,
    RecordRefused,
)
from goldseam.broker.port import Admin, Broker, Membership, Subscription, Topic
from goldseam.broker.record import Partition, Received, Record
from tests.support.eventually import eventually

PARTITIONS = 4
PATIENCE_SECONDS = 30.0
"""How long a group may take to settle."""

SESSION_SECONDS = 6.0
QUIET_POLLS = 5


class Owner:
    """A listener that remembers what it was told."""

    def __init__(self) -> None:
        self.assigned_: list[Partition] = []
        self.revoked_: list[Partition] = []
        self.lost_: list[Partition] = []

    async def assigned(self, partitions: Collection[Partition]) -> None:
        self.assigned_ += partitions

    async def revoked(self, partitions: Collection[Partition]) -> None:
        self.revoked_ += partitions

    async def lost(self, partitions: Collection[Partition]) -> None:
        self.lost_ += partitions


def numbered(topic: str, key: bytes | None, count: int, first: int = 0) -> list[Record]:
    """Records whose values are their numbers."""
    return [Record(topic, key, str(n).encode()) for n in range(first, first + count)]


def fresh(word: str) -> str:
    """A name that no other test uses."""
    return f"{word}-{uuid4().hex[:12]}"


async def collected(
    subscription: Subscription, until: Callable[[list[Received]], bool]
) -> list[Received]:
    """Poll until ``until`` holds."""
    found: list[Received] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not until(found):
            found += await subscription.poll(500, 0.2)
    return found


def at_least(count: int) -> Callable[[list[Received]], bool]:
    """That there are so many."""
    return lambda found: len(found) >= count


def by_key(found: Sequence[Received]) -> dict[bytes | None, list[bytes | None]]:
    """The values of each key in the order of delivery."""
    values: dict[bytes | None, list[bytes | None]] = defaultdict(list)
    for one in found:
        values[one.key].append(one.value)
    return values


async def shared(*members: Subscription) -> None:
    """Poll all members until every partition has an owner and every member some."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            for one in members:
                await one.poll(1, 0.05)
            owned = [place for one in members for place in one.assigned]
            if len(owned) == len(set(owned)) == PARTITIONS and all(m.assigned for m in members):
                return


class BrokerKit:
    """The tests."""

    @pytest.fixture
    async def topic(self, broker: Broker) -> str:
        """A topic of its own for each test."""
        name = fresh("kit")
        admin = await broker.admin()
        replication = 3 if broker.capabilities.replicated else 1
        assert await admin.create(Topic(name=name, partitions=PARTITIONS, replication=replication))
        await admin.close()
        return name

    async def member(
        self, broker: Broker, topic: str, group: str, instance: str | None = None
    ) -> Subscription:
        """A member of ``group``."""
        membership = Membership(group=group, instance=instance, session_seconds=SESSION_SECONDS)
        return await broker.subscribe([topic], membership, Owner())

    async def test_order_is_kept_for_each_key(self, broker: Broker, topic: str) -> None:
        """Records of a key arrive as they were sent, from one partition."""
        publisher = await broker.publisher()
        sent = [Record(topic, f"key-{n % 7}".encode(), str(n).encode()) for n in range(1_000)]
        placed = await publisher.publish(sent)
        subscription = await self.member(broker, topic, fresh("group"))
        found = await collected(subscription, at_least(1_000))
        for n in range(7):
            mine = [str(i).encode() for i in range(n, 1_000, 7)]
            assert mine == by_key(found)[f"key-{n}".encode()]
        places: dict[bytes | None, set[int]] = defaultdict(set)
        for one in found:
            places[one.key].add(one.partition)
        assert {1} == {len(some) for some in places.values()}
        where = {(one.partition, one.offset): one.value for one in found}
        assert [one.value for one in sent] == [where[p.partition, p.offset] for p in placed]
        await subscription.close()
        await publisher.close()

    async def test_bytes_arrive_as_they_were_sent(self, broker: Broker, topic: str) -> None:
        """Header names may repeat, values may be empty, a value may be missing."""
        headers = (("a", b"1"), ("a", b"\xff\x00"), ("empty", b""), ("näme", "wört".encode()))
        publisher = await broker.publisher()
        sent = [
            Record(topic, b"k\x00\xff", b"\x00\x01", headers, 1_700_000_000_123),
            Record(topic, b"k\x00\xff", None, (), 1_700_000_000_124),
        ]
        await publisher.publish(sent)
        subscription = await self.member(broker, topic, fresh("group"))
        found = await collected(subscription, at_least(2))
        said = [(one.key, one.value, one.headers, one.timestamp_ms) for one in found]
        assert [(one.key, one.value, one.headers, one.timestamp_ms) for one in sent] == said
        await subscription.close()
        await publisher.close()

    async def test_overlapping_calls_keep_their_order(self, broker: Broker, topic: str) -> None:
        """Ten calls at once are stored one after the other."""
        publisher = await broker.publisher()
        calls = [publisher.publish(numbered(topic, b"one", 50, n * 50)) for n in range(10)]
        await asyncio.gather(*calls)
        subscription = await self.member(broker, topic, fresh("group"))
        found = await collected(subscription, at_least(500))
        assert [str(n).encode() for n in range(500)] == [one.value for one in found]
        await subscription.close()
        await publisher.close()

    async def test_each_group_gets_everything(self, broker: Broker, topic: str) -> None:
        """Two groups do not take records from one another."""
        publisher = await broker.publisher()
        await publisher.publish(numbered(topic, None, 100))
        for _ in range(2):
            subscription = await self.member(broker, topic, fresh("group"))
            found = await collected(subscription, at_least(100))
            assert 100 == len({one.value for one in found})
            await subscription.close()
        await publisher.close()

    async def test_members_share_the_partitions(self, broker: Broker, topic: str) -> None:
        """Two members of a group get each record once between them; who leaves is replaced."""
        group = fresh("group")
        one, other = [await self.member(broker, topic, group) for _ in range(2)]
        await shared(one, other)
        publisher = await broker.publisher()
        await publisher.publish(
            [Record(topic, f"key-{n}".encode(), str(n).encode()) for n in range(200)]
        )
        found: list[Received] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(found) < 200:
                found += [*await one.poll(500, 0.1), *await other.poll(500, 0.1)]
        assert sorted(str(n).encode() for n in range(200)) == sorted(r.value or b"" for r in found)
        for subscription in (one, other):
            mine = [r for r in found if r.place in subscription.assigned]
            ends = {r.place: r.offset + 1 for r in mine}
            await subscription.commit(ends)
        await one.close()
        await publisher.publish(numbered(topic, None, 40, 1_000))
        more = await collected(other, at_least(40))
        assert {str(n).encode() for n in range(1_000, 1_040)} == {r.value for r in more}
        await other.close()
        await publisher.close()

    async def test_what_is_not_committed_comes_again(self, broker: Broker, topic: str) -> None:
        """A member that ends without a commit leaves its records to the next one."""
        group = fresh("group")
        publisher = await broker.publisher()
        await publisher.publish(numbered(topic, b"k", 10))
        first = await self.member(broker, topic, group)
        found = await collected(first, at_least(10))
        await first.commit({found[3].place: found[3].offset + 1})
        await first.close()
        second = await self.member(broker, topic, group)
        again = await collected(second, at_least(6))
        assert [str(n).encode() for n in range(4, 10)] == [one.value for one in again]
        known = await second.committed([found[3].place])
        assert {found[3].place: found[3].offset + 1} == known
        await second.close()
        await publisher.close()

    async def test_pause_resume_and_seek(self, broker: Broker, topic: str) -> None:
        """A paused partition delivers nothing and stays owned; a seek goes back."""
        publisher = await broker.publisher()
        await publisher.publish(numbered(topic, b"k", 5))
        subscription = await self.member(broker, topic, fresh("group"))
        place = (await collected(subscription, at_least(5)))[0].place
        await subscription.pause([place])
        await publisher.publish(numbered(topic, b"k", 5, 5))
        for _ in range(QUIET_POLLS):
            assert [] == list(await subscription.poll(10, 0.1))
        assert place in subscription.assigned
        await subscription.resume([place])
        found = await collected(subscription, at_least(5))
        assert [str(n).encode() for n in range(5, 10)] == [one.value for one in found]
        await subscription.seek(place, 2)
        found = await collected(subscription, at_least(8))
        assert [str(n).encode() for n in range(2, 10)] == [one.value for one in found]
        await subscription.close()
        await publisher.close()

    async def test_a_member_that_was_passed_over_cannot_commit(
        self, broker: Broker, topic: str
    ) -> None:
        """A silent member's partitions move; its late commit is refused and stores nothing."""
        group = fresh("group")
        publisher = await broker.publisher()
        await publisher.publish(numbered(topic, b"k", 5))
        silent = await self.member(broker, topic, group, "same-place")
        place = (await collected(silent, at_least(5)))[0].place
        twin = await self.member(broker, topic, group, "same-place")
        await collected(twin, at_least(5))
        with pytest.raises(FencedMember):
            await silent.commit({place: 5})
        await twin.commit({place: 2})
        assert {place: 2} == dict(await twin.committed([place]))
        await twin.close()
        await publisher.close()

    async def test_a_static_member_finds_its_partitions_again(
        self, broker: Broker, topic: str
    ) -> None:
        """Within its session a restart moves no partition of anybody."""
        if not broker.capabilities.static_membership:
            pytest.skip("this broker declares no static membership")
        group = fresh("group")
        one = await self.member(broker, topic, group, "one")
        other = await self.member(broker, topic, group, "other")
        await shared(one, other)
        mine, theirs = one.assigned, other.assigned
        await one.close()
        for _ in range(QUIET_POLLS):
            await other.poll(1, 0.2)
        assert theirs == other.assigned
        again = await self.member(broker, topic, group, "one")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not again.assigned:
                await again.poll(1, 0.1)
                await other.poll(1, 0.1)
        assert (mine, theirs) == (again.assigned, other.assigned)
        await again.close()
        await other.close()

    async def test_the_desk_tells_and_prepares(self, broker: Broker, topic: str) -> None:
        """Topics, what they hold, groups, members and offsets."""
        admin, publisher, group = await broker.admin(), await broker.publisher(), fresh("group")
        assert not await admin.create(Topic(name=topic, partitions=1, replication=1))
        assert PARTITIONS == (await admin.topics())[topic].partitions
        placed = await publisher.publish(numbered(topic, b"k", 10))
        place = Partition(topic, placed[0].partition)
        spans = await admin.spans(topic)
        assert PARTITIONS == len(spans)
        assert (0, 10) == (spans[place].low, spans[place].high)
        assert [b"4", b"5"] == [one.value for one in await admin.read(place, 4, 2)]
        assert [] == list(await admin.read(place, 10, 2))
        subscription = await self.member(broker, topic, group)
        await collected(subscription, at_least(10))
        await subscription.commit({place: 7})
        assert group in await admin.groups()
        assert 7 == (await admin.offsets(group))[place]
        members = await admin.members(group)
        assert {PARTITIONS} == {len(one.partitions) for one in members}
        with pytest.raises(BrokerError):
            await admin.set_offsets(group, {place: 3})
        await subscription.close()
        await self._moved(admin, group, place)
        await publisher.close()
        await admin.close()

    async def _moved(self, admin: Admin, group: str, place: Partition) -> None:
        async def empty() -> bool:
            return not await admin.members(group)

        await eventually(empty)
        await admin.set_offsets(group, {place: 3})
        assert 3 == (await admin.offsets(group))[place]

    async def test_what_can_never_be_stored_is_refused(self, broker: Broker, topic: str) -> None:
        """A record of 20 MB; and the publisher goes on afterwards."""
        publisher = await broker.publisher()
        with pytest.raises(RecordRefused):
            await publisher.publish([Record(topic, b"k", b"x" * 20_000_000)])
        assert 1 == len(await publisher.publish([Record(topic, b"k", b"small")]))
        await publisher.close()

    async def test_the_newer_group_protocol(self, broker: Broker, topic: str) -> None:
        """A broker that knows it delivers; one that does not says so."""
        membership = Membership(group=fresh("group"), protocol="consumer")
        if not broker.capabilities.consumer_protocol:
            with pytest.raises(NotRunHere):
                await broker.subscribe([topic], membership, Owner())
            return
        publisher = await broker.publisher()
        await publisher.publish(numbered(topic, b"k", 5))
        subscription = await broker.subscribe([topic], membership, Owner())
        found = await collected(subscription, at_least(5))
        assert [str(n).encode() for n in range(5)] == [one.value for one in found]
        await subscription.close()
        await publisher.close()

    async def test_a_closed_subscription_says_so(self, broker: Broker, topic: str) -> None:
        """Whoever asks it for records in a loop would never wait, and hear nothing."""
        subscription = await self.member(broker, topic, fresh("group"))
        await subscription.close()
        with pytest.raises(BrokerUnreachable, match="closed"):
            await subscription.poll(1, 0.1)

    async def test_everything_may_be_closed_twice(self, broker: Broker, topic: str) -> None:
        """Closing again does nothing."""
        subscription = await self.member(broker, topic, fresh("group"))
        await subscription.poll(1, 0.1)
        for one in (subscription, await broker.publisher(), await broker.admin(), broker):
            await one.close()
            await one.close()
