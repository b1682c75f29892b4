"""Flows without a coordinator: seen as one thing, and found when they never end."""

from __future__ import annotations

import pytest

from goldseam import ANY, Metadata
from goldseam.sagas.choreography import Choreography
from goldseam.sagas.errors import SagaDefinitionError, UnknownSaga
from goldseam.sagas.flows import FlowStory
from tests.support.eventually import eventually
from tests.support.fulfilment import (
    InventoryReleased,
    InventoryReserved,
    PaymentFailed,
    PaymentProcessed,
    Reacting,
    ReservationRequested,
    application,
)

MINUTE_US = 60_000_000


async def _seen(url: str, *kinds: type) -> FlowStory:
    """One flow of these events, each caused by the one before; as it is shown then."""
    async with application(url) as app:
        metadata = Metadata(correlation="order-17")
        for kind in kinds:
            done = await app.store.append("order-17", [kind("17")], expected=ANY, metadata=metadata)
            stored = (await app.store.read_stream("order-17", after=done.version - 1))[0]
            metadata = stored.caused()
        await eventually(lambda: _all_seen(app, len(kinds)))
        story = await app.saga_list.show("reacting/order-17")
        assert isinstance(story, FlowStory)
        return story


async def _all_seen(app: object, count: int) -> bool:
    try:
        story = await app.saga_list.show("reacting/order-17")  # type: ignore[attr-defined]
    except UnknownSaga:
        return False
    return len(story.events) == count


async def test_a_flow_that_ends_well(store_url: str) -> None:
    """Its events belong together by correlation, each knows its cause."""
    story = await _seen(store_url, ReservationRequested, InventoryReserved, PaymentProcessed)
    assert story.row.status == "completed"
    assert story.unanswered == ()
    assert [one.event_id for one in story.events[:-1]] == [
        one.causation for one in story.events[1:]
    ]


async def test_a_flow_that_is_undone(store_url: str) -> None:
    """The services undo it among themselves."""
    kinds = (ReservationRequested, InventoryReserved, PaymentFailed, InventoryReleased)
    assert (await _seen(store_url, *kinds)).row.status == "compensated"


async def test_a_flow_that_never_ended_is_found(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Overdue, with the event that nobody has reacted to."""
    story = await _seen(store_url, ReservationRequested, InventoryReserved)
    assert story.row.status == "running"
    monkeypatch.setattr(Reacting, "within_seconds", 0.0)
    async with application(store_url) as app:
        overdue = await app.saga_list.overdue()
        late = await app.saga_list.show("reacting/order-17")
    assert [one.saga for one in overdue] == ["reacting/order-17"]
    assert isinstance(late, FlowStory)
    assert late.row.status == "overdue"
    assert late.unanswered == ("test.InventoryReserved",)


async def test_control_a_flow_in_time_is_not_overdue(store_url: str) -> None:
    """Control: to be under way is no fault."""
    await _seen(store_url, ReservationRequested)
    async with application(store_url) as app:
        assert await app.saga_list.overdue() == []
        assert [one.status for one in await app.saga_list.find(definition="reacting")] == [
            "running"
        ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "Not Allowed"}, "lower-case"),
        ({"completes": (PaymentProcessed, int)}, "nothing leads to int"),
        ({"reactions": {ReservationRequested: (InventoryReserved,)}}, "nothing leads to"),
        ({"compensates": (InventoryReleased,)}, "nothing follows InventoryRefused"),
    ],
)
def test_a_declaration_with_a_hole_is_refused(changes: dict[str, object], words: str) -> None:
    """Every event leads to an end, and every end is reached."""
    made = type("Broken", (Reacting,), changes)
    with pytest.raises(SagaDefinitionError, match=words):
        made()


def test_a_declaration_says_everything() -> None:
    """A missing part is named."""
    with pytest.raises(SagaDefinitionError, match="does not say begins"):
        type("Empty", (Choreography,), {"name": "empty"})()
