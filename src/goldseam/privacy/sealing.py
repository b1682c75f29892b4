"""Personal fields on their way into the log and out of it, with the keys of a vault."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from goldseam.errors import InvalidEvent
from goldseam.events.personal import FORGOTTEN, Opened, PersonalField, marked
from goldseam.events.registry import EventType
from goldseam.privacy.envelope import MARK, SubjectKey, seal, unsealed
from goldseam.privacy.state import Keys, Wanted, open_state, seal_state

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


_SUBJECT = re.compile(rb'"\$sealed":\{"s":("[^"\\]*(?:\\.[^"\\]*)*"),"k":(\d+)')
_Place = tuple[dict[str, Any], str, str, dict[str, Any]]


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

    async def open(self, tenant: str, sealed: Sequence[tuple[bytes, bytes]]) -> Iterator[Opened]:
        """Each payload's fields, opened when they are asked for; all keys are fetched first."""
        wanted = set(_wanted(payload for _, payload in sealed))
        keys = await self.keys.opening_keys(tenant, wanted)
        return (_opened(payload, keys, event_id) for event_id, payload in sealed)

    async def seal_state(self, tenant: str, subjects: frozenset[str], state: bytes) -> bytes | None:
        """A snapshot's bytes under the keys of all ``subjects``; None if one is forgotten."""
        return await seal_state(self.keys, tenant, subjects, state)

    async def open_state(self, tenant: str, state: bytes) -> tuple[bytes, frozenset[str]] | None:
        """The snapshot's bytes and its subjects; None if one of them is forgotten."""
        return await open_state(self.keys, tenant, state)


def _wanted(payloads: Iterable[bytes]) -> Iterator[Wanted]:
    """The keys that payloads need, without taking them apart: each asked for once."""
    for subject, version in set(_SUBJECT.findall(b"\n".join(payloads))):
        yield _decode(subject), int(version)


def _opened(payload: bytes, keys: Mapping[Wanted, SubjectKey | None], event_id: bytes) -> Opened:
    fields = _decode(payload)
    shredded, subjects, event = 0, set(), event_id.hex()
    for holder, name, path, value in _sealed_values(fields, ""):
        subject = value["s"]
        subjects.add(subject)
        key = keys[subject, value["k"]]
        if key is None:
            shredded += 1
            holder[name] = marked(value.get("p", FORGOTTEN))
        else:
            holder[name] = _decode(unsealed(key, value, event, path))
    return Opened(fields, subjects, shredded)


def _sealed_values(fields: dict[str, Any], above: str) -> list[_Place]:
    """The sealed values of a payload: what holds them, under which name, where, what they are."""
    found: list[_Place] = []
    for name, value in fields.items():
        if type(value) is dict:
            mark = value.get(MARK)
            if mark is not None:
                found.append((fields, name, above + name if above else name, mark))
            else:
                found += _sealed_values(value, f"{above}{name}.")
    return found
