"""The fields of an event class, whichever library wrote it, and values that fit them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple, get_args, get_type_hints

import msgspec

from goldseam.events.codec import without_values
from goldseam.events.personal import Personal
from goldseam.healing.errors import WrongValue


class Field(NamedTuple):
    """One field: its type without annotations, and whether it has no default."""

    name: str
    kind: Any
    required: bool
    personal: bool
    declared: Any
    """Its type with annotations: limits count."""


def fields_of(kind: type) -> dict[str, Field]:
    """The fields of an event class by name."""
    bare, declared = get_type_hints(kind), get_type_hints(kind, include_extras=True)
    return {
        name: Field(name, bare[name], required, _is_personal(declared[name]), declared[name])
        for name, required in _names(kind).items()
    }


def _is_personal(hint: Any) -> bool:
    if isinstance(hint, Personal):
        return True
    return any(_is_personal(one) for one in get_args(hint))


def _names(kind: type) -> Mapping[str, bool]:
    if isinstance(kind, type(msgspec.Struct)):
        return {one.name: one.required for one in msgspec.structs.fields(kind)}
    if dataclasses.is_dataclass(kind):
        missing = dataclasses.MISSING
        return {
            one.name: one.default is missing and one.default_factory is missing
            for one in dataclasses.fields(kind)
        }
    attrs: Any = getattr(kind, "__attrs_attrs__", None)
    if attrs is not None:
        return {one.name: type(one.default).__name__ == "_Nothing" for one in attrs}
    models: Mapping[str, Any] = getattr(kind, "model_fields", {})
    return {name: one.is_required() for name, one in models.items()}


def fitting(field: Field, value: Any) -> Any:
    """``value`` as the field's type: as it is, or as JSON has it (a date as a text).

    Raises:
        WrongValue: it does not fit.
    """
    try:
        return msgspec.convert(value, field.declared)
    except (msgspec.ValidationError, TypeError) as error:
        raise WrongValue(field.name, _reason(error)) from None


def fitting_text(field: Field, text: str) -> Any:
    """What somebody typed, as the field's type: as a text where it takes one, else as JSON.

    Raises:
        WrongValue: it does not fit.
    """
    text = str(text)
    try:
        return fitting(field, text)
    except WrongValue as refused:
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError):
            raise refused from None
        return fitting(field, value)


def _reason(error: Exception) -> str:
    """What does not fit, without the value: it may be personal, and errors end in logs."""
    if isinstance(error, msgspec.ValidationError):
        return without_values(error)
    return "it is not of the field's type"


def replaced(event: Any, changes: Mapping[str, Any]) -> Any:
    """A copy of ``event`` with other values in some fields."""
    if isinstance(event, msgspec.Struct):
        return msgspec.structs.replace(event, **changes)
    if hasattr(event, "model_copy"):
        return event.model_copy(update=dict(changes))
    if dataclasses.is_dataclass(event) and not isinstance(event, type):
        return dataclasses.replace(event, **changes)
    values = {name: getattr(event, name) for name in _names(type(event))}
    return type(event)(**{**values, **changes})
