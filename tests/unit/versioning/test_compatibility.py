"""Which schemas go together: each rule by hand, with its reason and its path."""

from __future__ import annotations

from typing import Any

import pytest

from goldseam.versioning.compatibility import LEVELS, Level, judge, unreadable


def obj(required: tuple[str, ...] = (), /, **properties: Any) -> dict[str, Any]:
    """The schema of a class."""
    return {"type": "object", "properties": properties, "required": list(required)}


TEXT, WHOLE, NUMBER, FLAG = ({"type": t} for t in ("string", "integer", "number", "boolean"))
MAYBE = {"anyOf": [TEXT, {"type": "null"}], "default": None}
COLOURS = {"enum": ["blue", "red"]}

COMPATIBLE = [
    ("the same", obj(("a",), a=TEXT), obj(("a",), a=TEXT)),
    ("an optional field more", obj(("a",), a=TEXT, b=MAYBE), obj(("a",), a=TEXT)),
    ("a field less", obj(), obj(("a",), a=TEXT)),
    ("whole numbers are numbers", obj(("a",), a=NUMBER), obj(("a",), a=WHOLE)),
    ("a text may become optional", obj(a=MAYBE), obj(("a",), a=TEXT)),
    ("more values of an enum", obj(a={"enum": ["blue", "green", "red"]}), obj(a=COLOURS)),
    ("an enum may become any text", obj(a=TEXT), obj(a=COLOURS)),
    ("anything reads all", obj(a={}), obj(a=WHOLE)),
    ("a wider bound", obj(a={**WHOLE, "minimum": 0}), obj(a={**WHOLE, "minimum": 5})),
    ("a map", {"additionalProperties": NUMBER, "type": "object"},
     {"additionalProperties": WHOLE, "type": "object"}),
    ("a list", obj(a={"type": "array", "items": NUMBER}), obj(a={"type": "array", "items": WHOLE})),
    ("types as a list", obj(a={"type": ["string", "null"]}), obj(a=TEXT)),
    ("a class in a class", {"$ref": "#/$defs/A", "$defs": {"A": obj(b=NUMBER)}},
     {"$ref": "#/$defs/B", "$defs": {"B": obj(b=WHOLE)}}),
    ("a class that holds itself",
     {"$ref": "#/$defs/N", "$defs": {"N": obj(next={"$ref": "#/$defs/N"}, extra=MAYBE)}},
     {"$ref": "#/$defs/N", "$defs": {"N": obj(next={"$ref": "#/$defs/N"})}}),
]  # fmt: skip

INCOMPATIBLE = [
    ("a required field more", obj(("b",), b=TEXT), obj(), "$.b", "not written"),
    ("a field became required", obj(("a",), a=TEXT), obj(a=TEXT), "$.a", "not always"),
    ("a field renamed", obj(("total",), total=WHOLE), obj(("amount",), amount=WHOLE),
     "$.total", "not written"),
    ("another type", obj(a=WHOLE), obj(a=TEXT), "$.a", "changed from string to integer"),
    ("numbers are not whole", obj(a=WHOLE), obj(a=NUMBER), "$.a", "from number to integer"),
    ("null is no longer read", obj(a=TEXT), obj(a=MAYBE), "$.a", "from null to string"),
    ("fewer values", obj(a=COLOURS), obj(a={"enum": ["blue", "green"]}), "$.a", "'green'"),
    ("a listed text is no number", obj(a=WHOLE), obj(a=COLOURS), "$.a", "to integer"),
    ("a listed text may be too long", obj(a={**TEXT, "maxLength": 3}), obj(a=COLOURS),
     "$.a", "maxLength 3 is asked"),
    ("any text where a value is listed", obj(a=COLOURS), obj(a=TEXT), "$.a", "only listed"),
    ("a narrower bound", obj(a={**WHOLE, "minimum": 5}), obj(a={**WHOLE, "minimum": 0}),
     "$.a", "minimum 5 is narrower than 0"),
    ("a new bound", obj(a={**TEXT, "maxLength": 5}), obj(a=TEXT), "$.a", "maxLength 5 is asked"),
    ("another pattern", obj(a={**TEXT, "pattern": "a"}), obj(a={**TEXT, "pattern": "b"}),
     "$.a", "pattern"),
    ("another format", obj(a={**TEXT, "format": "date"}), obj(a=TEXT), "$.a", "format"),
    ("no unknown fields any more", {**obj(), "additionalProperties": False}, obj(a=TEXT),
     "$.a", "unknown"),
    ("in a list", obj(a={"type": "array", "items": WHOLE}),
     obj(a={"type": "array", "items": TEXT}), "$.a[*]", "string to integer"),
    ("in a tuple", obj(a={"type": "array", "prefixItems": [WHOLE, WHOLE], "items": False}),
     obj(a={"type": "array", "prefixItems": [WHOLE, TEXT], "items": False}), "$.a[1]", "string"),
    ("a tuple got longer", obj(a={"type": "array", "prefixItems": [WHOLE], "items": False}),
     obj(a={"type": "array", "prefixItems": [WHOLE, WHOLE], "items": False}), "$.a[1]", "too many"),
    ("in a map", {"additionalProperties": WHOLE, "type": "object"},
     {"additionalProperties": TEXT, "type": "object"}, "$.*", "string to integer"),
    ("in a class in a class", {"$ref": "#/$defs/A", "$defs": {"A": obj(b=WHOLE)}},
     {"$ref": "#/$defs/A", "$defs": {"A": obj(b=TEXT)}}, "$.b", "string to integer"),
    ("in a class that holds itself",
     {"$ref": "#/$defs/N", "$defs": {"N": obj(next={"$ref": "#/$defs/N"}, v=WHOLE)}},
     {"$ref": "#/$defs/N", "$defs": {"N": obj(next={"$ref": "#/$defs/N"}, v=TEXT)}},
     "$.v", "string to integer"),
    ("what nobody understands", obj(a={"not": TEXT}), obj(a=TEXT), "$.a", "not understood"),
    ("a reference to nowhere", {"$ref": "#/$defs/Gone"}, obj(), "$", "leads nowhere"),
    ("fits no alternative", obj(a={"anyOf": [WHOLE, FLAG]}), obj(a=TEXT), "$.a", "fits none"),
]  # fmt: skip


@pytest.mark.parametrize(("reader", "writer"), [one[1:] for one in COMPATIBLE],
                         ids=[one[0] for one in COMPATIBLE])  # fmt: skip
def test_what_goes_together_is_found_to(reader: dict[str, Any], writer: dict[str, Any]) -> None:
    """Nothing stands against it."""
    assert [] == unreadable(reader, writer)


@pytest.mark.parametrize(("reader", "writer", "path", "reason"), [one[1:] for one in INCOMPATIBLE],
                         ids=[one[0] for one in INCOMPATIBLE])  # fmt: skip
def test_what_does_not_go_together_has_a_reason_and_a_path(
    reader: dict[str, Any], writer: dict[str, Any], path: str, reason: str
) -> None:
    """One finding, at the place, in words."""
    ((where, why),) = unreadable(reader, writer)
    assert path == where
    assert reason in why


V1 = obj(("amount",), amount=WHOLE)
V2 = obj(("amount",), amount=WHOLE, currency=MAYBE)
V3 = obj(("amount", "currency"), amount=WHOLE, currency=TEXT)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("NONE", []),
        ("BACKWARD", [("$.currency", "backward", 2)]),
        ("BACKWARD_TRANSITIVE", [("$.currency", "backward", 1), ("$.currency", "backward", 2)]),
        ("FORWARD", []),
        ("FORWARD_TRANSITIVE", []),
        ("FULL", [("$.currency", "backward", 2)]),
        ("FULL_TRANSITIVE", [("$.currency", "backward", 1), ("$.currency", "backward", 2)]),
    ],
)
def test_each_level_looks_where_it_should(
    level: Level, expected: list[tuple[str, str, int]]
) -> None:
    """Backward, forward or both; against the last version or all of them."""
    found = judge(V3, [(1, V1), (2, V2)], level)
    assert expected == list(dict.fromkeys((one.path, one.direction, one.against) for one in found))


def test_forward_is_the_other_way_round() -> None:
    """The old class must read what the new one writes."""
    (found,) = judge(obj(), [(4, V1)], "FORWARD")
    assert ("$.amount", "forward", 4) == (found.path, found.direction, found.against)
    assert [] == judge(obj(), [(4, V1)], "BACKWARD")


def test_the_first_version_is_compatible_at_every_level() -> None:
    """There is nothing to compare it with."""
    assert [] == [one for level in LEVELS for one in judge(V1, [], level)]
