"""delivery/at-most-once: what is lost stays lost, is counted, and nothing comes twice."""

from __future__ import annotations

import asyncio

from goldseam.consumers.modes import AtLeastOnce, AtMostOnce, Mode
from goldseam.consumers.runner import ConsumerRunner
from tests.support.consumers import POISON, Elsewhere, fact, facts
from tests.support.river import drain, river, send, settled, until

FACTS = 20


class _Crash(BaseException):
    """The process ends here."""


async def _crash_in_the_middle(broker_url: str, mode: Mode) -> list[int]:
    """A crash while the tenth record is handled, then a restart; the versions handled."""

    class Dying(Elsewhere):
        async def apply_batch(self, events: object, db: object) -> None:
            await super().apply_batch(events, db)  # type: ignore[arg-type]
            if len(self.sent) == FACTS // 2:
                await asyncio.Event().wait()  # the process hangs here until it is killed

    Dying.mode = Elsewhere.mode = mode
    try:
        async with river(broker_url, partitions=1) as broker:
            await send(broker, facts(1, FACTS))
            dying = Dying()
            runner = ConsumerRunner(dying, broker, None)
            task = asyncio.create_task(runner.run())
            await until(lambda: len(dying.sent) == FACTS // 2, task)
            task.cancel()
            for lane in runner._lanes.values():
                assert lane.task is not None
                lane.task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            again = Elsewhere()
            second = ConsumerRunner(again, broker, None)
            task = asyncio.create_task(second.run())
            await send(broker, [fact("account-0", FACTS + 1)])
            await until(lambda: ("account-0", FACTS + 1) in again.sent, task)
            second.stop()
            await task
    finally:
        Elsewhere.mode = AtLeastOnce()
    return [version for _, version in dying.sent + again.sent]


async def test_a_crash_loses_what_was_committed_and_not_handled(broker_url: str) -> None:
    """Nothing is handled twice; what the dead member held in its hands is gone, as declared."""
    seen = await _crash_in_the_middle(broker_url, AtMostOnce())
    assert len(set(seen)) == len(seen)
    assert [*range(1, FACTS // 2 + 1), FACTS + 1] == seen


async def test_control_at_least_once_loses_nothing_in_the_same_crash(broker_url: str) -> None:
    """The other declaration: all are handled, some of them twice."""
    seen = await _crash_in_the_middle(broker_url, AtLeastOnce())
    assert set(range(1, FACTS + 2)) == set(seen)
    assert len(seen) > len(set(seen))


async def test_a_handler_that_fails_is_not_tried_again(broker_url: str) -> None:
    """Don't retry on failure: the record is lost, counted, and the next ones are handled."""

    class Once(Elsewhere):
        mode = AtMostOnce()

    once = Once()
    async with river(broker_url, partitions=1) as broker:
        await send(broker, [fact("a", 1), fact("a", 2, POISON), fact("a", 3)])
        runner = await drain(once, broker, None, 3)
    assert [("a", 1), ("a", 3)] == once.sent
    assert (2, 1, 0) == (runner.tally.applied, runner.tally.lost, runner.tally.retries)


async def test_a_graceful_stop_finishes_what_is_committed(broker_url: str) -> None:
    """Its offset is told already, so what waits in the process is handled before it leaves."""

    class Slow(Elsewhere):
        mode = AtMostOnce()

        async def apply_batch(self, events: object, db: object) -> None:
            await asyncio.sleep(0)
            await super().apply_batch(events, db)  # type: ignore[arg-type]

    slow = Slow()
    async with river(broker_url, partitions=1) as broker:
        await send(broker, facts(2, FACTS))
        runner = ConsumerRunner(slow, broker, None, batch_records=1)
        task = asyncio.create_task(runner.run())
        await until(lambda: len(slow.sent) > 0, task)
        runner.stop()
        await task
        assert settled(runner, len(slow.sent))()
    assert 2 * FACTS == len(slow.sent)
