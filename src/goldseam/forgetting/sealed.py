"""Find what a stored event says about one person, without the keys of anybody else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import msgspec

from goldseam.events.event import RawEvent
from goldseam.events.personal import SEAL
from goldseam.events.registry import Registry
from goldseam.privacy.envelope import MARK
from goldseam.store.event_store import EventStore
from goldseam.store.read import PAGE_EVENTS


class Place(NamedTuple):
    """A sealed value: what holds it, under which name, its path, what stands under the mark."""

    holder: dict[str, Any]
    name: str
    path: str
    sealed: dict[str, Any]


class About(NamedTuple):
    """An event that names the subject, its fields as stored, and its sealed values, everybody's."""

    event: RawEvent
    fields: dict[str, Any]
    places: list[Place]


class Seeker:
    """Finds the events of one subject: by sealed values, and by the fields that name subjects.

    Args:
        registry: whose classes say which fields name subjects; those of every version of an
            event type are looked at.
    """

    def __init__(self, registry: Registry, subject: str) -> None:
        self._subject = subject
        # What a payload must contain: cheap to see, and true of few.
        self._needle = msgspec.json.encode(subject)[1:-1]
        self._owners: dict[str, set[tuple[str, ...]]] = {}
        for kind in registry:
            for field in kind.personal:
                self._owners.setdefault(kind.name, set()).add(field.subject)

    def about(self, event: RawEvent) -> About | None:
        """The event taken apart if it names the subject."""
        if self._needle not in event.payload:
            return None
        fields = msgspec.json.decode(event.payload)
        if not isinstance(fields, dict):
            return None
        places = list(_places(fields, ""))
        if not (
            any(place.sealed.get("s") == self._subject for place in places)
            or any(self._is_named(fields, path) for path in self._owners.get(event.type, ()))
        ):
            return None
        return About(event, fields, places)

    def _is_named(self, fields: Any, path: tuple[str, ...]) -> bool:
        for name in path:
            fields = fields.get(name) if isinstance(fields, dict) else None
        return fields is not None and str(fields) == self._subject


def _places(fields: dict[str, Any], above: str) -> Iterator[Place]:
    for name, value in fields.items():
        if isinstance(value, dict):
            sealed = value.get(MARK)
            if isinstance(sealed, dict):
                yield Place(fields, name, above + name, sealed)
            else:
                yield from _places(value, f"{above}{name}.")


async def sealed_keys(
    store: EventStore, subjects: frozenset[str]
) -> AsyncIterator[list[tuple[str, int]]]:
    """The subject and key version of each value in the log that is about one of ``subjects``."""
    async for page in raw_log(store):
        found = []
        for event in page:
            if event.tenant == store.tenant and SEAL in event.payload:
                fields = msgspec.json.decode(event.payload)
                places = _places(fields, "") if isinstance(fields, dict) else ()
                found += [
                    (place.sealed["s"], int(place.sealed["k"]))
                    for place in places
                    if place.sealed["s"] in subjects
                ]
        if found:
            yield found


async def raw_log(store: EventStore) -> AsyncIterator[list[RawEvent]]:
    """The log of all tenants as it is stored, a page at a time."""
    after = 0
    while page := await store.raw_all(after=after, limit=PAGE_EVENTS):
        yield page
        after = page[-1].position
