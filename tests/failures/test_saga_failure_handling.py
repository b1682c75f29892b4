"""saga/failure-handling, saga/coordination, saga/coupling, saga/visibility: both forms, one log.

The table of the guide's "Choreography vs Orchestration".
"""

from __future__ import annotations

from typing import Any

import pytest

from goldseam import ANY, EventStore, Goldseam, NewEvent
from goldseam.events.event import Metadata, Recorded
from goldseam.projections.projection import Projection
from goldseam.sagas.choreography import FlowProjection
from goldseam.sagas.errors import SagaDefinitionError
from tests.support.eventually import eventually
from tests.support.fulfilment import (
    Called,
    InventoryReleased,
    InventoryReserved,
    OrderReceived,
    PaymentFailed,
    Reacting,
    ReservationRequested,
)


async def _write(store: EventStore, data: object, cause: Recorded[Any] | None) -> Recorded[Any]:
    """One service's event; without a cause it is the first of a flow."""
    metadata = Metadata() if cause is None else cause.caused()
    done = await store.append("services-1", [NewEvent(data, None, metadata)], expected=ANY)
    return (await store.read_stream("services-1", after=done.version - 1))[0]


def _application(url: str) -> Goldseam:
    flows: list[Projection] = [FlowProjection(Reacting())]
    return Goldseam(url, projections=flows, sagas=[Called()])


async def test_both_forms_stand_beside_each_other_in_one_list(store_url: str) -> None:
    """saga/coordination, saga/visibility: one is told, the other reacts; both are seen."""
    async with _application(store_url) as app:
        await app.sagas.start(Called, OrderReceived("1", "charge:refuse"), key="1")
        begun = await _write(app.store, ReservationRequested("2"), None)
        reserved = await _write(app.store, InventoryReserved("2"), begun)
        failed = await _write(app.store, PaymentFailed("2"), reserved)
        await _write(app.store, InventoryReleased("2"), failed)

        async def both() -> bool:
            found = await app.saga_list.find(status="compensated")
            return {"called", "reacting"} == {one.definition for one in found}

        await eventually(both)
        story: Any = await app.saga_list.show(f"reacting/{begun.id}")
        assert 4 == len(story.events)


async def test_who_reacts_to_what_is_declared_and_drawn(store_url: str) -> None:
    """saga/coupling: the graph of either form, from the definitions alone."""
    async with _application(store_url) as app:
        orchestrated = await app.saga_list.diagram("called")
        choreographed = await app.saga_list.diagram("reacting")
    assert all(word in orchestrated for word in ("reserve", "release", "charge", "refund"))
    assert all(word in choreographed for word in ("PaymentFailed", "InventoryReleased"))


async def test_a_step_without_its_compensation_is_no_definition() -> None:
    """saga/failure-handling: what undoes a step is declared beside it, or that nothing does."""
    from goldseam import Saga, step

    class Careless(Saga[OrderReceived]):
        name = "careless"

        @step()
        async def charge(self, data: OrderReceived, call: Any) -> None: ...

    with pytest.raises(SagaDefinitionError, match="has no compensation"):
        Careless()


async def test_control_without_correlation_a_process_falls_apart(store_url: str) -> None:
    """The same four events, each written as if nothing had caused it: nobody sees one process."""
    async with _application(store_url) as app:
        for data in (ReservationRequested("2"), InventoryReserved("2"), PaymentFailed("2"),
                     InventoryReleased("2")):  # fmt: skip
            await _write(app.store, data, None)

        async def torn() -> bool:
            return 4 == len(await app.saga_list.find(definition="reacting"))

        await eventually(torn)
        found = await app.saga_list.find(definition="reacting")
        assert {"running", "compensated"} == {one.status for one in found}
