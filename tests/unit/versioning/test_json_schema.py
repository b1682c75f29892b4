"""The schema of a class: whatever it is made with, in one canonical form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import attrs
import msgspec
import pydantic
import pytest

from goldseam import Personal
from goldseam.errors import InvalidName
from goldseam.versioning.json_schema import canonical, fingerprint, schema_of


class AsStruct(msgspec.Struct):
    amount: int
    note: str = ""


@dataclass
class AsDataclass:
    amount: int
    note: str = ""


@attrs.define
class AsAttrs:
    amount: int
    note: str = ""


class AsPydantic(pydantic.BaseModel):
    amount: int
    note: str = ""


class Node(msgspec.Struct):
    value: int
    following: Node | None = None


class Customer(msgspec.Struct, rename="camel"):
    customer_id: str
    full_name: Annotated[str, Personal("customer_id")]


@pytest.mark.parametrize("kind", [AsStruct, AsDataclass, AsAttrs, AsPydantic])
def test_every_kind_of_class_has_a_schema(kind: type) -> None:
    """The root is the object itself, not a reference to it."""
    schema = schema_of(kind)
    assert ("object", ["amount"]) == (schema["type"], schema["required"])
    assert {"amount", "note"} == set(schema["properties"])


def test_the_canonical_form_is_the_same_for_the_same_schema() -> None:
    """The order of the fields in the file does not matter."""
    one, other = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}
    assert canonical(one) == canonical(other)
    assert fingerprint(one) == fingerprint(other) != fingerprint({"a": 2})


def test_a_class_that_holds_itself_keeps_its_definition() -> None:
    """Its references lead somewhere."""
    schema = schema_of(Node)
    assert "#/$defs/Node" in canonical(schema).decode()
    assert {"Node"} == set(schema["$defs"])


def test_a_personal_field_may_be_sealed_and_says_whose_it_is() -> None:
    """The log holds the sealed form."""
    field: dict[str, Any] = schema_of(Customer)["properties"]["fullName"]
    assert "customerId" == field["x-goldseam-personal"]
    assert [{"type": "string"}, ["$sealed"]] == [field["anyOf"][0], field["anyOf"][1]["required"]]


def test_a_class_without_a_schema_is_refused() -> None:
    """With the name of the class."""

    class Odd(msgspec.Struct):
        thing: complex

    with pytest.raises(InvalidName, match="Odd"):
        schema_of(Odd)
