"""What the judge calls compatible is readable: generated classes and events, real decoding."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from goldseam.versioning.compatibility import unreadable
from goldseam.versioning.json_schema import schema_of

NAMES = ("amount", "note", "tags")


class Inner(msgspec.Struct):
    """A class inside."""

    value: int


KINDS: list[tuple[Any, st.SearchStrategy[Any], Any]] = [
    (int, st.integers(-(2**53), 2**53), 0),
    (float, st.floats(allow_nan=False, allow_infinity=False), 0.5),
    (str, st.text(max_size=5), ""),
    (bool, st.booleans(), False),
    (int | None, st.none() | st.integers(0, 9), None),
    (str | None, st.none() | st.text(max_size=3), None),
    (list[int], st.lists(st.integers(0, 9), max_size=3), []),
    (list[str], st.lists(st.text(max_size=2), max_size=3), []),
    (dict[str, int], st.dictionaries(st.text(max_size=2), st.integers(0, 9), max_size=2), {}),
    (Literal["a", "b"], st.sampled_from(["a", "b"]), "a"),
    (Literal["a", "b", "c"], st.sampled_from(["a", "b", "c"]), "a"),
    (Annotated[int, msgspec.Meta(ge=0)], st.integers(0, 9), 0),
    (Annotated[str, msgspec.Meta(max_length=3)], st.text(max_size=3), ""),
    (tuple[int, str], st.tuples(st.integers(0, 9), st.text(max_size=2)), (0, "")),
    (Inner, st.builds(Inner, st.integers(0, 9)), Inner(0)),
    (int | str, st.integers(0, 9) | st.text(max_size=2), 0),
]

FieldOf = tuple[str, int, bool]
"""A name, the number of its kind, whether it has a default."""

a_field = st.tuples(st.sampled_from(NAMES), st.integers(0, len(KINDS) - 1), st.booleans())
some_fields = st.lists(a_field, max_size=3, unique_by=lambda one: one[0])


def made(fields: list[FieldOf]) -> type[msgspec.Struct]:
    """The class with these fields."""
    parts: list[Any] = [
        (name, KINDS[kind][0], msgspec.field(default_factory=lambda k=kind: KINDS[k][2]))
        if default
        else (name, KINDS[kind][0])
        for name, kind, default in fields
    ]
    return msgspec.defstruct("Event", parts, kw_only=True)


@st.composite
def two_versions(draw: st.DrawFn) -> tuple[type, type, Any]:
    """A writer, a reader that is often near it, and an event that the writer wrote."""
    written = draw(some_fields)
    read = [one for one in written if draw(st.booleans()) or draw(st.booleans())]
    names = {one[0] for one in read}
    read += [one for one in draw(some_fields) if one[0] not in names]
    values = {name: draw(KINDS[kind][1]) for name, kind, _ in written}
    writer = made(written)
    return writer, made(read), writer(**values)


def misjudged(judge: Any, versions: tuple[type, type, Any]) -> bool:
    """Whether ``judge`` calls compatible what cannot be decoded."""
    writer, reader, event = versions
    if judge(schema_of(reader), schema_of(writer)):
        return False
    try:
        msgspec.json.decode(msgspec.json.encode(event), type=reader)
    except msgspec.ValidationError:
        return True
    return False


@settings(max_examples=1_000, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(two_versions())
def test_what_is_called_compatible_decodes(versions: tuple[type, type, Any]) -> None:
    """Backward and forward are this one question, asked both ways round."""
    assert not misjudged(unreadable, versions)


@settings(max_examples=1_000, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(some_fields, st.data())
def test_a_version_reads_itself(fields: list[FieldOf], data: st.DataObject) -> None:
    """No class is incompatible with itself: the judge is not merely strict."""
    kind = made(fields)
    assert [] == unreadable(schema_of(kind), schema_of(kind))
    assume(fields)
    fewer = [one for one in fields if data.draw(st.booleans())]
    assert [] == unreadable(schema_of(made(fewer)), schema_of(kind))


def test_control_a_judge_that_says_yes_to_all_is_caught() -> None:
    """The property can fail."""

    @settings(max_examples=1_000, database=None, deadline=None)
    @given(two_versions())
    def run(versions: tuple[type, type, Any]) -> None:
        assert not misjudged(lambda *_: [], versions)

    with pytest.raises(AssertionError):
        run()
