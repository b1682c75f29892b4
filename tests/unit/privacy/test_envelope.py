"""A sealed value opens in its own place only, and sealing twice gives the same bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from goldseam.errors import Corrupt
from goldseam.privacy.envelope import MARK, SubjectKey, checked_subject, seal, unseal
from goldseam.privacy.errors import InvalidSubject, SealBroken

KEY = bytes(range(32))
EVENT = bytes(range(16))
VALUE = b'"Ada Lovelace"'


def sealed(
    *,
    key: SubjectKey | None = None,
    subject: str = "customer-1",
    event: bytes = EVENT,
    path: str = "person.name",
    value: bytes = VALUE,
) -> dict[str, Any]:
    found = seal(key or SubjectKey(1, KEY), subject, event, path, value)[MARK]
    assert isinstance(found, dict)
    return found


def test_a_sealed_value_opens_in_its_own_place() -> None:
    """What goes in comes out, and the stored form does not show it."""
    found = sealed()
    assert VALUE == unseal(SubjectKey(1, KEY), found, EVENT, "person.name")
    assert b"Lovelace" not in json.dumps(found).encode()


def test_sealing_is_deterministic() -> None:
    """A retry of an append is byte-identical, else it would be a mismatch."""
    assert sealed() == sealed()


@pytest.mark.parametrize(
    "other",
    [
        {"subject": "customer-2"},
        {"event": bytes(16)},
        {"path": "person.email"},
        {"value": b'"Ada Lovelacf"'},
        {"key": SubjectKey(2, KEY)},
        {"key": SubjectKey(1, bytes(32))},
    ],
    ids=lambda other: next(iter(other)),
)
def test_every_part_of_the_place_and_the_value_changes_the_nonce(other: dict[str, Any]) -> None:
    """Two values never share a nonce, and equal values of two events do not look equal."""
    assert sealed()["c"][:16] != sealed(**other)["c"][:16]


@pytest.mark.parametrize(
    ("moved", "event", "path"),
    [
        ({}, bytes(16), "person.name"),
        ({}, EVENT, "person.email"),
        ({"s": "customer-2"}, EVENT, "person.name"),
        ({"k": 2}, EVENT, "person.name"),
    ],
    ids=["another event", "another field", "another subject", "another key version"],
)
def test_a_moved_value_does_not_open(moved: dict[str, Any], event: bytes, path: str) -> None:
    """The place is authenticated: the right key does not open a value that was moved."""
    with pytest.raises(SealBroken) as caught:
        unseal(SubjectKey(1, KEY), sealed() | moved, event, path)
    assert isinstance(caught.value, Corrupt)
    assert "Ada" not in str(caught.value)
    assert "customer" not in str(caught.value)


@pytest.mark.parametrize("place", range(0, 40, 3))
def test_a_changed_value_does_not_open(place: int) -> None:
    """One changed character of the stored text is enough."""
    found = sealed()
    text = found["c"]
    found["c"] = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
    with pytest.raises(SealBroken):
        unseal(SubjectKey(1, KEY), found, EVENT, "person.name")


@pytest.mark.parametrize("shape", [{}, {"s": 1}, {"s": "x", "k": 1, "c": 5}, {"c": "é", "s": ""}])
def test_what_has_not_the_shape_is_said_to_be_broken(shape: dict[str, Any]) -> None:
    """Whatever stands in the log: a clear error, never another one."""
    with pytest.raises(SealBroken, match="does not open"):
        unseal(SubjectKey(1, KEY), shape, EVENT, "name")


def test_a_key_does_not_show_itself() -> None:
    """A key in a log line would outlive the erasure."""
    assert "SubjectKey(version=3)" == repr(SubjectKey(3, KEY))


@pytest.mark.parametrize("subject", ["", "a\0b", "x" * 513, "\ud800"])
def test_a_name_that_would_be_ambiguous_or_unstorable_is_refused(subject: str) -> None:
    """NUL separates the parts of the place; the text of the refusal shows no name."""
    with pytest.raises(InvalidSubject) as caught:
        checked_subject(subject)
    assert "xxx" not in str(caught.value)


def test_an_ordinary_name_passes() -> None:
    """Any text of up to 512 bytes."""
    assert "Zoë 7" == checked_subject("Zoë 7")
    assert 512 == len(checked_subject("x" * 512))
