"""The seam between the log and the keys of personal data; goldseam.privacy fills it.

The log stores what it is given: sealed values are part of the payload, so checksums and chains
cover them and hold when a key is destroyed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from goldseam.events.event import NewEvent
from goldseam.events.personal import SEALED_STATE, Opened, subjects_of
from goldseam.events.registry import EventType, Registry


class Sealing(Protocol):
    """The keys that one append needs, at hand: sealing awaits nothing."""

    def seal(self, kind: EventType, payload: bytes, event_id: bytes) -> bytes:
        """``payload`` with the personal fields of ``kind`` sealed for this event."""
        ...


class Sealer(Protocol):
    """Seals and opens personal fields with keys that live elsewhere."""

    async def sealing(self, tenant: str, subjects: set[str]) -> Sealing:
        """Fetch the keys of ``subjects``, making those that are missing.

        Raises:
            SubjectForgotten: one of them is forgotten and not re-admitted.
            KeyStoreUnavailable: the keys cannot be reached; nothing personal is written.
        """
        ...

    async def open(self, tenant: str, sealed: Sequence[tuple[bytes, bytes]]) -> Iterator[Opened]:
        """Open payloads, given as event id and bytes; each when it is asked for.

        Raises:
            KeyStoreUnavailable: the keys cannot be reached; nothing is served instead.
            SealBroken: a sealed value is not what was sealed for this event and field.
        """
        ...

    async def seal_state(self, tenant: str, subjects: frozenset[str], state: bytes) -> bytes | None:
        """A snapshot's bytes under the keys of all ``subjects``; None if one is forgotten."""
        ...

    async def open_state(self, tenant: str, state: bytes) -> tuple[bytes, frozenset[str]] | None:
        """The snapshot's bytes and its subjects; None if one of them is forgotten."""
        ...


async def seal_state(
    sealer: Sealer | None, tenant: str, subjects: frozenset[str], state: bytes
) -> bytes | None:
    """A snapshot's bytes: as they are, or sealed for all whom they are about.

    None if one of them is forgotten, or there are no keys: then no snapshot is kept.
    """
    if not subjects:
        return state
    return None if sealer is None else await sealer.seal_state(tenant, subjects, state)


async def open_state(
    sealer: Sealer | None, tenant: str, state: bytes
) -> tuple[bytes, frozenset[str]] | None:
    """A snapshot's bytes and whom they are about; None if it cannot be opened any more."""
    if not state.startswith(SEALED_STATE):
        return state, frozenset()
    return None if sealer is None else await sealer.open_state(tenant, state)


def personal_subjects(registry: Registry, events: Iterable[object]) -> set[str] | None:
    """Whom the personal fields of ``events`` are about; None when no event has any.

    Raises:
        UnknownEventType: an event's class is not registered.
    """
    subjects: set[str] | None = None
    for event in events:
        data = event.data if type(event) is NewEvent else event
        kind = registry.of(data)
        if kind.personal:
            subjects = (subjects or set()).union(subjects_of(kind.personal, data))
    return subjects
