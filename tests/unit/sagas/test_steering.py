"""A parked saga waits for a human: retry, resume; a running one can be turned back."""

from __future__ import annotations

import logging

import pytest

from goldseam import EventStore
from goldseam.sagas.errors import SagaConflict, UnknownSaga
from goldseam.sagas.facts import SagaParked
from goldseam.telemetry.signals import signals
from tests.support.hand_clock import HandClock
from tests.unit.sagas.definitions import BACKWARD
from tests.unit.sagas.services import ALWAYS, STEPS, Services, Trouble
from tests.unit.sagas.world import STYLES, World

BY = {"by": "ann", "reason": "mended"}


async def _parked(store: EventStore, clock: HandClock, style: str, kind: str = "error") -> World:
    """The payment cannot be given back."""
    trouble = {"ship": Trouble("refuse", ALWAYS), "refund": Trouble(kind, ALWAYS)}
    world = World(store, clock, style, Services(trouble))
    assert "parked" == await world.run()
    standing = ["place", "reserve", "charge"]
    assert standing[: 2 if kind == "lost" else 3] == world.services.standing()
    return world


@pytest.mark.parametrize("kind", ["error", "timeout", "lost", "refuse"])
@pytest.mark.parametrize("style", STYLES)
async def test_retry_tries_again_with_all_its_attempts(
    store: EventStore, clock: HandClock, style: str, kind: str
) -> None:
    """After the cause is mended, the saga goes on where it stood; nothing is undone twice."""
    world = await _parked(store, clock, style, kind)
    asked = world.services.asked[f"{world.saga}/charge/undo"]
    world.services.mend()
    await world.process().desk.retry(world.saga, **BY)
    assert "compensated" == await world.run()
    world.services.judge("compensated", world.saga)
    assert ["charge", "reserve", "place"] == world.services.undone()
    assert asked + 1 == world.services.asked[f"{world.saga}/charge/undo"]


@pytest.mark.parametrize("style", STYLES)
async def test_retry_without_a_cure_parks_it_again_after_as_many_attempts(
    sqlite_store: EventStore, clock: HandClock, style: str
) -> None:
    """Retry is no way around the bound: so often, and not more."""
    world = await _parked(sqlite_store, clock, style)
    for round_ in (2, 3):
        await world.process().desk.retry(world.saga, **BY)
        assert "parked" == await world.run()
        asked = world.services.asked[f"{world.saga}/charge/undo"]
        assert round_ * BACKWARD.attempts == asked


@pytest.mark.parametrize("style", STYLES)
async def test_resume_goes_on_behind_what_was_undone_by_hand(
    store: EventStore, clock: HandClock, style: str
) -> None:
    """Who did it by hand, and why, stays in the saga's stream; the others are undone as ever."""
    world = await _parked(store, clock, style)
    desk = world.process().desk
    await desk.resume(world.saga, **BY)
    assert "compensated" == await world.run()
    assert ["reserve", "place"] == world.services.undone()
    by_hand = [one for one in await desk.stream(world.saga) if getattr(one.data, "by", "")]
    assert [("charge", "ann", "mended", "ann")] == [
        (one.data.step, one.data.by, one.data.reason, one.metadata.actor) for one in by_hand
    ]


@pytest.mark.parametrize("style", STYLES)
async def test_a_running_saga_is_turned_back_from_any_step(
    sqlite_store: EventStore, clock: HandClock, style: str
) -> None:
    """While a step waits for its next attempt, somebody wants the saga undone."""
    for action in STEPS:
        trouble = {action: Trouble("timeout", 2)}
        world = World(sqlite_store, clock, style, Services(trouble), action)
        process = world.process()
        await process.lead()
        await world.begin(process)
        while (await process.desk.load(world.saga)).state.doing(world.definition) != action:
            await process.move(world.saga)
            await world.post.carry(process.desk)
        await process.desk.compensate(world.saga, by="ann", reason="the customer called")
        assert "compensated" == await world.run()
        world.services.judge("compensated", world.saga)


@pytest.mark.parametrize("style", STYLES)
async def test_what_does_not_fit_the_state_is_refused_and_writes_nothing(
    sqlite_store: EventStore, clock: HandClock, style: str
) -> None:
    """An ended saga is final: no human moves it, and a running one has nothing to retry."""
    world = World(sqlite_store, clock, style, Services())
    process = world.process()
    await process.lead()
    await world.begin(process)
    desk = process.desk
    for wrong in (desk.resume, desk.retry):
        with pytest.raises(SagaConflict, match="is running"):
            await wrong(world.saga, **BY)
    assert "completed" == await world.run()
    facts = len(await desk.stream(world.saga))
    for wrong in (desk.resume, desk.retry, desk.compensate):
        with pytest.raises(SagaConflict, match="is completed"):
            await wrong(world.saga, **BY)
        with pytest.raises(UnknownSaga, match="there is no saga"):
            await wrong(f"{style}/nobody", **BY)
    assert facts == len(await desk.stream(world.saga))


async def test_a_parked_saga_raises_an_alarm_once(
    sqlite_store: EventStore, clock: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    """One line for the human who is called, one more in the counter, one fact in the stream."""
    before = signals.value("goldseam_sagas_parked_total", saga="called")
    with caplog.at_level(logging.ERROR, "goldseam.sagas"):
        world = await _parked(sqlite_store, clock, "called")
        await world.run()
    alarms = [one.getMessage() for one in caplog.records if "ALARM" in one.getMessage()]
    assert 1 == len(alarms), alarms
    assert "called/17" in alarms[0]
    assert "charge" in alarms[0]
    assert before + 1 == signals.value("goldseam_sagas_parked_total", saga="called")
    stream = await world.process().desk.stream(world.saga)
    assert 1 == sum(isinstance(one.data, SagaParked) for one in stream)


async def test_control_without_a_human_a_parked_saga_stays_half_done(
    sqlite_store: EventStore, clock: HandClock
) -> None:
    """Though the cause is mended: nobody tries again by himself, whatever time passes."""
    world = await _parked(sqlite_store, clock, "called")
    world.services.mend()
    clock.seconds += 86_400
    assert "parked" == await world.run()
    assert ["place", "reserve", "charge"] == world.services.standing()
