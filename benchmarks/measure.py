"""A scenario is ours beside one or several raw limits; a round runs them next to each other."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Literal, NamedTuple

Run = Callable[[], Awaitable[float]]


class Scenario(NamedTuple):
    """What is measured, what it is measured against, and what the ratio should be.

    Each run returns a rate (higher is better) or a time in ms (``better="lower"``). The ratio is
    taken in each round to the best of ``limits``; ``beside`` is run and shown, not compared.
    """

    name: str
    target: float
    ours: Run
    limits: Mapping[str, Run]
    unit: str = "events/s"
    better: Literal["higher", "lower"] = "higher"
    beside: Mapping[str, Run] = {}


class Result(NamedTuple):
    """All rounds of one scenario."""

    scenario: Scenario
    ours: list[float]
    limits: dict[str, list[float]]
    beside: dict[str, list[float]]
    ratios: list[float]

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return statistics.median(self.ratios)

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        lower = self.scenario.better == "lower"
        return self.ratio <= self.scenario.target if lower else self.ratio >= self.scenario.target


async def measure(scenario: Scenario, rounds: int) -> Result:
    """Run ``scenario`` in interleaved rounds; the order turns round by round."""
    ours: list[float] = []
    limits: dict[str, list[float]] = {name: [] for name in scenario.limits}
    beside: dict[str, list[float]] = {name: [] for name in scenario.beside}
    ratios = []
    for round_ in range(rounds):
        if round_ % 2:
            mine = await scenario.ours()
        for name, run in scenario.limits.items():
            limits[name].append(await run())
        if not round_ % 2:
            mine = await scenario.ours()
        for name, run in scenario.beside.items():
            beside[name].append(await run())
        ours.append(mine)
        best = (min if scenario.better == "lower" else max)(v[-1] for v in limits.values())
        ratios.append(mine / best)
    return Result(scenario, ours, limits, beside, ratios)


class Stopwatch:
    """Counts until a time is over: ``while watch.running: ...``."""

    def __init__(self, seconds: float) -> None:
        self._start, self._seconds = perf_counter(), seconds

    @property
    def running(self) -> bool:
        """Whether there is time left."""
        return perf_counter() - self._start < self._seconds

    def rate(self, count: float) -> float:
        """``count`` per second since the start."""
        return count / (perf_counter() - self._start)
