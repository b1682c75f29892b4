"""read/projection-lag: measured in events and seconds, from outside the runner, never from idle."""

from __future__ import annotations

import asyncio

import pytest

from goldseam import ANY, Goldseam, ReadModelBehind
from goldseam.resilience.clock import MICROSECONDS_PER_SECOND, SystemClock
from goldseam.telemetry.signals import signals
from tests.projections.bank import Balances, DepositApplied, until

HOUR_SECONDS = 3_600


class Later(SystemClock):
    """The machine's clock, as far ahead as a test says."""

    ahead_seconds = 0

    def now_us(self) -> int:
        return super().now_us() + self.ahead_seconds * MICROSECONDS_PER_SECOND


async def test_a_stopped_projection_shows_its_lag_and_an_idle_one_has_none(store_url: str) -> None:
    """The age of the oldest event that waits, not of the last one that was applied."""
    clock = Later()
    async with Goldseam(store_url, [Balances()], clock=clock) as app:
        hosted = app.projections["balances"]
        done = await app.store.append("account-1", [DepositApplied(1)], expected=ANY)
        await app.fetch("balances", "SELECT 1", after=done.token, wait=20)
        clock.ahead_seconds = HOUR_SECONDS
        idle = await hosted.lag()
        assert (0, 0.0) == (idle.events, idle.seconds)

        await hosted.pause()
        for _ in range(3):
            await app.store.append("account-1", [DepositApplied(1)], expected=ANY)
        clock.ahead_seconds = 2 * HOUR_SECONDS
        behind = await hosted.lag()
        assert 3 == behind.events
        assert HOUR_SECONDS <= behind.seconds < HOUR_SECONDS + 60
        assert 3 == signals.value("goldseam_projection_lag_events", projection="balances")
        assert behind.seconds <= signals.value(
            "goldseam_projection_lag_seconds", projection="balances"
        )
        await hosted.resume()
        await app.fetch("balances", "SELECT 1", after=4, wait=20)
        assert 0 == (await hosted.lag()).events


async def test_a_runner_that_is_gone_does_not_look_healthy(store_url: str) -> None:
    """The gauges come from beside the runner: they rise although it does nothing at all."""
    async with Goldseam(store_url, [Balances()]) as app:
        hosted = app.projections["balances"]
        hosted.runner.stop()
        await asyncio.sleep(0.05)
        for _ in range(5):
            await app.store.append("account-1", [DepositApplied(1)], expected=ANY)

        async def shown() -> bool:
            return 5 == signals.value("goldseam_projection_lag_events", projection="balances")

        await until(shown)
        with pytest.raises(ReadModelBehind):
            await app.fetch("balances", "SELECT 1", after=5)


async def test_control_without_the_lag_a_stopped_projection_looks_healthy(store_url: str) -> None:
    """Reads without a position answer, nothing fails, and the answer is old: the damage."""
    async with Goldseam(store_url, [Balances()]) as app:
        first = await app.store.append("account-1", [DepositApplied(1)], expected=ANY)
        await app.fetch("balances", "SELECT 1", after=first.token, wait=20)
        await app.projections["balances"].pause()
        await app.store.append("account-1", [DepositApplied(1)], expected=ANY)
        rows = await app.fetch("balances", "SELECT deposits FROM balances")

        assert [(1,)] == rows
        assert {} == dict(app.failures)
