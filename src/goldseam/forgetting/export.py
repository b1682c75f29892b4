"""Everything that is known about one person, as they may ask for it.

One event at a time, so that a long log needs no more memory than a short one. Values about other
people in the same events stay sealed: their keys are not even fetched.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from goldseam.events.personal import FORGOTTEN
from goldseam.forgetting.sealed import About, Seeker, raw_log
from goldseam.privacy.envelope import SubjectKey, unseal
from goldseam.privacy.vault import Vault
from goldseam.store.event_store import EventStore

OTHER = "[about somebody else]"
"""In place of a value that is about another person."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Exported(msgspec.Struct, frozen=True):
    """One event that names the person.

    ``personal`` are the dotted paths of the values about them, ``forgotten`` of those among these
    that nobody can read any more.
    """

    position: int
    stream: str
    version: int
    type: str
    type_version: int
    recorded_at: str
    fields: dict[str, Any]
    personal: list[str]
    forgotten: list[str]


class Exporter:
    """Exports what one tenant's log says about a person.

    Args:
        store: need not be opened with the vault; what is stored is read.
    """

    def __init__(self, store: EventStore, vault: Vault) -> None:
        self._store, self._vault = store, vault

    async def events(self, subject: str) -> AsyncIterator[Exported]:
        """The events that name ``subject``, oldest first.

        Raises:
            KeyStoreUnavailable: the keys cannot be reached; nothing is left out in silence.
            SealBroken: a sealed value is not what was sealed.
        """
        seeker = Seeker(self._store.registry, subject)
        async for page in raw_log(self._store):
            mine = [event for event in page if event.tenant == self._store.tenant]
            found = [about for about in map(seeker.about, mine) if about is not None]
            if not found:
                continue
            wanted = {
                (subject, int(place.sealed["k"]))
                for about in found
                for place in about.places
                if place.sealed["s"] == subject
            }
            keys = await self._vault.opening_keys(self._store.tenant, wanted) if wanted else {}
            for about in found:
                yield _exported(about, subject, keys)

    async def values(self, subject: str) -> AsyncIterator[str]:
        """The clear personal values of ``subject`` as texts: to search for when it is forgotten."""
        async for event in self.events(subject):
            for path in event.personal:
                if path not in event.forgotten:
                    for text in _texts(_at(event.fields, path)):
                        yield text


def _exported(
    about: About, subject: str, keys: dict[tuple[str, int], SubjectKey | None]
) -> Exported:
    personal, forgotten, event = [], [], about.event
    for place in about.places:
        if place.sealed["s"] != subject:
            place.holder[place.name] = OTHER
            continue
        personal.append(place.path)
        key = keys[subject, int(place.sealed["k"])]
        if key is None:
            forgotten.append(place.path)
            place.holder[place.name] = place.sealed.get("p", FORGOTTEN)
        else:
            opened = unseal(key, place.sealed, event.id_bytes, place.path)
            place.holder[place.name] = msgspec.json.decode(opened)
    recorded = _EPOCH + timedelta(microseconds=event.recorded_us)
    return Exported(
        event.position, event.stream, event.version, event.type, event.type_version,
        recorded.isoformat(), about.fields, personal, forgotten,
    )  # fmt: skip


def _at(fields: Any, path: str) -> Any:
    for name in path.split("."):
        fields = fields[name]
    return fields


def _texts(value: Any) -> list[str]:
    """The texts and numbers inside a value."""
    if isinstance(value, dict):
        return [text for one in value.values() for text in _texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    return [] if value is None or isinstance(value, bool) else [str(value)]
