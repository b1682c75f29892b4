"""One event for the fault tests, and a load of writers that write down what was acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID

from goldseam import EventStore, GoldseamError, NewEvent, Registry
from goldseam.resilience.clock import uuid7_bytes

registry = Registry()


@registry.event
class Ticked:
    """Something counted on."""

    writer: int
    number: int
    note: str = "some text long enough to have bits worth flipping"


def tick(writer: int, number: int, event_id: UUID | None = None) -> NewEvent:
    """One event with an id of its own, so that a retry can be the same event."""
    return NewEvent(Ticked(writer, number), id=event_id or UUID(bytes=uuid7_bytes()))


async def write_until(
    store: EventStore, writers: int, stop: Callable[[], bool], acknowledged: dict[UUID, int]
) -> None:
    """``writers`` tasks append one event after another; an error is retried with the same id."""

    async def writer(n: int) -> None:
        version = await store.stream_version(f"tick-{n}")
        while not stop():
            event = tick(n, version)
            while True:
                try:
                    done = await store.append(f"tick-{n}", [event], expected=version)
                    break
                except GoldseamError as error:
                    if not error.retry_safe:
                        raise
                    await asyncio.sleep(0.05)
            assert event.id is not None
            acknowledged[event.id] = done.position
            version = done.version

    await asyncio.gather(*(writer(n) for n in range(writers)))
