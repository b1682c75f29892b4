"""saga/compensation-failure: what cannot be undone is parked with an alarm, and blocks nobody.

With the table of the guide's "Compensation Strategy": saga/compensate-order,
saga/compensate-inventory, saga/compensate-payment, saga/compensate-shipment.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest

from goldseam import EventStore, open_store
from goldseam.sagas.facts import SagaParked
from goldseam.telemetry.signals import signals
from tests.support.hand_clock import HandClock
from tests.unit.sagas.definitions import BACKWARD
from tests.unit.sagas.services import ALWAYS, STEPS, UNDO, Services, Trouble
from tests.unit.sagas.world import STYLES, World


@pytest.fixture
def clock() -> HandClock:
    """Of the store and the sagas."""
    return HandClock()


@pytest.fixture
async def store(store_url: str, clock: HandClock) -> AsyncIterator[EventStore]:
    """An empty store, once on SQLite and once on PostgreSQL."""
    async with await open_store(store_url, clock=clock) as store:
        yield store


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("step", STEPS)
async def test_a_compensation_that_goes_on_failing_parks_the_saga(
    store: EventStore,
    clock: HandClock,
    caplog: pytest.LogCaptureFixture,
    style: str,
    step: str,
) -> None:
    """All its attempts, one alarm; those behind it wait, and another saga goes by."""
    trouble = {"ship": Trouble("lost", ALWAYS), UNDO[step]: Trouble("error", ALWAYS)}
    world = World(store, clock, style, Services(trouble))
    before = signals.value("goldseam_sagas_parked_total", saga=style)
    with caplog.at_level(logging.ERROR, "goldseam.sagas"):
        assert "parked" == await world.run()
    assert 1 == caplog.text.count("ALARM")
    assert before + 1 == signals.value("goldseam_sagas_parked_total", saga=style)
    assert BACKWARD.attempts == world.services.asked[f"{world.saga}/{step}/undo"]
    assert list(reversed(STEPS[STEPS.index(step) + 1 :])) == world.services.undone()
    (parked,) = [
        one.data
        for one in await world.process().desk.stream(world.saga)
        if isinstance(one.data, SagaParked)
    ]
    assert step == parked.step
    other = World(store, clock, style, Services(), "18")
    assert "completed" == await other.run()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("step", STEPS)
async def test_each_step_is_undone_by_its_own_compensation(
    store: EventStore, clock: HandClock, style: str, step: str
) -> None:
    """The guide's table, row by row: once each, the newest first, though each fails once."""
    trouble = {step: Trouble("lost", ALWAYS)}
    trouble |= {undo: Trouble("lost") for undo in UNDO.values()}
    world = World(store, clock, style, Services(trouble))
    assert "compensated" == await world.run()
    world.services.judge("compensated", world.saga)
    assert list(reversed(STEPS[: STEPS.index(step) + 1])) == world.services.undone()


@pytest.mark.parametrize("step", STEPS)
async def test_control_one_attempt_and_no_parking_leaves_it_and_says_nothing(
    caplog: pytest.LogCaptureFixture, step: str
) -> None:
    """The usual program: undo in an `except` that goes on; what failed once is left for good."""
    services = Services({"ship": Trouble("lost", ALWAYS), UNDO[step]: Trouble("error")})
    try:
        for one in STEPS:
            await services.call(one, f"naive/{one}")
    except ConnectionError:
        for one in reversed(STEPS):
            try:
                await services.call(UNDO[one], f"naive/{one}/undo")
            except RuntimeError:
                continue
    assert [step] == services.standing()
    assert "ALARM" not in caplog.text
    with pytest.raises(AssertionError, match="half done"):
        services.judge("compensated", "naive")
