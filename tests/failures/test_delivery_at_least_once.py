"""delivery/at-least-once: retried until it is acknowledged, with a bound and a letter behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from goldseam.consumers.errors import NoPlaceForLetters
from goldseam.consumers.modes import AtLeastOnce
from goldseam.consumers.runner import ConsumerRunner
from tests.projections.bank import Outside
from tests.support.consumers import POISON, Elsewhere, fact, facts
from tests.support.river import drain, river, running, send, target, until

KEYS, EACH = 6, 5


class _Moody(Elsewhere):
    """Fails the first two tries of each record."""

    def __init__(self) -> None:
        super().__init__()
        self.tries: dict[tuple[str, int], int] = {}

    async def apply_batch(self, events: Sequence[Any], db: Any) -> None:
        for event in events:
            key = event.stream, event.version
            self.tries[key] = self.tries.get(key, 0) + 1
            if self.tries[key] < 3:
                raise ConnectionError("not now")
        await super().apply_batch(events, db)


async def test_it_is_tried_until_it_works(broker_url: str) -> None:
    """Two failures of each record later all are there, in order, none given up."""
    moody = _Moody()
    async with river(broker_url) as broker:
        await send(broker, facts(KEYS, EACH))
        runner = await drain(moody, broker, None, KEYS * EACH)
    assert {3} == set(moody.tries.values())
    for n in range(KEYS):
        mine = [version for stream, version in moody.sent if stream == f"account-{n}"]
        assert list(range(1, EACH + 1)) == mine
    assert 0 == runner.tally.dead_lettered


async def test_tries_have_a_bound_and_a_letter_behind_it(store_url: str, broker_url: str) -> None:
    """A record that never works stops its stream, in order; every other stream flows."""
    consumer = Elsewhere()
    records = [*facts(KEYS, 2), fact("account-0", 3, POISON), *facts(KEYS, EACH)[2 * KEYS :]]
    async with river(broker_url) as broker, target(store_url) as base:
        await send(broker, records)
        runner = await drain(consumer, broker, base, len(records))
    assert [1, 2] == [v for stream, v in consumer.sent if stream == "account-0"]
    for n in range(1, KEYS):
        mine = [version for stream, version in consumer.sent if stream == f"account-{n}"]
        assert list(range(1, EACH + 1)) == mine
    assert 4 == runner.tally.dead_lettered
    where = "SELECT count(*) FROM goldseam_dead_letters WHERE sequence = 'account-0'"
    assert [(4,)] == Outside(store_url).query(where)


async def test_control_without_a_place_for_letters_it_stops(broker_url: str) -> None:
    """Nothing to keep the record in: it stops and says so, and the record is not committed."""
    async with river(broker_url, partitions=1) as broker:
        await send(broker, [fact("a", 1), fact("a", 2, POISON), fact("a", 3)])
        runner = ConsumerRunner(Elsewhere(), broker, None, pause_seconds=0.001)
        with pytest.raises(NoPlaceForLetters):
            await runner.run()
        admin = await broker.admin()
        committed = await admin.offsets("elsewhere")
        await admin.close()
    assert [1] == list(committed.values())


async def test_different_keys_at_once_one_key_in_order(broker_url: str) -> None:
    """Keyed parallelism: the most that ran at once is the declared number, never two of a key."""
    at_once: list[int] = []
    now: list[str] = []

    class Parallel(Elsewhere):
        mode = AtLeastOnce(concurrency=4)

        async def apply_batch(self, events: Sequence[Any], db: Any) -> None:
            (event,) = events
            assert event.stream not in now
            now.append(event.stream)
            at_once.append(len(now))
            await asyncio.sleep(0.001)
            await super().apply_batch(events, db)
            now.remove(event.stream)

    consumer = Parallel()
    async with river(broker_url, partitions=1) as broker:
        await send(broker, facts(KEYS, EACH))
        await drain(consumer, broker, None, KEYS * EACH)
    assert 4 == max(at_once)
    for n in range(KEYS):
        mine = [version for stream, version in consumer.sent if stream == f"account-{n}"]
        assert list(range(1, EACH + 1)) == mine


async def test_only_the_contiguous_prefix_is_committed(broker_url: str) -> None:
    """One slow key holds the commit back, though all others behind it are done."""
    gate = asyncio.Event()

    class Held(Elsewhere):
        mode = AtLeastOnce(concurrency=4)

        async def apply_batch(self, events: Sequence[Any], db: Any) -> None:
            if events[0].stream == "account-1":
                await gate.wait()
            await super().apply_batch(events, db)

    consumer = Held()
    async with river(broker_url, partitions=1) as broker:
        await send(broker, facts(4, 1))
        runner = ConsumerRunner(consumer, broker, None)
        admin = await broker.admin()
        async with running(runner):
            await until(lambda: runner.tally.applied == 3)
            (lane,) = runner._lanes.values()
            assert 1 == lane.done
            gate.set()
            await until(lambda: runner.tally.applied == 4)
        assert [4] == list((await admin.offsets("elsewhere")).values())
        await admin.close()
