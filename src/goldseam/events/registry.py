"""Stable names and versions for event classes, never an import path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from typing import Any, TypeVar, dataclass_transform, get_type_hints, overload
from zlib import crc32

import msgspec

from goldseam.errors import DuplicateRegistration, InvalidName, UnknownEventType
from goldseam.events.codec import Decode, Encode, checked_json, codec_for
from goldseam.events.names import checked_name

C = TypeVar("C", bound=type)

TYPE_VERSION_MAX = 32_767
"""Highest version of an event type: fits a PostgreSQL smallint."""


class EventType:
    """One registered event class: its stable name, its version, and how it becomes bytes."""

    __slots__ = ("decode", "encode", "kind", "name", "seed", "version")

    def __init__(self, name: str, version: int, kind: type, encode: Encode, decode: Decode) -> None:
        self.name, self.version, self.kind = name, version, kind
        self.encode, self.decode = encode, decode
        self.seed = type_seed(name, version)

    def __repr__(self) -> str:
        return f"EventType({self.name!r}, version={self.version})"


def type_seed(name: str, version: int) -> int:
    """The part of an event's checksum that comes from its type."""
    return crc32(f"{name}@{version}".encode())


class Untyped(msgspec.Struct, frozen=True):
    """An event of a name that no class is registered for, in a registry that allows it."""

    name: str
    version: int
    payload: msgspec.Raw | dict[str, Any]

    def fields(self) -> dict[str, Any]:
        """The event's fields as plain values."""
        payload = self.payload
        return payload if isinstance(payload, dict) else msgspec.json.decode(bytes(payload))


class Registry:
    """The event classes that a store may write and read.

    Args:
        open_to_unknown: events of unregistered names are read and written as ``Untyped``
            instead of being refused: for tools and servers that know no classes.
    """

    def __init__(self, *, open_to_unknown: bool = False) -> None:
        self.open_to_unknown = open_to_unknown
        self.by_name: dict[tuple[str, int], EventType] = {}
        """Every known type by name and version; read it, register through ``register``."""
        self._by_class: dict[type, EventType] = {}

    def __iter__(self) -> Iterator[EventType]:
        return iter(self.by_name.values())

    def register(self, kind: type, *, name: str | None = None, version: int = 1) -> EventType:
        """Give ``kind`` its stable ``name`` (its class name unless said) and ``version``.

        Raises:
            DuplicateRegistration: the name and version belong to another class.
            InvalidName: the name or version cannot be stored.
        """
        name = checked_name("event type", kind.__name__ if name is None else name)
        if not 1 <= version <= TYPE_VERSION_MAX:
            raise InvalidName("event version", version, f"it must be 1 to {TYPE_VERSION_MAX}")
        known = self.by_name.get((name, version))
        if known is not None and not _same_class(known.kind, kind):
            raise DuplicateRegistration(name, version, repr(known.kind), repr(kind))
        event_type = EventType(name, version, kind, *codec_for(name, kind))
        self.by_name[name, version] = event_type
        self._by_class[kind] = event_type
        return event_type

    def of(self, event: object) -> EventType:
        """The type of an instance.

        Raises:
            UnknownEventType: its class is not registered.
        """
        event_type = self._by_class.get(type(event))
        if event_type is not None:
            return event_type
        if isinstance(event, Untyped) and self.open_to_unknown:
            return self._untyped(event.name, event.version)
        raise UnknownEventType(type(event).__name__)

    def named(self, name: str, version: int) -> EventType:
        """The type stored under ``name`` and ``version``.

        Raises:
            UnknownEventType: nobody registered it.
        """
        event_type = self.by_name.get((name, version))
        if event_type is not None:
            return event_type
        if self.open_to_unknown:
            return self._untyped(name, version)
        raise UnknownEventType(name, version)

    def named_or_untyped(self, name: str, version: int) -> EventType:
        """Like :meth:`named`, but an unregistered type is read as :class:`Untyped`."""
        return self.by_name.get((name, version)) or _untyped(name, version)

    def _untyped(self, name: str, version: int) -> EventType:
        known = self.by_name.get((name, version))
        if known is None:
            known = _untyped(name, version)
            self.by_name[name, version] = known
        return known

    @overload
    def event(self, kind: C, /) -> C: ...
    @overload
    def event(self, /, *, name: str | None = None, version: int = 1) -> Callable[[C], C]: ...

    @dataclass_transform(frozen_default=True)
    def event(self, kind: Any = None, /, *, name: str | None = None, version: int = 1) -> Any:
        """Declare an event class; see :func:`goldseam.event`."""

        def declare(plain: Any) -> Any:
            declared = plain if _is_event_class(plain) else _frozen_struct(plain)
            self.register(declared, name=name, version=version)
            return declared

        return declare if kind is None else declare(kind)


def _same_class(one: type, other: type) -> bool:
    """Whether a module was merely imported again (a reload, a test run twice)."""
    return (one.__module__, one.__qualname__) == (other.__module__, other.__qualname__)


def _is_event_class(kind: Any) -> bool:
    return (
        isinstance(kind, type(msgspec.Struct))
        or is_dataclass(kind)
        or hasattr(kind, "__attrs_attrs__")
        or hasattr(kind, "__pydantic_validator__")
    )


def _frozen_struct(plain: type) -> type:
    """A plain annotated class, made a frozen msgspec Struct."""
    hints = get_type_hints(plain, include_extras=True) if plain.__annotations__ else {}
    fields: list[Any] = [
        (field, hints[field], getattr(plain, field))
        if hasattr(plain, field)
        else (field, hints[field])
        for field in hints
    ]
    kept = {
        key: value
        for key, value in vars(plain).items()
        if key not in {"__dict__", "__weakref__", "__annotations__"} and key not in hints
    }
    return msgspec.defstruct(
        plain.__name__, fields, namespace=kept, module=plain.__module__, frozen=True
    )


def _untyped(name: str, version: int) -> EventType:
    checked_name("event type", name)
    return EventType(name, version, Untyped, _encode_untyped, _untyped_decoder(name, version))


def _encode_untyped(event: Untyped) -> bytes:
    payload = event.payload
    if isinstance(payload, msgspec.Raw):
        return bytes(payload)
    return checked_json(event.name, payload)


def _untyped_decoder(name: str, version: int) -> Decode:
    def decode(payload: bytes) -> Untyped:
        return Untyped(name, version, msgspec.Raw(payload))

    return decode


registry = Registry()
"""The registry that ``@event`` fills and every store uses unless it is given another."""


@overload
@dataclass_transform(frozen_default=True)
def event(kind: C, /) -> C: ...
@overload
def event(*, name: str | None = None, version: int = 1) -> Callable[[C], C]: ...
def event(kind: Any = None, /, *, name: str | None = None, version: int = 1) -> Any:
    """Declare an event class under a stable name and version, in the registry of all stores.

    A plain class with annotations becomes a frozen msgspec Struct; Structs, dataclasses, attrs
    and pydantic classes stay what they are.

    Raises:
        DuplicateRegistration: the name and version belong to another class.
        InvalidName: the name or version cannot be stored.
    """
    declare = registry.event(name=name, version=version)
    return declare if kind is None else declare(kind)
