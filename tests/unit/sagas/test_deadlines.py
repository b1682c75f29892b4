"""One timer for many calls: each ends in time, those that are quick are left alone."""

from __future__ import annotations

import asyncio
from typing import Any

from goldseam.sagas.deadlines import Deadlines


async def _call(deadlines: Deadlines, seconds: float, lasts: float) -> str:
    task: Any = asyncio.current_task()
    deadlines.begin(task, seconds)
    try:
        await asyncio.sleep(lasts)
    except asyncio.CancelledError:
        return "late" if deadlines.end(task, seconds) else "cancelled"
    deadlines.end(task, seconds)
    await asyncio.sleep(0)  # nothing is left that would cancel it now
    return "in time"


async def test_each_call_has_its_own_end() -> None:
    """Of the same length and of others, begun at different moments."""
    deadlines = Deadlines()
    calls = [_call(deadlines, 0.02, 60 if n % 2 else 0) for n in range(100)]
    calls += [_call(deadlines, 0.01, 60), _call(deadlines, 60, 0.03)]
    found = await asyncio.gather(*calls)
    assert ["in time", "late"] * 50 + ["late", "in time"] == found


async def test_one_task_may_call_again_and_again() -> None:
    """A call that was too long leaves nothing behind for the next one."""
    deadlines = Deadlines()
    found = [await _call(deadlines, 0.01, lasts) for lasts in (60, 0, 60, 0.001, 0)]
    assert ["late", "in time", "late", "in time", "in time"] == found


async def test_somebody_elses_cancel_is_not_taken_for_the_end_of_time() -> None:
    """Who stops the process stops the call."""
    deadlines = Deadlines()
    task = asyncio.create_task(_call(deadlines, 60, 60))
    await asyncio.sleep(0.01)
    task.cancel()
    assert "cancelled" == await task


async def test_a_new_first_call_is_timed_after_all_have_ended() -> None:
    """The timer runs out with nobody waiting, and is set again for the next one."""
    deadlines = Deadlines()
    assert "in time" == await _call(deadlines, 0.01, 0)
    await asyncio.sleep(0.03)
    assert "late" == await _call(deadlines, 0.01, 60)
