"""Declare once how an event type is corrected: @corrects(DepositApplied) over DepositCorrected.

From the guide, "Healing Commands: Fixing Immutable Events" and its "Healing Event Schema".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from goldseam.events.event import Recorded
from goldseam.events.registry import EventType, Registry
from goldseam.events.registry import registry as all_events
from goldseam.healing.effective import effective_history
from goldseam.healing.errors import InvalidCorrection, NotCorrectable
from goldseam.healing.fields import Field, fields_of

C = TypeVar("C", bound=type)

Pairs = Mapping[str, tuple[str, str]]
"""Each correctable field, and the correction's fields for its original and its new value."""


class Correction(NamedTuple):
    """How events of one class are corrected by events of another."""

    original: type
    kind: type
    name: str
    original_event_id: str
    fields: Pairs
    reason: str
    corrected_by: str
    ticket: str
    copied: tuple[str, ...] = ()
    """Fields of both classes by the same name: the correction has the original's values."""
    four_eyes: bool = False

    def original_of(self, data: object) -> bytes:
        """The id of the event that ``data`` corrects; empty where it names none."""
        named = getattr(data, self.original_event_id)
        try:
            return (named if isinstance(named, UUID) else UUID(str(named))).bytes
        except ValueError:
            return b""

    def corrected(self, data: object) -> dict[str, Any]:
        """The values that count from this correction on, by the original's fields."""
        return {field: getattr(data, new) for field, (_, new) in self.fields.items()}

    def before(self, data: object) -> dict[str, Any]:
        """The values that counted until this correction, by the original's fields."""
        return {field: getattr(data, old) for field, (old, _) in self.fields.items()}


class DeclaredCorrections:
    """The corrections of one registry. See :class:`goldseam.events.registry.Corrections`."""

    def __init__(self) -> None:
        self.by_original: dict[type, Correction] = {}
        self.by_kind: dict[type, Correction] = {}

    def declare(self, correction: Correction) -> None:
        """Take in one declaration.

        Raises:
            InvalidCorrection: the original has another correction, or is one itself.
        """
        known = self.by_original.get(correction.original)
        if known is not None and known.name != correction.name:
            reason = f"{correction.original.__name__} is corrected by {known.kind.__name__} already"
            raise InvalidCorrection(correction.kind.__name__, reason)
        if correction.original in self.by_kind:
            reason = "a correction is corrected by another one of its own class, declare nothing"
            raise InvalidCorrection(correction.kind.__name__, reason)
        if known is not None:  # its module was imported again
            self.by_kind.pop(known.kind, None)
        self.by_original[correction.original] = correction
        self.by_kind[correction.kind] = correction

    def is_correction(self, kind: type) -> bool:
        """Whether events of this class correct others."""
        return kind in self.by_kind

    def effective(self, events: Sequence[Recorded[Any]]) -> list[Recorded[Any]]:
        """The history as corrected: originals with their new values, corrections left out."""
        return effective_history(self.by_kind, events)

    def of(self, kind: type) -> Correction:
        """How events of ``kind`` are corrected; ``kind`` may be a correction itself.

        Raises:
            NotCorrectable: no correction is declared for it.
        """
        found = self.by_original.get(kind) or self.by_kind.get(kind)
        if found is None:
            raise NotCorrectable(
                f"no correction is declared for {kind.__name__}",
                f"write its class and put @corrects({kind.__name__}) above @event",
            )
        return found


def declared_in(registry: Registry) -> DeclaredCorrections:
    """The corrections of ``registry``; empty if none was declared."""
    found = registry.corrections
    return found if isinstance(found, DeclaredCorrections) else DeclaredCorrections()


def corrects(
    original: type,
    *,
    fields: Pairs | None = None,
    original_event_id: str = "original_event_id",
    reason: str = "reason",
    corrected_by: str = "corrected_by",
    ticket: str = "jira_ticket",
    four_eyes: bool = False,
    registry: Registry = all_events,
) -> Callable[[C], C]:
    """Declare that events of the decorated class correct those of ``original``.

    For example::

        @corrects(DepositApplied)
        @event(name="DepositCorrected")
        class DepositCorrected(msgspec.Struct, frozen=True, rename="camel"):
            original_event_id: str
            original_amount: int
            corrected_amount: int
            reason: str
            corrected_by: str
            jira_ticket: str

    Args:
        fields: ``{"amount": ("original_amount", "corrected_amount")}``; by those names unless
            said. Names of the class may be in camelCase too.
        original_event_id, reason, corrected_by, ticket: the fields that every correction has.
        four_eyes: a second person must approve each correction.

    Raises:
        InvalidCorrection: a class is not registered, a field is missing or of another type.
    """

    def declare(kind: C) -> C:
        checked = _Checked(kind, original, registry)
        pairs = checked.pairs(fields)
        correction = Correction(
            original,
            kind,
            checked.event_type.name,
            checked.required(original_event_id, (str, UUID)),
            pairs,
            checked.required(reason, (str,)),
            checked.required(corrected_by, (str,)),
            checked.required(ticket, (str,)),
            (),
            four_eyes,
        )
        correction = correction._replace(copied=checked.copied(correction))
        if not isinstance(registry.corrections, DeclaredCorrections):
            registry.corrections = DeclaredCorrections()
        registry.corrections.declare(correction)
        return kind

    return declare


class _Checked:
    """One declaration, looked at before it can harm anything."""

    def __init__(self, kind: type, original: type, registry: Registry) -> None:
        self._kind, self._original = kind, original
        self.event_type = self._registered(kind, registry)
        self._original_type = self._registered(original, registry)
        self._mine, self._theirs = fields_of(kind), fields_of(original)

    def _registered(self, kind: type, registry: Registry) -> EventType:
        for one in registry:
            if one.kind is kind:
                return one
        raise self._wrong(f"{kind.__name__} is not registered; put @corrects(...) above @event")

    def _wrong(self, reason: str) -> InvalidCorrection:
        return InvalidCorrection(self._kind.__name__, reason)

    def _named(self, name: str) -> Field | None:
        """The field of this name, or of the same in camelCase."""
        return self._mine.get(name) or self._mine.get(_camel(name))

    def required(self, name: str, kinds: tuple[type, ...]) -> str:
        """The field's name in this class; without it an auditor has a second riddle."""
        field = self._named(name)
        if field is None:
            raise self._wrong(f"it needs a field {name!r}; every correction says who, why, of what")
        if field.kind not in kinds:
            shown = " or ".join(kind.__name__ for kind in kinds)
            raise self._wrong(f"field {name!r} must be of type {shown}")
        if not field.required:
            raise self._wrong(f"field {name!r} must not have a default: it is always given")
        return field.name

    def pairs(self, given: Pairs | None) -> Pairs:
        """The correctable fields, checked."""
        wanted = given or {
            name: (f"original_{name}", f"corrected_{name}")
            for name in self._theirs
            if self._named(f"corrected_{name}") is not None
        }
        if not wanted:
            first = next(iter(self._theirs), "amount")
            rule = f"it corrects no field; give it original_{first} and corrected_{first}"
            raise self._wrong(rule)
        return {field: self._pair(field, *pair) for field, pair in wanted.items()}

    def _pair(self, name: str, old: str, new: str) -> tuple[str, str]:
        theirs = self._theirs.get(name)
        if theirs is None:
            raise self._wrong(f"{self._original.__name__} has no field {name!r}")
        found = []
        for one in (old, new):
            mine = self._named(one)
            if mine is None:
                raise self._wrong(f"it needs a field {one!r} for {name!r}")
            if mine.kind != theirs.kind:
                raise self._wrong(f"field {one!r} must be of the type of {name!r}: {theirs.kind}")
            if theirs.personal and not mine.personal:
                rule = f"{name!r} is personal, so {one!r} must be too: Annotated[..., Personal()]"
                raise self._wrong(rule)
            found.append(mine.name)
        return found[0], found[1]

    def copied(self, correction: Correction) -> tuple[str, ...]:
        """The rest of its fields: those of the original by the same name, or with a default."""
        known = {
            correction.original_event_id,
            correction.reason,
            correction.corrected_by,
            correction.ticket,
            *(name for pair in correction.fields.values() for name in pair),
        }
        rest = [field for field in self._mine.values() if field.name not in known]
        for field in rest:
            if field.name not in self._theirs and field.required:
                rule = "give it a default, or a name that the original has too"
                raise self._wrong(f"nothing says what field {field.name!r} is to hold; {rule}")
        return tuple(field.name for field in rest if field.name in self._theirs)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)
