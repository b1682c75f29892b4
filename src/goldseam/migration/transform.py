"""What a transform sees and gives back: an event as the source has it, and as the target shall."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from importlib import import_module
from typing import Any, NoReturn

import msgspec

from goldseam.events.event import RawEvent
from goldseam.events.names import checked_name
from goldseam.events.registry import TYPE_VERSION_MAX
from goldseam.migration.errors import InvalidTransform

_FINGERPRINT_CHARACTERS = 16


class Fact(RawEvent, frozen=True, gc=False):
    """An event on its way from one store to the other.

    ``position`` and ``version`` are those of the source; the target gives out its own.
    """

    @property
    def fields(self) -> dict[str, Any]:
        """The stored JSON, decoded anew: the caller may change it."""
        found: dict[str, Any] = msgspec.json.decode(self.payload)
        return found

    @property
    def metadata(self) -> dict[str, Any]:
        """Correlation, causation, actor, trace, as they are stored."""
        found: dict[str, Any] = msgspec.json.decode(self.metadata_bytes)
        return found

    def but(
        self,
        *,
        type: str | None = None,  # noqa: A002 (the event's own word)
        type_version: int | None = None,
        fields: Mapping[str, Any] | None = None,
        stream: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Fact:
        """The same event with some of it changed: its id and its recorded time stay.

        Raises:
            InvalidName: a name or version that cannot be stored.
        """
        changes: dict[str, Any] = {}
        if type is not None:
            changes["type"] = checked_name("event type", type)
        if type_version is not None:
            changes["type_version"] = _checked_version(type_version)
        if fields is not None:
            changes["payload"] = msgspec.json.encode(fields)
        if stream is not None:
            changes["stream"] = checked_name("stream", stream)
        if metadata is not None:
            changes["metadata_bytes"] = msgspec.json.encode(metadata)
        return msgspec.structs.replace(self, **changes)

    def new(
        self,
        type: str,  # noqa: A002 (the event's own word)
        fields: Mapping[str, Any],
        *,
        type_version: int = 1,
        stream: str | None = None,
    ) -> Fact:
        """Another event that comes out of this one: its id is derived from this one's."""
        made = self.but(type=type, type_version=type_version, fields=fields, stream=stream)
        return msgspec.structs.replace(made, id_bytes=b"")


Changed = Fact | Iterable[Fact] | None
"""One event, several, or none in place of one."""


class Transform:
    """What becomes of each event. Subclass it, or hand over a plain function as ``change``.

    It must be pure: the same events give the same answer, whenever and wherever it runs; a
    migration that is resumed or verified asks again.
    """

    def change(self, fact: Fact) -> Changed:
        """The events in place of ``fact``: itself, one changed, several, or none."""
        return fact

    def holds(self, fact: Fact) -> bool:
        """Whether ``fact`` waits, to be merged with the next event of its stream."""
        return False

    def merge(self, held: Fact, fact: Fact) -> Fact | None:
        """One event in place of two that follow one another in a stream; None leaves both.

        What it gives back has the id of one of them, and is asked :meth:`holds` again.
        """
        return None


class _Function(Transform):
    def __init__(self, function: Callable[[Fact], Changed]) -> None:
        self._function = function

    def change(self, fact: Fact) -> Changed:
        return self._function(fact)


class Named:
    """A transform with the name and the fingerprint that a resumed migration is held to."""

    def __init__(
        self, transform: Transform | Callable[[Fact], Changed] | None, name: str = ""
    ) -> None:
        self.is_plain = transform is None
        self.transform = (
            transform if isinstance(transform, Transform) else _Function(transform or _same)
        )
        self.merges = type(self.transform).holds is not Transform.holds
        self.name = name or _name_of(transform)
        self.fingerprint = _fingerprint(transform)

    def refuse(self, reason: str) -> NoReturn:
        """Raise what says that the transform is to blame."""
        raise InvalidTransform(self.name, reason)


def load_transform(spec: str | None) -> Named:
    """The transform behind ``module:name``: a function, a :class:`Transform` or its class.

    Raises:
        InvalidTransform: there is no such thing.
    """
    if spec is None:
        return Named(None)
    module, _, attribute = spec.partition(":")
    try:
        found: Any = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidTransform(spec, f"it cannot be imported ({error})") from error
    if isinstance(found, type) and issubclass(found, Transform):
        found = found()
    if not (isinstance(found, Transform) or callable(found)):
        raise InvalidTransform(spec, "it is neither a function nor a Transform")
    return Named(found, spec)


def _same(fact: Fact) -> Fact:
    return fact


def _checked_version(version: int) -> int:
    if not 1 <= version <= TYPE_VERSION_MAX:
        raise InvalidTransform("event version", f"{version} is not 1 to {TYPE_VERSION_MAX}")
    return version


def _name_of(transform: object) -> str:
    if transform is None:
        return "as it is"
    found = type(transform) if isinstance(transform, Transform) else transform
    name = getattr(found, "__qualname__", type(found).__qualname__)
    return f"{getattr(found, '__module__', '')}:{name}"


def _fingerprint(transform: object) -> str:
    """Of the source text of the transform's module: another text may mean other events."""
    if transform is None:
        return "as it is"
    found: Any = type(transform) if isinstance(transform, Transform) else transform
    try:
        text = inspect.getsource(inspect.getmodule(found) or found)
    except (OSError, TypeError):
        code = getattr(found, "__code__", None)
        text = repr((getattr(code, "co_code", found), getattr(code, "co_consts", ())))
    return sha256(text.encode()).hexdigest()[:_FINGERPRINT_CHARACTERS]
