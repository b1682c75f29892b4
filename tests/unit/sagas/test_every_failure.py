"""order -> inventory -> payment -> shipment: every step, every failure, both kinds of steps.

Judged from the services' own books: wholly done, wholly undone in reverse order, or parked.
"""

from __future__ import annotations

import pytest

from goldseam import EventStore
from tests.support.hand_clock import HandClock
from tests.unit.sagas.definitions import BACKWARD, FORWARD
from tests.unit.sagas.services import ALWAYS, KINDS, STEP_OF, STEPS, UNDO, Services, Trouble
from tests.unit.sagas.world import STYLES, World

HOW_OFTEN = (1, 2, ALWAYS)
NEVER_HURTS = ("duplicate",)


def _of_a_step(style: str, kind: str, times: int) -> str:
    """What a saga ends as, when this goes wrong so often on the way forward."""
    answered_late = style == "asked" and kind == "late"  # an answer to an earlier attempt is one
    if kind in NEVER_HURTS or answered_late:
        return "completed"
    if kind == "refuse" or times >= FORWARD.attempts:
        return "compensated"
    return "completed"


def _of_an_undo(style: str, kind: str, times: int) -> str:
    """What a saga ends as, when this goes wrong so often on the way back."""
    answered_late = style == "asked" and kind == "late"
    if kind in NEVER_HURTS or answered_late:
        return "compensated"
    return "parked" if kind == "refuse" or times >= BACKWARD.attempts else "compensated"


async def _end(world: World, expected: str) -> None:
    status = await world.run()
    world.services.judge(status, world.saga)
    assert expected == status, world.services.done
    status = await world.later()
    world.services.judge(status, world.saga)
    assert expected == status, "what came long after its end has changed it"


@pytest.mark.parametrize("times", HOW_OFTEN)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("action", STEPS)
@pytest.mark.parametrize("style", STYLES)
async def test_whatever_goes_wrong_at_a_step_it_is_done_or_undone(
    sqlite_store: EventStore, clock: HandClock, style: str, action: str, kind: str, times: int
) -> None:
    """Once, twice, always: the saga ends as it must, and not otherwise."""
    world = World(sqlite_store, clock, style, Services({action: Trouble(kind, times)}))
    await _end(world, _of_a_step(style, kind, times))


@pytest.mark.parametrize("times", HOW_OFTEN)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("action", [UNDO[step] for step in STEPS])
@pytest.mark.parametrize("style", STYLES)
async def test_whatever_goes_wrong_on_the_way_back_it_is_undone_or_parked(
    sqlite_store: EventStore, clock: HandClock, style: str, action: str, kind: str, times: int
) -> None:
    """The shipment's outcome is unknown, so all four are undone; one compensation has trouble."""
    trouble = {"ship": Trouble("lost", ALWAYS), action: Trouble(kind, times)}
    world = World(sqlite_store, clock, style, Services(trouble))
    expected = _of_an_undo(style, kind, times)
    await _end(world, expected)
    if expected == "compensated":
        assert list(reversed(STEPS)) == world.services.undone()
    else:
        assert STEP_OF[action] == (await world.process().desk.load(world.saga)).state.undo[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("style", STYLES)
async def test_a_slice_of_it_on_each_database(
    store: EventStore, clock: HandClock, style: str, kind: str
) -> None:
    """The payment fails for good and its way back once, on SQLite and on PostgreSQL."""
    trouble = {"charge": Trouble(kind, ALWAYS), "release": Trouble("error")}
    world = World(store, clock, style, Services(trouble))
    await _end(world, _of_a_step(style, kind, ALWAYS))


@pytest.mark.parametrize("style", STYLES)
async def test_two_steps_may_be_in_trouble_at_once(
    sqlite_store: EventStore, clock: HandClock, style: str
) -> None:
    """Every pair of failures, forwards: the first that is final decides."""
    for first in KINDS:
        for second in KINDS:
            trouble = {"reserve": Trouble(first), "charge": Trouble(second, ALWAYS)}
            services, key = Services(trouble), f"{first}-{second}"
            world = World(sqlite_store, clock, style, services, key)
            status = await world.run()
            world.services.judge(status, world.saga)
            ends = {_of_a_step(style, first, 1), _of_a_step(style, second, ALWAYS)}
            assert ("compensated" if "compensated" in ends else "completed") == status


@pytest.mark.parametrize("action", ["place", "release"])
@pytest.mark.parametrize("style", STYLES)
async def test_control_the_judge_sees_a_step_that_is_left_standing(
    sqlite_store: EventStore, clock: HandClock, style: str, action: str
) -> None:
    """The books are not believed blindly: a compensation that lies is found out."""
    world = World(sqlite_store, clock, style, Services({"ship": Trouble("refuse", ALWAYS)}))
    honest = world.services._effect
    undo = UNDO.get(action, action)
    world.services._effect = lambda what: None if what == undo else honest(what)  # type: ignore[method-assign]
    status = await world.run()
    with pytest.raises(AssertionError, match="half done"):
        world.services.judge(status, world.saga)
