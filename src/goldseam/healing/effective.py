"""The history as it should have been written: originals with their corrected values.

Pure functions over events, and an index of a log's corrections for readers of pages. The last
correction of an event wins. What is in the log stays there: ask for the raw history to see it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from goldseam.events.event import Recorded
from goldseam.healing.fields import replaced


class Corrects(Protocol):
    """What has to be known of one correction class."""

    @property
    def original(self) -> type:
        """The class that it corrects."""
        ...

    def original_of(self, data: object) -> bytes:
        """The id of the event that it corrects."""
        ...

    def corrected(self, data: object) -> dict[str, Any]:
        """The values that count from it on."""
        ...


Place = tuple[str, str, bytes]
"""Tenant, stream and id: a correction counts in the stream of its original only."""


class CorrectionIndex:
    """What is corrected, by place. Holds one entry for each corrected event.

    ``until`` is the position up to which the log's corrections are in it.
    """

    def __init__(self, kinds: Mapping[type, Corrects], until: int = 0) -> None:
        self.until = until
        self._kinds = kinds
        self._changes: dict[Place, tuple[type, dict[str, Any]]] = {}
        self._originals: dict[Place, Place] = {}

    def __len__(self) -> int:
        return len(self._changes)

    def take_in(self, events: Sequence[Recorded[Any]]) -> None:
        """Take in the corrections among ``events``, which come in the order of the log."""
        for event in events:
            correction = self._kinds.get(type(event.data))
            if correction is None:
                continue
            named = event.tenant, event.stream, correction.original_of(event.data)
            original = self._originals.get(named, named)
            # One that names a correction corrects what that one corrects.
            self._originals[event.tenant, event.stream, event.id_bytes] = original
            self._changes[original] = correction.original, correction.corrected(event.data)

    def effective(self, events: Sequence[Recorded[Any]]) -> list[Recorded[Any]]:
        """``events`` with their corrected values, corrections left out."""
        if not self._changes:
            return list(events)
        found = []
        for event in events:
            if type(event.data) in self._kinds:
                continue
            kind, changes = self._changes.get(_place(event), (None, None))
            if changes is not None and type(event.data) is kind:
                found.append(_with(event, changes))
            else:
                found.append(event)
        return found


def effective_history(
    kinds: Mapping[type, Corrects], events: Sequence[Recorded[Any]]
) -> list[Recorded[Any]]:
    """The effective history of whole streams: ``events`` has all of their corrections."""
    index = CorrectionIndex(kinds)
    index.take_in(events)
    return index.effective(events)


def _place(event: Recorded[Any]) -> Place:
    return event.tenant, event.stream, event.id_bytes


def _with(event: Recorded[Any], changes: Mapping[str, Any]) -> Recorded[Any]:
    return Recorded(
        event.position,
        event.stream,
        event.version,
        event.type,
        event.type_version,
        replaced(event.data, changes),
        event.tenant,
        event.recorded_us,
        event.id_bytes,
        event.metadata_bytes,
        event.shredded,
    )
