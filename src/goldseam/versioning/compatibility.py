"""Whether one version of a schema can read what another has written: with a reason and a path.

The seven levels are Confluent's. The rules cover the part of JSON Schema that event classes give;
what is not understood is a finding of its own, never silently compatible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

Level = Literal[
    "NONE",
    "BACKWARD",
    "BACKWARD_TRANSITIVE",
    "FORWARD",
    "FORWARD_TRANSITIVE",
    "FULL",
    "FULL_TRANSITIVE",
]
LEVELS: tuple[Level, ...] = (
    "NONE",
    "BACKWARD",
    "BACKWARD_TRANSITIVE",
    "FORWARD",
    "FORWARD_TRANSITIVE",
    "FULL",
    "FULL_TRANSITIVE",
)

Direction = Literal["backward", "forward"]
Schema = Mapping[str, Any]


class Finding(NamedTuple):
    """Why two versions do not go together.

    ``backward``: the new class cannot read what was written with version ``against``.
    ``forward``: the class of that version cannot read what the new one writes.
    """

    path: str
    reason: str
    direction: Direction
    against: int


def judge(new: Schema, olds: Sequence[tuple[int, Schema]], level: Level) -> list[Finding]:
    """What stands against ``new`` at ``level``; empty when it is compatible.

    Args:
        olds: earlier versions by number, oldest first; only the transitive levels look at all.
    """
    compared = olds if level.endswith("_TRANSITIVE") else olds[-1:]
    kind = level.removesuffix("_TRANSITIVE")
    found: list[Finding] = []
    for number, old in compared:
        if kind in ("BACKWARD", "FULL"):
            found += [Finding(*one, "backward", number) for one in unreadable(new, old)]
        if kind in ("FORWARD", "FULL"):
            found += [Finding(*one, "forward", number) for one in unreadable(old, new)]
    return found


def unreadable(reader: Schema, writer: Schema) -> list[tuple[str, str]]:
    """Where and why ``reader`` may refuse what fits ``writer``; path and reason."""
    return list(dict.fromkeys(_Comparison(reader, writer).compare()))


Problem = tuple[str, str]


class _Comparison:
    """One reader and one writer, with the definitions that each may refer to."""

    def __init__(self, reader: Schema, writer: Schema) -> None:
        self._roots = reader, writer
        self._open: set[tuple[str, str]] = set()

    def compare(self) -> Iterator[Problem]:
        """Everything that may go wrong, from the root down."""
        yield from self._pair(self._roots[0], self._roots[1], "$")

    def _pair(self, reader: Any, writer: Any, path: str) -> Iterator[Problem]:
        if reader is True or reader == {}:
            return
        if not isinstance(reader, Mapping) or not isinstance(writer, Mapping):
            yield path, "one of the versions allows nothing or anything here"
            return
        names = reader.get("$ref", ""), writer.get("$ref", "")
        if all(names):
            if names in self._open:  # a class that holds itself: it is being compared already
                return
            self._open.add(names)
        try:
            one, other = _resolved(reader, self._roots[0]), _resolved(writer, self._roots[1])
        except KeyError as missing:
            yield path, f"the reference {missing} leads nowhere"
        else:
            yield from self._alternatives(one, other, path)
        finally:
            self._open.discard(names)

    def _alternatives(self, reader: Schema, writer: Schema, path: str) -> Iterator[Problem]:
        """Each form that may be written must be readable in one of the forms that are read."""
        for written in _forms(writer):
            read = list(_forms(reader))
            if len(read) == 1:
                yield from self._form(read[0], written, path)
                continue
            attempts = [list(self._tried(form, written, path)) for form in read]
            if all(attempts):
                same = [
                    a for f, a in zip(read, attempts, strict=True) if _types(f) & _types(written)
                ]
                if len(same) == 1:
                    yield from same[0]
                else:
                    yield path, f"{_shown(written)} fits none of {', '.join(map(_shown, read))}"

    def _tried(self, reader: Schema, writer: Schema, path: str) -> Iterator[Problem]:
        if "$ref" in reader or "$ref" in writer:
            return self._pair(reader, writer, path)
        return self._form(reader, writer, path)

    def _form(self, reader: Schema, writer: Schema, path: str) -> Iterator[Problem]:
        if "$ref" in reader or "$ref" in writer:
            yield from self._pair(reader, writer, path)
            return
        for keyword in sorted((set(reader) | set(writer)) - _UNDERSTOOD):
            if not keyword.startswith("x-") and reader.get(keyword) != writer.get(keyword):
                yield path, f"{keyword} is not understood and differs"
        values = _values(reader), _values(writer)
        if values[0] is not None:
            yield from _values_fit(values[0], values[1], path)
            return
        missing = _types(writer) - _types(reader)
        if missing == {"integer"} and "number" in _types(reader):
            missing = set()
        if missing:
            yield path, f"type changed from {_shown(writer)} to {_shown(reader)}"
            return
        yield from _bounds(reader, writer, path)
        if "object" in _types(writer):
            yield from self._object(reader, writer, path)
        if "array" in _types(writer):
            yield from self._array(reader, writer, path)

    def _object(self, reader: Schema, writer: Schema, path: str) -> Iterator[Problem]:
        read, written = reader.get("properties", {}), writer.get("properties", {})
        always = set(writer.get("required", ()))
        for name in reader.get("required", ()):
            if name not in written:
                yield f"{path}.{name}", "required, and not written by the other version"
            elif name not in always:
                yield f"{path}.{name}", "required, and not always written by the other version"
        rest = reader.get("additionalProperties", True)
        for name, one in written.items():
            if name in read:
                yield from self._pair(read[name], one, f"{path}.{name}")
            elif rest is False:
                yield f"{path}.{name}", "unknown, and this version allows no unknown fields"
            elif isinstance(rest, Mapping):
                yield from self._pair(rest, one, f"{path}.{name}")
        others = writer.get("additionalProperties")
        if isinstance(others, Mapping):
            yield from self._other_names(reader, set(written), others, path)

    def _other_names(
        self, reader: Schema, named: set[str], others: Schema, path: str
    ) -> Iterator[Problem]:
        """What a writer that writes any name may do to a reader."""
        rest = reader.get("additionalProperties", True)
        if isinstance(rest, Mapping):
            yield from self._pair(rest, others, f"{path}.*")
        elif rest is False:
            yield f"{path}.*", "any name may be written, and this version knows only its own"
        for name, one in reader.get("properties", {}).items():
            if name not in named:
                yield from self._pair(one, others, f"{path}.{name}")

    def _array(self, reader: Schema, writer: Schema, path: str) -> Iterator[Problem]:
        read, written = reader.get("prefixItems", []), writer.get("prefixItems", [])
        for place, one in enumerate(written):
            against = read[place] if place < len(read) else reader.get("items", True)
            if against is False:
                yield f"{path}[{place}]", "one item too many for this version"
            else:
                yield from self._pair(against, one, f"{path}[{place}]")
        items = writer.get("items", not written)
        if items is False:
            return
        for place, one in enumerate(read[len(written) :], len(written)):
            yield from self._pair(one, items, f"{path}[{place}]")
        against = reader.get("items", True)
        if against is False:
            yield f"{path}[*]", "more items may be written than this version reads"
        elif against is not True:
            yield from self._pair(against, items, f"{path}[*]")


_ANNOTATIONS = frozenset(
    {
        "$defs", "$schema", "$id", "$ref", "title", "description", "default", "examples",
        "deprecated", "readOnly", "writeOnly", "$comment", "discriminator",
    }
)  # fmt: skip
_ALL = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})


def _resolved(schema: Schema, root: Schema) -> Schema:
    """The schema behind a reference; other keywords beside it stay."""
    for _ in range(100):  # a chain of references, not a circle
        reference = schema.get("$ref")
        if reference is None:
            return schema
        name = str(reference).removeprefix("#/$defs/").removeprefix("#/definitions/")
        definitions = root.get("$defs") or root.get("definitions") or {}
        if reference == "#":
            found: Schema = root
        elif name in definitions:
            found = definitions[name]
        else:
            raise KeyError(reference)
        schema = {**found, **{key: value for key, value in schema.items() if key != "$ref"}}
    raise KeyError(schema.get("$ref"))


def _forms(schema: Schema) -> Iterator[Schema]:
    """The alternatives of a schema: itself, or those of its anyOf, oneOf and list of types."""
    for union in ("anyOf", "oneOf"):
        if union in schema:
            rest = {key: value for key, value in schema.items() if key != union}
            for one in schema[union]:
                yield from _forms({**rest, **one} if isinstance(one, Mapping) else {})
            return
    types = schema.get("type")
    if isinstance(types, list) and len(types) > 1:
        for one in types:
            yield {**schema, "type": one}
        return
    yield schema


def _types(schema: Schema) -> set[str]:
    found = schema.get("type")
    if found is None:
        values = _values(schema)
        return set(_ALL) if values is None else {_type_of(value) for value in values}
    return {found} if isinstance(found, str) else set(found)


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return next(name for kind, name in _PYTHON.items() if isinstance(value, kind))


_PYTHON: Mapping[type, str] = {
    int: "integer", float: "number", str: "string", list: "array", dict: "object",
}  # fmt: skip


def _values(schema: Schema) -> list[Any] | None:
    """The only values that fit, if the schema lists them."""
    if "const" in schema:
        return [schema["const"]]
    return list(schema["enum"]) if "enum" in schema else None


def _values_fit(read: list[Any], written: list[Any] | None, path: str) -> Iterator[Problem]:
    if written is None:
        yield path, "only listed values are read, and any may be written"
        return
    for value in written:
        if value not in read:
            yield path, f"value {value!r} may be written and is not read"


_LOWER, _UPPER = (lambda read, written: written >= read), (lambda read, written: written <= read)
_BOUNDS: Mapping[str, Callable[[Any, Any], bool]] = {
    "minimum": _LOWER,
    "exclusiveMinimum": _LOWER,
    "minLength": _LOWER,
    "minItems": _LOWER,
    "minProperties": _LOWER,
    "maximum": _UPPER,
    "exclusiveMaximum": _UPPER,
    "maxLength": _UPPER,
    "maxItems": _UPPER,
    "maxProperties": _UPPER,
    "multipleOf": lambda read, written: written % read == 0,
    "pattern": lambda read, written: bool(read == written),
    "format": lambda read, written: bool(read == written),
    "contentEncoding": lambda read, written: bool(read == written),
    "contentMediaType": lambda read, written: bool(read == written),
    "uniqueItems": lambda read, written: bool(written or not read),
    "propertyNames": lambda read, written: bool(read == written),
}
_UNDERSTOOD = _ANNOTATIONS | frozenset(_BOUNDS) | {
    "type", "enum", "const", "anyOf", "oneOf", "properties", "required", "additionalProperties",
    "items", "prefixItems",
}  # fmt: skip


def _bounds(reader: Schema, writer: Schema, path: str) -> Iterator[Problem]:
    """A reader may be wider than the writer, never narrower."""
    for keyword, fits in _BOUNDS.items():
        read = reader.get(keyword)
        if read is None:
            continue
        written = writer.get(keyword)
        if keyword == "minItems" and written is None:
            written = len(writer.get("prefixItems", ())) if "minItems" in writer else None
        if written is None:
            yield path, f"{keyword} {read!r} is asked for, and the other version has none"
        elif not fits(read, written):
            yield path, f"{keyword} {read!r} is narrower than {written!r} of the other version"


def _shown(schema: Schema) -> str:
    values = _values(schema)
    if values is not None:
        return f"one of {values}"
    types = _types(schema)
    return "anything" if types == _ALL else " or ".join(sorted(types))
