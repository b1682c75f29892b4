"""Fence, duplicates, gaps and stopped sequences inside one batch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from goldseam.broker.record import Partition, Received, Record
from goldseam.consumers.claims import FOREIGN_OFFSET, UNKNOWN_OFFSET, Claim, claim, move, standings
from goldseam.consumers.errors import BrokenHandler, GapDetected, PartitionMoved
from goldseam.consumers.inbox import NoVersion, Raced, WatermarkInbox
from goldseam.consumers.modes import EffectivelyOnce, Mode, Watermark
from goldseam.consumers.runner import ConsumerRunner
from goldseam.consumers.transaction import BatchTransaction, Job, Outcome
from goldseam.database.connection import Database
from tests.support.consumers import POISON, TOPIC, fact, facts, of_mode, received
from tests.support.river import river, target

PLACE = Partition(TOPIC, 0)
TABLE, MARK = EffectivelyOnce(), EffectivelyOnce(dedup=Watermark())


class _Bench:
    """A consumer's transaction without its runner."""

    def __init__(self, runner: ConsumerRunner, database: Database) -> None:
        workshop: Any = runner._workshop
        self.database, self.reading = database, workshop._reading
        self.job: Job = workshop._work._job

    async def hold(self, source: str = "here", holder: str = "me") -> Claim:
        held = await self.database.transact(
            lambda c: claim(c, "balances", [PLACE], source=source, holder=holder, now_us=1)
        )
        return held[0]

    async def apply(
        self, held: Claim, records: Sequence[Record | Received], **options: Any
    ) -> Outcome:
        start = max(0, held.next_offset)
        arrived = [
            one if isinstance(one, Received) else received(one, start + n)
            for n, one in enumerate(records)
        ]
        items = await self.reading.items(arrived)
        after = arrived[-1].offset + 1
        return await self.database.transact(
            BatchTransaction(self.job, held, items, after, **options)
        )

    async def deposits(self) -> dict[str, int]:
        rows = await self.database.fetch("SELECT account, deposits FROM balances")
        return dict(rows)


@pytest.fixture
async def bench(
    store_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[_Bench]:
    mode: Mode = getattr(request, "param", TABLE)
    async with river(f"sqlite:///{tmp_path / 'broker.db'}") as broker, target(store_url) as base:
        runner = ConsumerRunner(of_mode(mode), broker, base)
        await runner.prepare()
        yield _Bench(runner, base)


@pytest.mark.parametrize("bench", [TABLE, MARK], indirect=True)
async def test_duplicates_are_recognised_within_and_across_batches(bench: _Bench) -> None:
    """The same event at other offsets, in this batch and in the next."""
    one = await bench.apply(await bench.hold(), [fact("a", 1), fact("a", 1), fact("a", 2)])
    assert (2, 1) == (one.applied, one.duplicates)
    two = await bench.apply(one.claim, [fact("a", 2), fact("a", 3), fact("b", 1)])
    assert (2, 1) == (two.applied, two.duplicates)
    assert {"a": 3, "b": 1} == await bench.deposits()


async def test_a_batch_of_an_older_generation_has_no_effect(bench: _Bench) -> None:
    """Somebody else claimed the partition; the batch is refused before anything is written."""
    mine = await bench.hold()
    theirs = await bench.hold(holder="other")
    with pytest.raises(PartitionMoved):
        await bench.apply(mine, [fact("a", 1)])
    assert {} == await bench.deposits()
    await bench.apply(theirs, [fact("a", 1)])
    assert {"a": 1} == await bench.deposits()


async def test_a_batch_that_was_applied_is_not_applied_again(bench: _Bench) -> None:
    """The same claim twice: the stored offset has moved."""
    held = await bench.hold()
    await bench.apply(held, [fact("a", 1)])
    with pytest.raises(PartitionMoved):
        await bench.apply(held, [fact("a", 1)])


async def test_offsets_of_another_broker_mean_nothing(bench: _Bench) -> None:
    """After a failover the consumer begins where its group is; without effects, from the start."""
    assert UNKNOWN_OFFSET == (await bench.hold()).next_offset
    assert UNKNOWN_OFFSET == (await bench.hold(source="there")).next_offset
    await bench.apply(await bench.hold(source="there"), facts(1, 3))
    assert 3 == (await bench.hold(source="there")).next_offset
    assert FOREIGN_OFFSET == (await bench.hold(source="elsewhere")).next_offset


async def test_moving_a_consumer_fences_whoever_holds_it(bench: _Bench) -> None:
    """An operator's reset counts as a new holder."""
    held = await bench.hold()
    await bench.database.transact(
        lambda c: move(c, "balances", {PLACE: 7}, source="here", by="reset", now_us=2)
    )
    with pytest.raises(PartitionMoved):
        await bench.apply(held, [fact("a", 1)])
    (found,) = await bench.database.read(lambda c: standings(c, "balances"))
    assert (7, "reset", 2) == (found.next_offset, found.holder, found.generation)


@pytest.mark.parametrize("bench", [MARK], indirect=True)
async def test_a_gap_is_parked_and_stops_its_stream(bench: _Bench) -> None:
    """Version 3 after version 1: it waits, with what comes behind it; other streams flow."""
    records = [fact("a", 1), fact("a", 3), fact("a", 4), fact("b", 1)]
    done = await bench.apply(await bench.hold(), records)
    first, second = done.parked
    assert isinstance(first.error, GapDetected)
    assert (1, 3) == (first.error.last, first.error.version)
    assert second.error is None
    assert {"a": 1, "b": 1} == await bench.deposits()


@pytest.mark.parametrize("bench", [EffectivelyOnce(dedup=Watermark(gaps="allow"))], indirect=True)
async def test_gaps_may_be_allowed(bench: _Bench) -> None:
    """A topic that does not carry every type has holes; duplicates are known all the same."""
    done = await bench.apply(await bench.hold(), [fact("a", 1), fact("a", 3), fact("a", 2)])
    assert (2, 1, 0) == (done.applied, done.duplicates, len(done.parked))


@pytest.mark.parametrize("bench", [MARK], indirect=True)
async def test_a_watermark_cannot_count_without_versions(bench: _Bench) -> None:
    """An event of no event store is parked with the words that mend it."""
    plain = fact("a", 1)
    headers = tuple(one for one in plain.headers if one[0] != "ce_streamversion")
    record = Received(TOPIC, 0, 0, plain.key, plain.value, headers, 0)
    done = await bench.apply(await bench.hold(), [record])
    assert isinstance(done.parked[0].error, NoVersion)


async def test_two_marks_for_one_stream_race_and_one_looks_again(bench: _Bench) -> None:
    """Partitions were added and a stream moved: whoever commits second is told."""
    inbox = WatermarkInbox("balances", Watermark())
    items = await bench.reading.items([received(fact("a", 1), 0)])
    await bench.database.transact(lambda c: inbox.settle(c, items, []))
    with pytest.raises(Raced):
        await bench.database.transact(lambda c: inbox.settle(c, items, []))


@pytest.mark.parametrize("bench", [TABLE, MARK], indirect=True)
async def test_poison_stops_its_stream_and_nothing_else(bench: _Bench) -> None:
    """Found by halves; what failed is not remembered as processed, so a redrive finds it new."""
    records = [fact("a", 1), fact("b", 1, POISON), fact("a", 2), fact("b", 2), fact("c", 1)]
    done = await bench.apply(await bench.hold(), records, isolate=True, attempts=4)
    assert [("b", 1), ("b", 2)] == [(one.item.key, one.item.version) for one in done.parked]
    assert [4, 0] == [one.attempts for one in done.parked]
    assert {"a": 2, "c": 1} == await bench.deposits()
    later = await bench.apply(done.claim, [fact("b", 3), fact("a", 3)])
    assert [("b", 3)] == [(one.item.key, one.item.version) for one in later.parked]
    assert {"a": 3, "c": 1} == await bench.deposits()


async def test_a_record_that_is_no_event_is_parked_as_schema(bench: _Bench) -> None:
    """Its key is the sequence: what follows for the same key waits, everything else flows."""
    nonsense = Received(TOPIC, 0, 0, b"a", b"\xff", (), 0)
    records = [nonsense, received(fact("a", 1), 1), received(fact("b", 1), 2)]
    done = await bench.apply(await bench.hold(), records)
    assert [("a", True), ("a", False)] == [
        (one.item.sequence, one.error is not None) for one in done.parked
    ]
    assert {"b": 1} == await bench.deposits()


async def test_too_many_stopped_sequences_are_a_broken_handler(bench: _Bench) -> None:
    """It stops as a whole: nothing of the batch is written, not even a letter."""
    bench.job = bench.job._replace(stopped_max=3)
    with pytest.raises(BrokenHandler):
        await bench.apply(await bench.hold(), facts(4, 1, POISON), isolate=True)
    assert UNKNOWN_OFFSET == (await bench.hold()).next_offset
