"""A dry run: what a transform would do to a log, counted and shown; nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import msgspec

from goldseam.database.connection import Database
from goldseam.events.event import RawEvent
from goldseam.migration.stepper import Stepper
from goldseam.migration.transform import Named
from goldseam.store.raw import raw_page

PAGE_EVENTS = 1_000
SAMPLE_EVENTS = 10
"""Changed events that are shown, unless more are asked for."""

PER_TYPE = 3
"""Examples of one type: ten times the same change says no more than three times."""


class Shown(msgspec.Struct, frozen=True):
    """One event as an operator reads it."""

    id: str
    stream: str
    type: str
    type_version: int
    fields: dict[str, Any]


class Change(msgspec.Struct, frozen=True):
    """What becomes of the source event at ``position``; empty ``after``: dropped or held."""

    position: int
    before: Shown
    after: Sequence[Shown]


class Preview(msgspec.Struct, frozen=True):
    """The whole log through the transform."""

    transform: str
    source_events: int
    target_events: int
    unchanged: int
    before: dict[str, int]
    after: dict[str, int]
    sample: Sequence[Change]


async def preview(
    source: Database,
    named: Named,
    *,
    sample: int = SAMPLE_EVENTS,
    told: Callable[[int], object] = lambda _: None,
) -> Preview:
    """Run the log through the transform; the first changes of each type are kept as examples.

    Raises:
        InvalidTransform: the transform gave back something that cannot be stored.
        CorruptEvent: the source is damaged.
    """
    stepper, work = Stepper(named, {}), _Work(sample)
    after = 0
    while True:
        page = await source.read_one(
            lambda c, start=after: raw_page(c, after=start, limit=PAGE_EVENTS)  # type: ignore[misc]
        )
        if not page:
            break
        for event in page:
            work.add(event, stepper.step(event))
        after = page[-1].position
        told(after)
    for event in stepper.finish():
        work.after[_key(event)] += 1
    return Preview(
        transform=named.name,
        source_events=work.before.total(),
        target_events=work.after.total(),
        unchanged=work.unchanged,
        before=dict(sorted(work.before.items())),
        after=dict(sorted(work.after.items())),
        sample=work.changes,
    )


class _Work:
    def __init__(self, sample: int) -> None:
        self._sample, self._examples = sample, Counter[str]()
        self.before, self.after = Counter[str](), Counter[str]()
        self.unchanged = 0
        self.changes: list[Change] = []

    def add(self, event: RawEvent, made: Sequence[RawEvent]) -> None:
        name = _key(event)
        self.before[name] += 1
        self.after.update(map(_key, made))
        if len(made) == 1 and _same(event, made[0]):
            self.unchanged += 1
            return
        self._examples[name] += 1
        if self._examples[name] <= PER_TYPE and len(self.changes) < self._sample:
            self.changes.append(Change(event.position, _shown(event), list(map(_shown, made))))


def _same(one: RawEvent, other: RawEvent) -> bool:
    return msgspec.structs.astuple(one) == msgspec.structs.astuple(other)


def _key(event: RawEvent) -> str:
    return f"{event.type} v{event.type_version}"


def _shown(event: RawEvent) -> Shown:
    fields = msgspec.json.decode(event.payload)
    event_id = str(UUID(bytes=event.id_bytes))
    return Shown(event_id, event.stream, event.type, event.type_version, fields)
