"""delivery/effectively-once: delivered again and again, applied once, in stream order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from goldseam.broker.record import Record
from goldseam.consumers.modes import AtLeastOnce, EffectivelyOnce, Mode, Watermark
from tests.projections.bank import Outside
from tests.support.consumers import Balances, facts, of_mode
from tests.support.river import drain, river, send, target

STREAMS, REDELIVERED, SEED = 50, 0.2, 7
QUICK, SOAK = 5_000, 300_000
PUBLISH_RECORDS = 1_000
DRAIN_SECONDS_MAX = 1_200.0
"""For a broken program, not a measurement."""


def _with_redeliveries(records: Sequence[Record], random: Random) -> list[Record]:
    """Every fifth record comes again, a while after its first time: a producer that retried."""
    sent: list[Record] = []
    waiting: list[tuple[int, Record]] = []
    for n, record in enumerate(records):
        sent.append(record)
        if random.random() < REDELIVERED:
            waiting.append((n + random.randrange(1, 200), record))
        sent += [one for due, one in waiting if due <= n]
        waiting = [(due, one) for due, one in waiting if due > n]
    return sent + [one for _, one in waiting]


async def _deliver(url: str, broker_url: str, mode: Mode, count: int) -> tuple[Outside, int]:
    """Deliver ``count`` facts and the repetitions; how many deliveries that was."""
    print(f"seed {SEED}")
    records = _with_redeliveries(facts(STREAMS, count // STREAMS), Random(SEED))
    async with river(broker_url) as broker, target(url) as database:
        for start in range(0, len(records), PUBLISH_RECORDS):
            await send(broker, records[start : start + PUBLISH_RECORDS])
        await drain(of_mode(mode), broker, database, len(records), seconds=DRAIN_SECONDS_MAX)
    return Outside(url), len(records)


def _judge(outside: Outside, count: int) -> None:
    """With SQL of the test's own: each fact once, in the order of its stream."""
    each = count // STREAMS
    expected = [(f"account-{n}", each, each) for n in range(STREAMS)]
    rows = outside.query("SELECT account, balance, deposits FROM balances")
    assert sorted(expected) == sorted(rows)
    versions: dict[str, list[int]] = {}
    for account, n in outside.query("SELECT account, n FROM movements"):
        versions.setdefault(account, []).append(n)
    assert [list(range(1, each + 1))] * STREAMS == [sorted(one) for one in versions.values()]


@pytest.mark.parametrize("mode", [EffectivelyOnce(), EffectivelyOnce(dedup=Watermark())])
async def test_forced_redelivery_has_no_second_effect(
    store_url: str, broker_url: str, mode: Mode
) -> None:
    """5,000 facts and 20 % of them again: every balance is what was deposited."""
    outside, deliveries = await _deliver(store_url, broker_url, mode, QUICK)
    assert deliveries > QUICK
    _judge(outside, QUICK)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("mode", [EffectivelyOnce(), EffectivelyOnce(dedup=Watermark())])
async def test_300_000_deliveries_have_no_second_effect(
    store_url: str, broker_url: str, mode: Mode
) -> None:
    """The same, 300,000 times."""
    outside, _ = await _deliver(store_url, broker_url, mode, SOAK)
    _judge(outside, SOAK)


async def test_control_without_dedup_the_same_deliveries_count_twice(
    store_url: str, broker_url: str
) -> None:
    """At-least-once with a handler that adds: every redelivery moves a balance."""
    outside, deliveries = await _deliver(store_url, broker_url, AtLeastOnce(), 500)
    (total,) = outside.query("SELECT sum(deposits) FROM balances")[0]
    assert deliveries == total
    assert total > 500


async def test_streams_keep_their_order(broker_url: str, tmp_path: Path) -> None:
    """Each handler call sees the version after the last one, redelivered or not."""
    seen: list[tuple[str, int]] = []

    class Watching(Balances):
        async def apply_batch(self, events: Sequence[object], db: object) -> None:
            seen.extend((event.stream, event.version) for event in events)  # type: ignore[attr-defined]

    records = _with_redeliveries(facts(10, 100), Random(SEED))
    database_url = f"sqlite:///{tmp_path / 'target.db'}"
    async with river(broker_url) as broker, target(database_url) as base:
        await send(broker, records)
        await drain(Watching(), broker, base, len(records))
    last: Counter[str] = Counter()
    for stream, version in seen:
        assert last[stream] + 1 == version
        last[stream] = version
