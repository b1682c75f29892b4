"""The fault kit itself: it counts, crashes where it is told, and notices a swallowed crash."""

from __future__ import annotations

import pytest

from goldseam.testing.faults import Crash, CrashPoint, crash_points, until_crash


async def _three_awaits(point: CrashPoint, done: list[int]) -> None:
    async def step(n: int) -> None:
        done.append(n)

    for n in (1, 2, 3):
        await point.pass_(lambda n=n: step(n))  # type: ignore[misc]


async def test_every_await_is_crashed_on_both_sides() -> None:
    """Before an await its effect is not there, after it it is."""
    effects: list[list[int]] = []

    async def run(point: CrashPoint) -> None:
        effects.append([])
        await _three_awaits(point, effects[-1])

    points = [(p.side, p.number) async for p in crash_points(run)]
    assert [("before", 1), ("before", 2), ("before", 3)] == points[:3]
    assert [("after", 1), ("after", 2), ("after", 3)] == points[3:]
    crashed = [[], [1], [1, 2], [1, 2, 3]]
    assert [*crashed, *crashed[1:], [1, 2, 3]] == effects


async def test_a_swallowed_crash_is_reported() -> None:
    """Code that catches BaseException would make every crash test pass."""

    async def run(point: CrashPoint) -> None:
        try:
            await _three_awaits(point, [])
        except BaseException:  # what the kit must find out
            return

    with pytest.raises(RuntimeError, match="a crash before await 1 was swallowed"):
        [p async for p in crash_points(run)]


async def test_after_the_crash_the_dead_process_does_nothing() -> None:
    """A second await after the crash has no effect, whoever makes it."""
    point = CrashPoint(1)
    done: list[int] = []
    for _ in range(2):
        with pytest.raises(Crash):
            await _three_awaits(point, done)
    assert [] == done


async def test_work_without_a_crash_gives_its_result() -> None:
    """Without a number the point only counts."""
    point = CrashPoint()
    assert await until_crash(point, _three_awaits(point, [])) is None
    assert 3 == point.awaits
