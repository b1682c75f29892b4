"""The JSON Schema of an event class, derived from the class itself, in one canonical form."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from goldseam.errors import InvalidName
from goldseam.events.personal import personal_fields

_SEALED = {"type": "object", "required": ["$sealed"], "properties": {"$sealed": {"type": "object"}}}
"""What stands in the log for a personal value."""


def schema_of(kind: type) -> dict[str, Any]:
    """The JSON Schema of what instances of ``kind`` are stored as.

    A personal field may also be its sealed form, and says whom it is about in
    ``x-goldseam-personal``.

    Raises:
        InvalidName: the class has a field of a type that JSON Schema has no word for.
    """
    try:
        if hasattr(kind, "__pydantic_validator__"):
            schema = kind.model_json_schema()  # type: ignore[attr-defined]
        else:
            schema = msgspec.json.schema(kind)
    except TypeError as error:
        raise InvalidName("event class", kind.__name__, f"it has no JSON Schema: {error}") from None
    schema = resolved_root(schema)
    for field in personal_fields(kind):
        _mark(schema, field.path, ".".join(field.subject))
    return schema


def resolved_root(schema: dict[str, Any]) -> dict[str, Any]:
    """``schema`` with its root written out where it is only a reference into its definitions."""
    reference = schema.get("$ref", "")
    if not reference.startswith("#/$defs/"):
        return dict(schema)
    definitions = schema.get("$defs", {})
    root = dict(definitions[reference.removeprefix("#/$defs/")])
    others = {name: one for name, one in definitions.items() if f"#/$defs/{name}" != reference}
    still_named = reference in msgspec.json.encode([root, others]).decode()
    kept = definitions if still_named else others
    return {**root, "$defs": kept} if kept else root


def _mark(schema: dict[str, Any], path: tuple[str, ...], subject: str) -> None:
    properties = schema.get("properties", {})
    first, *rest = path
    if first not in properties:
        return
    if rest:
        inner = resolved_root({**properties[first], "$defs": schema.get("$defs", {})})
        _mark(inner, tuple(rest), subject)
        properties[first] = inner
        return
    clear = properties[first]
    default = {"default": clear["default"]} if "default" in clear else {}
    properties[first] = {"anyOf": [clear, _SEALED], "x-goldseam-personal": subject, **default}


def canonical(schema: dict[str, Any]) -> bytes:
    """``schema`` as bytes that are the same for the same schema."""
    return msgspec.json.encode(schema, order="deterministic")


def fingerprint(schema: dict[str, Any]) -> str:
    """SHA-256 of the canonical form, in hexadecimal."""
    return sha256(canonical(schema)).hexdigest()
