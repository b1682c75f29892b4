"""Personal fields on their way into the log and out of it, with the keys of a vault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from goldseam.errors import InvalidEvent
from goldseam.events.personal import FORGOTTEN, Opened, PersonalField, marked
from goldseam.events.registry import EventType
from goldseam.privacy.envelope import MARK, SubjectKey, seal, unseal
from goldseam.privacy.state import Keys, Wanted, open_state, seal_state

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class KeysAtHand:
    """The keys of one append."""

    def __init__(self, keys: Mapping[str, SubjectKey]) -> None:
        self._keys = keys

    def seal(self, kind: EventType, payload: bytes, event_id: bytes) -> bytes:
        """``payload`` with the personal fields of ``kind`` sealed for this event.

        Raises:
            InvalidEvent: a personal field has a value, and nobody is named whom it is about.
        """
        fields = _decode(payload)
        for field in kind.personal:
            holder = _value(fields, field.path[:-1])
            value = None if holder is None else holder.get(field.path[-1])
            if value is None:
                continue
            subject = _value(fields, field.subject)
            if subject is None or subject == "":
                reason = f"{'.'.join(field.path)} is personal and {field.subject[-1]} names nobody"
                raise InvalidEvent(kind.name, reason)
            holder[field.path[-1]] = self._sealed(str(subject), field, event_id, value)
        return _encode(fields)

    def _sealed(
        self, subject: str, field: PersonalField, event_id: bytes, value: Any
    ) -> dict[str, Any]:
        stand_in = field.stand_in(value)
        partial = None if stand_in == FORGOTTEN else stand_in
        path = ".".join(field.path)
        sealed = seal(self._keys[subject], subject, event_id, path, _encode(value), partial)
        sealed[MARK]["t"] = field.kind
        return sealed


def _value(fields: Any, path: Sequence[str]) -> Any:
    for name in path:
        fields = fields.get(name) if isinstance(fields, dict) else None
    return fields


class VaultSealer:
    """Seals and opens with the keys of a vault: what the log asks for in store/sealing.py.

    Args:
        keys: the vault.
    """

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    async def sealing(self, tenant: str, subjects: set[str]) -> KeysAtHand:
        """The keys of ``subjects``, at hand."""
        return KeysAtHand(await self.keys.sealing_keys(tenant, subjects))

    async def open(self, tenant: str, sealed: Sequence[tuple[bytes, bytes]]) -> list[Opened]:
        """Each payload's fields, whom they are about, and how many values are stand-ins."""
        payloads = [(event_id, _decode(payload)) for event_id, payload in sealed]
        places = [list(_sealed_values(fields, "")) for _, fields in payloads]
        wanted = {_wanted(value) for found in places for _, _, _, value in found}
        keys = await self.keys.opening_keys(tenant, wanted)
        opened = []
        for (event_id, fields), found in zip(payloads, places, strict=True):
            shredded = 0
            for holder, name, path, value in found:
                key = keys[_wanted(value)]
                shredded += key is None
                holder[name] = _opened(key, value, event_id, path)
            subjects = frozenset(value["s"] for _, _, _, value in found)
            opened.append(Opened(fields, subjects, shredded))
        return opened

    async def seal_state(self, tenant: str, subjects: frozenset[str], state: bytes) -> bytes | None:
        """A snapshot's bytes under the keys of all ``subjects``; None if one is forgotten."""
        return await seal_state(self.keys, tenant, subjects, state)

    async def open_state(self, tenant: str, state: bytes) -> tuple[bytes, frozenset[str]] | None:
        """The snapshot's bytes and its subjects; None if one of them is forgotten."""
        return await open_state(self.keys, tenant, state)


def _opened(key: SubjectKey | None, value: Mapping[str, Any], event_id: bytes, path: str) -> Any:
    if key is None:
        return marked(value.get("p", FORGOTTEN))
    return _decode(unseal(key, {MARK: value}, event_id, path))


def _wanted(value: Mapping[str, Any]) -> Wanted:
    return value["s"], value["k"]


def _sealed_values(
    fields: dict[str, Any], above: str
) -> Iterator[tuple[dict[str, Any], str, str, dict[str, Any]]]:
    """The sealed values of a payload: what holds them, under which name, where, what they are."""
    for name, value in fields.items():
        if type(value) is dict:
            mark = value.get(MARK)
            if mark is not None:
                yield fields, name, above + name, mark
            else:
                yield from _sealed_values(value, f"{above}{name}.")
