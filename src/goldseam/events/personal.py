"""Declare which fields of an event are personal, and whose: Annotated[str, Personal("owner_id")].

From the guide, "GDPR: The Right to Forget": what is personal is encrypted at write time under a
key of its subject, so that forgetting is the destruction of one key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from datetime import date, datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec

from goldseam.errors import InvalidName

FORGOTTEN = "[forgotten]"
"""What a text reads as once its subject is forgotten."""

DEPTH_MAX = 8
"""Personal fields are looked for in classes inside classes so deep."""

SEAL = b'"$sealed"'
"""What a payload with a sealed value contains; no event of its own may."""

SEALED_STATE = b"\0goldseam sealed "
"""What a sealed snapshot begins with; no JSON does."""

Keep = Callable[[Any], str]
"""From a field's JSON value to the part of it that stays readable."""


def last_four(value: Any) -> str:
    """The last four characters of a text: of a card number, of an account."""
    return str(value)[-4:]


def year(value: Any) -> str:
    """The year of a date."""
    return str(value)[:4]


class Personal:
    """Marks a field as personal: ``email: Annotated[str, Personal("customer_id")]``.

    Args:
        subject: the field of the same class that names the person, by a stable id. Never an
            e-mail address or a name: the id itself stays readable.
        keep: what may stay readable for ever, such as :func:`year` or :func:`last_four`.
        forgotten: the JSON value that readers get afterwards; by the field's type unless said.
    """

    def __init__(
        self, subject: str, *, keep: Keep | None = None, forgotten: object = msgspec.UNSET
    ) -> None:
        self.subject, self.keep, self.forgotten = subject, keep, forgotten

    def __repr__(self) -> str:
        return f"Personal({self.subject!r})"


class PersonalField(NamedTuple):
    """One personal field of an event class, by the names its JSON has."""

    path: tuple[str, ...]
    subject: tuple[str, ...]
    owner: tuple[str, ...]
    """The attributes that lead to the field that names the subject."""
    kind: str
    """The name of its type, kept beside the sealed value."""
    stand_in: Callable[[Any], Any]
    """From the clear JSON value to what readers get once it is forgotten."""


def subjects_of(fields: Iterable[PersonalField], event: object) -> Iterator[str]:
    """Whom an event's personal fields are about; one with nothing personal in it names nobody."""
    for field in fields:
        value: Any = event
        for name in field.owner:
            value = getattr(value, name, None)
        if value not in (None, ""):
            yield str(value)


def personal_fields(kind: type) -> tuple[PersonalField, ...]:
    """The personal fields of an event class, those of classes inside it included.

    Raises:
        InvalidName: a field names a subject that its class does not have, or its type needs an
            explicit ``forgotten`` value.
    """
    return tuple(_walk(kind, (), (), DEPTH_MAX))


def _walk(
    kind: type, above: tuple[str, ...], attributes: tuple[str, ...], depth: int
) -> Iterator[PersonalField]:
    names = _json_names(kind)
    if not names or not depth:
        return
    hints = get_type_hints(kind, include_extras=True)
    for field, name in names.items():
        bare, marks = _bare(hints[field])
        personal = next((mark for mark in marks if isinstance(mark, Personal)), None)
        if personal is None:
            if isinstance(bare, type):
                yield from _walk(bare, (*above, name), (*attributes, field), depth - 1)
            continue
        if personal.subject not in names or personal.subject == field:
            rule = f"{kind.__name__} needs a field {personal.subject!r} that names the person"
            raise InvalidName("personal field", field, rule)
        subject = (*above, names[personal.subject])
        owner = (*attributes, personal.subject)
        shown = getattr(bare, "__name__", str(bare))
        stand_in = _stand_in(field, bare, personal)
        yield PersonalField((*above, name), subject, owner, shown, stand_in)


def _json_names(kind: type) -> Mapping[str, str]:
    """The fields of a class and the names they have in JSON."""
    if isinstance(kind, type(msgspec.Struct)):
        return {one.name: one.encode_name for one in msgspec.structs.fields(kind)}
    if is_dataclass(kind):
        return {one.name: one.name for one in dataclass_fields(kind)}
    attrs = getattr(kind, "__attrs_attrs__", None)
    if attrs is not None:
        return {one.name: one.name for one in attrs}
    return {name: name for name in getattr(kind, "model_fields", {})}


def _bare(hint: Any) -> tuple[Any, list[object]]:
    """A hint without Annotated and without its None, and what was annotated."""
    marks: list[object] = []
    while get_origin(hint) is Annotated:
        marks += hint.__metadata__
        hint = hint.__origin__
    if get_origin(hint) in (Union, UnionType):
        kinds = [one for one in get_args(hint) if one is not NoneType]
        if len(kinds) == 1:
            bare, more = _bare(kinds[0])
            return bare, marks + more
    return hint, marks


def _stand_in(field: str, kind: Any, personal: Personal) -> Callable[[Any], Any]:
    keep = personal.keep
    if personal.forgotten is not msgspec.UNSET:
        return lambda _: personal.forgotten
    if kind is str and keep is not None:
        return lambda value: f"{FORGOTTEN[:-1]}, was ...{keep(value)}]"
    if kind in (date, datetime) and keep is not None:
        return lambda value: keep(value).zfill(4) + _STAND_INS[kind][4:]
    value = _STAND_INS.get(get_origin(kind) or kind, msgspec.UNSET)
    if value is msgspec.UNSET:
        rule = f"say what readers get for a forgotten {kind}: Personal(..., forgotten=...)"
        raise InvalidName("personal field", field, rule)
    return lambda _: value


_STAND_INS: Mapping[Any, Any] = {
    str: FORGOTTEN,
    int: 0,
    float: 0.0,
    bool: False,
    bytes: "",
    Decimal: "0",
    date: "0001-01-01",
    datetime: "0001-01-01T00:00:00Z",
    UUID: str(UUID(int=0)),
    list: [],
    tuple: [],
    set: [],
    frozenset: [],
    dict: {},
}


class Opened(NamedTuple):
    """A payload's fields with sealed values opened, or replaced by marked stand-ins."""

    fields: dict[str, Any]
    subjects: set[str]
    """Whose keys were needed, the forgotten ones included."""
    shredded: int = 0
    """How many values are stand-ins."""


class Forgotten:
    """Marks a stand-in on its way through the upcasters, so that it is known where it ends."""

    __slots__ = ()


class _Text(Forgotten, str):
    __slots__ = ()


class _Whole(Forgotten, int):
    pass


class _Number(Forgotten, float):
    pass


class _Items(Forgotten, list[Any]):
    pass


class _Fields(Forgotten, dict[str, Any]):
    pass


def marked(stand_in: Any) -> Any:
    """``stand_in`` as it was, marked as one."""
    mark = _MARKS.get(type(stand_in))
    return stand_in if mark is None else mark(stand_in)


def unmarked(fields: Any) -> tuple[Any, tuple[str, ...]]:
    """The values without their marks, and the dotted paths of those that had one."""
    paths: list[str] = []
    return _unmark(fields, (), paths), tuple(paths)


def _unmark(value: Any, path: tuple[str, ...], paths: list[str]) -> Any:
    if isinstance(value, Forgotten):
        paths.append(".".join(path))
        return next(plain for plain in _MARKS if isinstance(value, plain))(value)
    if isinstance(value, dict):
        return {name: _unmark(one, (*path, str(name)), paths) for name, one in value.items()}
    if isinstance(value, list):
        return [_unmark(one, (*path, str(n)), paths) for n, one in enumerate(value)]
    return value


_MARKS: Mapping[type, type] = {str: _Text, int: _Whole, float: _Number, list: _Items, dict: _Fields}
