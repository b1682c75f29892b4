"""Stable names and versions for event classes, never an import path."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import is_dataclass
from typing import Any, Protocol, TypeVar, dataclass_transform, get_type_hints, overload
from zlib import crc32

import msgspec

from goldseam.errors import DuplicateRegistration, InvalidName, UnknownEventType
from goldseam.events.codec import Decode, Encode, checked_json, codec_for
from goldseam.events.event import Recorded
from goldseam.events.names import checked_name
from goldseam.events.personal import PersonalField, personal_fields

C = TypeVar("C", bound=type)

TYPE_VERSION_MAX = 32_767
"""Highest version of an event type: fits a PostgreSQL smallint."""


class EventType:
    """One registered event class: its stable name, its version, and how it becomes bytes.

    ``plain``: the stored bytes are what ``decode`` takes; otherwise something has to be opened
    or upcast first.
    """

    __slots__ = ("decode", "encode", "kind", "name", "personal", "plain", "seed", "version")

    def __init__(
        self,
        name: str,
        version: int,
        kind: type,
        encode: Encode,
        decode: Decode,
        personal: tuple[PersonalField, ...] = (),
    ) -> None:
        self.name, self.version, self.kind = name, version, kind
        self.encode, self.decode, self.personal = encode, decode, personal
        self.seed = type_seed(name, version)
        self.plain = not personal

    def __repr__(self) -> str:
        return f"EventType({self.name!r}, version={self.version})"


def type_seed(name: str, version: int) -> int:
    """The part of an event's checksum that comes from its type."""
    return crc32(f"{name}@{version}".encode())


class Untyped(msgspec.Struct, frozen=True):
    """An event of a name that no class is registered for, in a registry that allows it.

    Also what a tolerant reader gets for an event that its class or upcasters cannot read;
    ``unreadable`` then says why, and the event must be held, not passed over.
    """

    name: str
    version: int
    payload: msgspec.Raw | dict[str, Any]
    unreadable: str = ""

    def fields(self) -> dict[str, Any]:
        """The event's fields as plain values."""
        payload = self.payload
        return payload if isinstance(payload, dict) else msgspec.json.decode(bytes(payload))


class Past:
    """Stands for the class of an older version that only upcasters still know."""


Upcaster = Callable[..., Any]
"""From the fields of one version to those of the next; see goldseam.versioning.upcasting."""


class Corrections(Protocol):
    """What is known of corrections; see goldseam.healing."""

    def is_correction(self, kind: type) -> bool:
        """Whether events of this class correct others."""
        ...

    def effective(self, events: Sequence[Recorded[Any]]) -> list[Recorded[Any]]:
        """The history as corrected: originals with their new values, corrections left out."""
        ...


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
        self.upcasters: dict[tuple[str, int], Upcaster] = {}
        """What makes a newer version of an older one; see goldseam.versioning.upcasting."""
        self.corrections: Corrections | None = None
        """The declared corrections, if there are any; see goldseam.healing."""

    def __iter__(self) -> Iterator[EventType]:
        return (one for one in self.by_name.values() if one.kind is not Past)

    def current(self, name: str) -> EventType | None:
        """The newest class of the event type ``name``, or None."""
        versions = [one for one in self if one.name == name and one.kind is not Untyped]
        return max(versions, key=lambda one: one.version, default=None)

    def add_upcaster(self, name: str, version: int, upcaster: Upcaster) -> None:
        """Read events of ``name`` and ``version`` through ``upcaster`` from now on.

        Raises:
            DuplicateRegistration: there is another one for this version.
        """
        checked_name("event type", name)
        known = self.upcasters.get((name, version))
        if known is not None and _qualified(known) != _qualified(upcaster):
            raise DuplicateRegistration(name, version, repr(known), repr(upcaster))
        self.upcasters[name, version] = upcaster
        existing = self.by_name.get((name, version))
        if existing is None or existing.kind is Untyped:
            existing = EventType(name, version, Past, _encode_past, _decode_past)
            self.by_name[name, version] = existing
        existing.plain = False

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
        taken = known is not None and known.kind not in (Past, Untyped)
        if known is not None and taken and not _same_class(known.kind, kind):
            raise DuplicateRegistration(name, version, repr(known.kind), repr(kind))
        event_type = EventType(name, version, kind, *codec_for(name, kind), personal_fields(kind))
        event_type.plain &= (name, version) not in self.upcasters
        self.by_name[name, version] = event_type
        self._by_class[kind] = event_type
        return event_type

    def knows(self, kind: type) -> bool:
        """Whether ``kind`` is a registered class."""
        return kind in self._by_class

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


def _qualified(upcaster: Upcaster) -> tuple[str, str]:
    return getattr(upcaster, "__module__", ""), getattr(upcaster, "__qualname__", repr(upcaster))


def _encode_past(event: object) -> bytes:
    raise InvalidName("event", type(event).__name__, "its version is only read, never written")


def _decode_past(payload: bytes) -> Any:
    return msgspec.json.decode(payload)


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
