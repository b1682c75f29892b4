"""Weak schema: which fields of a stored event its class does not know, and which it has to make up.

From the guide, "Versioning Over Time": fields may be added with a default or dropped, never
renamed. A field that was renamed without an upcaster shows here twice: the old name is dropped,
the new one is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Final, NamedTuple, Protocol, Union, get_args, get_origin

import msgspec
import msgspec.inspect as shapes

from goldseam.errors import UpcastFailed
from goldseam.events.personal import FORGOTTEN, SEAL
from goldseam.events.registry import EventType, Past, Registry, Untyped
from goldseam.telemetry.signals import signals
from goldseam.versioning.upcasting import Stored, upcast

DEPTH_MAX: Final = 32
"""Deeper than this nobody nests an event; a class that holds itself ends here too."""

FIELDS_MAX: Final = 200
"""Most names kept for one event type and version: keys that are data must not fill the report."""

_MARK: Final = SEAL.decode().strip('"')
_decode = msgspec.json.Decoder().decode


class Raw(Protocol):
    """An event as it is stored; goldseam.store.raw.RawEvent is one."""

    @property
    def position(self) -> int: ...  # noqa: D102
    @property
    def tenant(self) -> str: ...  # noqa: D102
    @property
    def stream(self) -> str: ...  # noqa: D102
    @property
    def version(self) -> int: ...  # noqa: D102
    @property
    def type(self) -> str: ...  # noqa: D102
    @property
    def type_version(self) -> int: ...  # noqa: D102
    @property
    def payload(self) -> bytes: ...  # noqa: D102
    @property
    def recorded_us(self) -> int: ...  # noqa: D102
    @property
    def id_bytes(self) -> bytes: ...  # noqa: D102
    @property
    def metadata_bytes(self) -> bytes: ...  # noqa: D102


class Differences(NamedTuple):
    """What an event and its class do not share, as dotted paths of JSON names.

    Items of lists have no name in a path; the values of a free mapping are ``*``.
    """

    unknown: tuple[str, ...]
    """The event has them, the class does not: they are dropped when it is read."""
    missing: tuple[str, ...]
    """The class has them, the event does not: a default is made up, or it cannot be read."""


def unknown_fields(event_type: EventType, fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The dotted paths of ``fields`` that the class of ``event_type`` does not know, sorted.

    Nothing is unknown to a class that keeps what it does not know (pydantic's
    ``extra="allow"``), nor to a type that no class is registered for.
    """
    return differences(event_type, fields).unknown


def differences(event_type: EventType, fields: Mapping[str, Any]) -> Differences:
    """What the fields of an event of today's version and its class do not share."""
    if event_type.kind in (Past, Untyped):
        return Differences((), ())
    unknown: set[str] = set()
    missing: set[str] = set()
    for path, known in _walk(_described(event_type.kind), fields, (), DEPTH_MAX):
        (missing if known else unknown).add(".".join(path))
    return Differences(tuple(sorted(unknown)), tuple(sorted(missing)))


def with_stand_ins(fields: Any) -> Any:
    """``fields`` with each sealed value replaced by what readers get once it is forgotten.

    A check needs no keys then, and what it prints cannot hold a personal value.
    """
    if isinstance(fields, dict):
        sealed = fields.get(_MARK)
        if isinstance(sealed, dict):
            return sealed.get("p", FORGOTTEN)
        return {name: with_stand_ins(one) for name, one in fields.items()}
    if isinstance(fields, list):
        return [with_stand_ins(one) for one in fields]
    return fields


@dataclass(slots=True)
class Dropped:
    """The events of one stored type and version whose fields are dropped by today's class."""

    type: str
    type_version: int
    fields: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    """What the class has and these events do not: perhaps the new names."""
    events: int = 0
    newest_position: int = 0


class DroppedFields:
    """A report of dropped fields over events as they are stored; upcast before they are judged.

    Args:
        registry: today's classes and upcasters.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._found: dict[tuple[str, int], Dropped] = {}
        self.looked_at = 0
        """How many events were judged."""

    def add(self, events: Iterable[Raw]) -> None:
        """Judge more events. What upcasters cannot read is no dropped field, and not counted."""
        for event in events:
            self.looked_at += 1
            found = self._differences(event)
            if any(one.unknown for one in found):
                self._keep(event, found)

    def report(self) -> list[Dropped]:
        """The types and versions with dropped fields, those seen last first."""
        return sorted(self._found.values(), key=lambda one: -one.newest_position)

    def _differences(self, event: Raw) -> list[Differences]:
        fields = _decode(event.payload)
        if SEAL in event.payload:
            fields = with_stand_ins(fields)
        stored = Stored(
            event.type, event.type_version, event.tenant, event.stream, event.version,
            event.position, event.recorded_us, event.id_bytes, event.metadata_bytes,
        )  # fmt: skip
        try:
            today = upcast(self._registry, stored, fields, tolerant=True)
        except UpcastFailed:
            return []
        return [differences(kind, of) for kind, of in today]

    def _keep(self, event: Raw, found: list[Differences]) -> None:
        key = event.type, event.type_version
        entry = self._found.setdefault(key, Dropped(*key))
        entry.events += 1
        entry.newest_position = max(entry.newest_position, event.position)
        for one in found:
            _add(entry.fields, one.unknown)
            _add(entry.missing, one.missing)
        signals.count("goldseam_fields_dropped_total", type=event.type)


def _add(names: set[str], more: Iterable[str]) -> None:
    for name in more:
        if len(names) < FIELDS_MAX:
            names.add(name)


# ------------------------------------------------------------------------------ walking


_Path = tuple[str, ...]
_Found = tuple[_Path, bool]
"""A path, and whether the class knows it (then the event lacks it)."""


class _Object(NamedTuple):
    """A class with named fields: each name it reads, and what it expects there."""

    fields: Mapping[str, shapes.Type]
    names: tuple[frozenset[str], ...]
    """The names of each field: one of them is enough."""
    open: bool = False
    """Whether it keeps names it does not know."""


@lru_cache(1024)
def _described(kind: Any) -> shapes.Type:
    """What values of a type look like; Any where that cannot be said."""
    try:
        return shapes.type_info(kind)
    except (TypeError, NotImplementedError, NameError):
        return _union(kind)


def _union(kind: Any) -> shapes.Type:
    while get_origin(kind) is Annotated:
        kind = kind.__origin__
    if get_origin(kind) in (Union, UnionType):
        return shapes.UnionType(tuple(_described(one) for one in get_args(kind)))
    return shapes.AnyType()


def _walk(expected: shapes.Type, value: Any, path: _Path, depth: int) -> Iterator[_Found]:
    if not depth:
        return
    while isinstance(expected, shapes.Metadata):
        expected = expected.type
    if isinstance(expected, shapes.UnionType):
        yield from _closest(expected, value, path, depth)
    elif isinstance(value, list):
        for n, one in enumerate(value):
            yield from _walk(_item(expected, n), one, path, depth - 1)
    elif isinstance(value, dict):
        if isinstance(expected, shapes.DictType):
            for one in value.values():
                yield from _walk(expected.value_type, one, (*path, "*"), depth - 1)
        elif (known := _object(expected)) is not None:
            yield from _compared(known, value, path, depth)


def _compared(known: _Object, value: dict[str, Any], path: _Path, depth: int) -> Iterator[_Found]:
    for name, one in value.items():
        expected = known.fields.get(name)
        if expected is not None:
            yield from _walk(expected, one, (*path, name), depth - 1)
        elif not known.open:
            yield (*path, name), False
    for names in known.names:
        if names.isdisjoint(value):
            yield (*path, min(names)), True


def _closest(expected: shapes.UnionType, value: Any, path: _Path, depth: int) -> Iterator[_Found]:
    """Of several possible classes the one that the tag names, else the one that fits best."""
    tagged = [one for one in expected.types if _tag_fits(one, value)]
    found = [list(_walk(one, value, path, depth)) for one in tagged or expected.types
             if _may_hold(one, value)]  # fmt: skip
    yield from min(found, key=len, default=[])


def _tag_fits(expected: shapes.Type, value: Any) -> bool:
    if not isinstance(expected, shapes.StructType) or not isinstance(value, dict):
        return False
    return expected.tag_field is not None and value.get(expected.tag_field) == expected.tag


def _may_hold(expected: shapes.Type, value: Any) -> bool:
    if isinstance(expected, shapes.AnyType):
        return True
    if isinstance(value, dict):
        return isinstance(expected, shapes.DictType) or _object(expected) is not None
    return isinstance(value, list) and isinstance(expected, _COLLECTIONS)


def _item(expected: shapes.Type, n: int) -> shapes.Type:
    if isinstance(expected, shapes.TupleType):
        return expected.item_types[n] if n < len(expected.item_types) else shapes.AnyType()
    if isinstance(expected, shapes.CollectionType):
        return expected.item_type
    return shapes.AnyType()


_COLLECTIONS = (shapes.CollectionType, shapes.TupleType)


def _object(expected: shapes.Type) -> _Object | None:
    if isinstance(expected, shapes.StructType):
        if expected.array_like:
            return None
        found = _of_fields(expected.fields)
        if expected.tag_field is None:
            return found
        return found._replace(fields={**found.fields, expected.tag_field: shapes.AnyType()})
    if isinstance(expected, shapes.DataclassType | shapes.TypedDictType):
        return _of_fields(expected.fields)
    if isinstance(expected, shapes.CustomType) and hasattr(expected.cls, "model_fields"):
        return _of_pydantic(expected.cls)
    return None


def _of_fields(fields: Iterable[shapes.Field]) -> _Object:
    known = {one.encode_name: one.type for one in fields}
    return _Object(known, tuple(frozenset({name}) for name in known))


@lru_cache(1024)
def _of_pydantic(kind: Any) -> _Object:
    config = kind.model_config
    known: dict[str, shapes.Type] = {}
    several = []
    for name, info in kind.model_fields.items():
        names = _aliases(info.validation_alias)
        if not names or config.get("populate_by_name") or config.get("validate_by_name"):
            names |= {name}
        known |= dict.fromkeys(names, _described(info.annotation))
        several.append(frozenset(names))
    return _Object(known, tuple(several), config.get("extra") == "allow")


def _aliases(alias: Any) -> set[str]:
    """The top-level names that an alias of pydantic reads."""
    if alias is None or isinstance(alias, str):
        return {alias} if alias else set()
    if hasattr(alias, "choices"):
        return {name for one in alias.choices for name in _aliases(one)}
    return {str(alias.path[0])}
