"""The rules of expected versions, and how migration files are cut into statements."""

from __future__ import annotations

from typing import Any

import pytest

from goldseam.database.connection import Dialect
from goldseam.database.schema import migrations, split_script
from goldseam.errors import InvalidName
from goldseam.store.expected import ANY, EXISTS, NEW, checked_expected, holds, shown_expected


@pytest.mark.parametrize(
    ("expected", "holding"),
    [(ANY, {0, 1, 2}), (EXISTS, {1, 2}), (NEW, {0}), (0, {0}), (1, {1}), (2, {2})],
)
def test_what_an_expectation_accepts(expected: int, holding: set[int]) -> None:
    """Of a new stream, one with an event, and one with two."""
    assert holding == {actual for actual in range(3) if holds(expected, actual)}


@pytest.mark.parametrize("wrong", [-3, True, False, None, "1", 1.0])
def test_what_is_no_expectation_is_refused(wrong: Any) -> None:
    """A bool is not a count."""
    with pytest.raises(InvalidName, match="NEW, EXISTS, ANY or a count"):
        checked_expected(wrong)


def test_expectations_are_shown_in_words() -> None:
    """As messages say them."""
    assert ["any", "exists", 0, 7] == [shown_expected(int(one)) for one in (ANY, EXISTS, NEW, 7)]


def test_a_script_is_cut_at_statements_not_inside_bodies() -> None:
    """Bodies of triggers and functions have semicolons of their own."""
    script = (
        "-- a comment; with a semicolon\n\nCREATE TABLE a (b);\n"
        "CREATE TRIGGER t BEFORE UPDATE ON a\nBEGIN\n    SELECT 1;\n    SELECT 2;\nEND;\n"
        "CREATE FUNCTION f() AS $$\nBEGIN\n    x;\nEND $$;\nCREATE TABLE c (d);\n"
    )
    found = split_script(script)

    assert ["CREATE TABLE a", "CREATE TRIGGER", "CREATE FUNCTION", "CREATE TABLE c"] == [
        " ".join(one.split()[:3]) if "TABLE" in one else " ".join(one.split()[:2]) for one in found
    ]
    assert found[1].endswith("END;")


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_migrations_are_numbered_from_one_without_a_hole(dialect: Dialect) -> None:
    """And both databases have the same steps."""
    found = migrations("goldseam.store", dialect)
    assert list(range(1, len(found) + 1)) == [one.number for one in found]
    assert [one.name for one in migrations("goldseam.store", "sqlite")] == [
        one.name for one in found
    ]
