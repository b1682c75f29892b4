"""Upcasting: an event written years ago is read as what it is called today.

From the guide, "Versioning Over Time". An upcaster takes the fields of one version and gives
those of the next; the chain of them ends at the newest registered class. The guide's example:

>>> from goldseam.events.registry import Registry
>>> bank = Registry()
>>> @bank.event(name="DepositApplied", version=3)
... class DepositApplied:
...     totalAmount: int
...     currency: str
>>> _ = upcaster("DepositApplied", 1, registry=bank)(add_field("currency", "USD"))
>>> _ = upcaster("DepositApplied", 2, registry=bank)(rename_field("amount", "totalAmount"))
>>> [(kind, fields)] = upcast(bank, Stored("DepositApplied", 1), {"amount": 50})
>>> kind.version, fields == {"totalAmount": 50, "currency": "USD"}
(3, True)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from inspect import Parameter, signature
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from goldseam.errors import UpcasterGap, UpcastFailed
from goldseam.events.event import Metadata, decode_metadata
from goldseam.events.registry import EventType, Past, Registry, Untyped
from goldseam.events.registry import registry as all_events

STEPS_MAX = 200
"""More steps than this for one event is a chain that goes in a circle."""

Fields = dict[str, Any]
F = TypeVar("F", bound=Callable[..., Any])

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Stored(NamedTuple):
    """The context of an upcaster: which event, as it was stored."""

    type: str
    type_version: int
    tenant: str = ""
    stream: str = ""
    version: int = 0
    position: int = 0
    recorded_us: int = 0
    id_bytes: bytes = b""
    metadata_bytes: bytes = b"{}"

    @property
    def id(self) -> UUID:
        """The event's own id."""
        return UUID(bytes=self.id_bytes)

    @property
    def metadata(self) -> Metadata:
        """Who and what caused it."""
        return decode_metadata(self.metadata_bytes)

    @property
    def recorded_at(self) -> datetime:
        """When the store took it (UTC): older events may have meant something else."""
        return _EPOCH + timedelta(microseconds=self.recorded_us)


class Became(NamedTuple):
    """One of the events that an old event is read as: its type, version and fields."""

    type: str
    type_version: int
    fields: Fields


def upcaster(
    name: str, from_version: int = 1, *, registry: Registry = all_events
) -> Callable[[F], F]:
    """Declare how an event of ``name`` and ``from_version`` becomes one of the next version.

    The function takes the fields, and, if it has a second parameter, the :class:`Stored` event.
    It returns the fields of the next version; a list of fields or :class:`Became` where one old
    event is read as several; or None where it is no longer read at all.

    Raises:
        DuplicateRegistration: this version has another upcaster.
    """

    def declare(step: F) -> F:
        registry.add_upcaster(name, from_version, step)
        return step

    return declare


def add_field(name: str, value: Any) -> Callable[[Fields], Fields]:
    """An upcaster that gives old events a field they did not have."""
    return lambda fields: {name: value, **fields}


def rename_field(old: str, new: str) -> Callable[[Fields], Fields]:
    """An upcaster that calls a field by its new name."""
    return lambda fields: {new if name == old else name: value for name, value in fields.items()}


def drop_field(name: str) -> Callable[[Fields], Fields]:
    """An upcaster that leaves a field out."""
    return lambda fields: {one: value for one, value in fields.items() if one != name}


def rename_event(new: str, version: int = 1) -> Callable[[Fields], list[Became]]:
    """An upcaster for events that are called something else today."""
    return lambda fields: [Became(new, version, fields)]


def upcast(
    registry: Registry, stored: Stored, fields: Fields, *, tolerant: bool = False
) -> list[tuple[EventType, Fields]]:
    """What a stored event is read as today: none, one or several types with their fields.

    Args:
        tolerant: types that nobody registered are left as they are instead of raising.

    Raises:
        UnknownEventType: the chain ends at a version that no class is registered for.
        UpcastFailed: an upcaster raised, or returned something else than fields.
    """
    return list(_walk(registry, stored, Became(*stored[:2], fields), tolerant, [STEPS_MAX]))


Way = tuple[tuple[Callable[[Fields], Fields], ...], EventType]
"""Upcasters one after the other, and the type that they end at."""


def straight_way(registry: Registry, name: str, version: int) -> Way | None:
    """The upcasters of a type as one chain, if each needs only the fields and the end is known.

    What they return is not looked at here: whoever takes this way takes the long one, through
    :func:`upcast`, when it fails.
    """
    steps: list[Callable[[Fields], Fields]] = []
    while (step := registry.upcasters.get((name, version))) is not None:
        if _takes_context(step) or len(steps) > STEPS_MAX:
            return None
        steps.append(step)
        version += 1
    kind = registry.by_name.get((name, version))
    return None if kind is None or kind.kind in (Past, Untyped) else (tuple(steps), kind)


def _walk(
    registry: Registry, stored: Stored, one: Became, tolerant: bool, left: list[int]
) -> Iterator[tuple[EventType, Fields]]:
    step = registry.upcasters.get((one.type, one.type_version))
    if step is None:
        find = registry.named_or_untyped if tolerant else registry.named
        yield find(one.type, one.type_version), one.fields
        return
    left[0] -= 1
    if left[0] < 0:
        raise UpcastFailed(one.type, one.type_version, "its upcasters go in a circle")
    for later in _became(step, stored, one):
        yield from _walk(registry, stored, later, tolerant, left)


def _became(step: Callable[..., Any], stored: Stored, one: Became) -> list[Became]:
    try:
        result = step(one.fields, stored) if _takes_context(step) else step(one.fields)
    except Exception as error:
        # The text of the error may hold a value of the event: its class must do.
        raise UpcastFailed(one.type, one.type_version, type(error).__name__) from None
    if result is None:
        return []
    following = []
    for part in result if isinstance(result, list) else [result]:
        if isinstance(part, dict):
            part = Became(one.type, one.type_version + 1, part)  # noqa: PLW2901
        if not isinstance(part, Became):
            reason = f"it returned {type(part).__name__}, not the fields of the next version"
            raise UpcastFailed(one.type, one.type_version, reason)
        following.append(part)
    return following


@lru_cache(4096)
def _takes_context(step: Callable[..., Any]) -> bool:
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    needed = [
        one
        for one in signature(step).parameters.values()
        if one.kind in kinds and one.default is Parameter.empty
    ]
    return len(needed) > 1


def part_id(id_bytes: bytes, part: int) -> bytes:
    """The id of the n-th event that one stored event is read as; the first keeps its own.

    Whoever remembers ids to avoid doing things twice must be able to tell the parts apart.
    """
    if part == 0:
        return id_bytes
    return (int.from_bytes(id_bytes, "big") ^ part).to_bytes(16, "big")


def check_upcasters(registry: Registry) -> None:
    """Whether each chain goes on without a gap to the newest class of its event type.

    Raises:
        UpcasterGap: a version in between has no upcaster, or one leads beyond the newest class.
    """
    names = {name for name, _ in registry.upcasters}
    for name in sorted(names):
        steps = {version for one, version in registry.upcasters if one == name}
        current = registry.current(name)
        if current is None:
            continue  # retired, or read as events of other names: known when it is read
        missing = sorted(set(range(min(steps), current.version)) - steps)
        if missing:
            raise UpcasterGap(name, missing[0], current.version)
        beyond = sorted(version for version in steps if version >= current.version)
        if beyond:
            raise UpcasterGap(name, beyond[-1] + 1, current.version)


__all__ = [
    "Became",
    "Stored",
    "add_field",
    "check_upcasters",
    "drop_field",
    "rename_event",
    "rename_field",
    "upcast",
    "upcaster",
]
