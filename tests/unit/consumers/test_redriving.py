"""The consumer's own process carries redrives out: in order, once, beside what flows."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldseam.consumers.dead_letters.actions import Order
from goldseam.consumers.dead_letters.choice import Choice
from goldseam.consumers.dead_letters.redrive import redrive
from goldseam.consumers.modes import AtLeastOnce, EffectivelyOnce, Mode, Watermark
from goldseam.consumers.runner import ConsumerRunner
from tests.projections.bank import Outside
from tests.support.consumers import POISON, fact, of_mode
from tests.support.river import river, running, send, settled, target, until

STREAM = [fact("a", 1), fact("a", 2, POISON), fact("a", 3), fact("b", 1)]


@pytest.mark.parametrize(
    "mode", [EffectivelyOnce(), EffectivelyOnce(dedup=Watermark()), AtLeastOnce()]
)
async def test_a_redriven_sequence_is_applied_in_order_and_flows_again(
    store_url: str, tmp_path: Path, mode: Mode
) -> None:
    """Parked, mended, asked for: versions 2 and 3 follow 1, then new ones go straight through."""
    consumer = of_mode(mode)
    order = Order("a tester", "the handler is mended", 1)
    async with river(f"sqlite:///{tmp_path / 'broker.db'}") as broker, target(store_url) as base:
        runner = ConsumerRunner(consumer, broker, base, pause_seconds=0.001)
        await send(broker, STREAM)
        async with running(runner):
            await until(settled(runner, 4))
            assert 2 == runner.tally.dead_lettered
            consumer.broken = False
            choice = Choice(consumer="balances")
            await base.transact(lambda c: redrive(c, choice, order))
            await until(lambda: runner.tally.applied == 4)
            await send(broker, [fact("a", 4)])
            await until(lambda: runner.tally.applied == 5)
    n = "SELECT n FROM movements WHERE account = 'a'"
    rows = Outside(store_url).query(n)
    if isinstance(mode, AtLeastOnce):  # its statements commit one by one: failed tries left rows
        rows = list(set(rows))
    assert [(1,), (2,), (3,), (4,)] == sorted(rows)
    where = "SELECT count(*) FROM goldseam_dead_letters WHERE state = 'applied'"
    assert [(2,)] == Outside(store_url).query(where)


async def test_a_redrive_that_fails_stops_the_sequence_again(
    store_url: str, tmp_path: Path
) -> None:
    """The handler is still broken: the letter waits again, nothing behind it was applied."""
    order = Order("a tester", "a try", 1)
    async with river(f"sqlite:///{tmp_path / 'broker.db'}") as broker, target(store_url) as base:
        consumer = of_mode(EffectivelyOnce())
        runner = ConsumerRunner(consumer, broker, base, pause_seconds=0.001)
        await send(broker, STREAM)
        async with running(runner):
            await until(settled(runner, 4))
            calls = consumer.calls
            await base.transact(lambda c: redrive(c, Choice(consumer="balances"), order))
            await until(lambda: consumer.calls > calls)
    outside = Outside(store_url)
    assert [(1,)] == outside.query("SELECT n FROM movements WHERE account = 'a'")
    assert [("waiting",)] == outside.query("SELECT DISTINCT state FROM goldseam_dead_letters")
