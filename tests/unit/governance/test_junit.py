"""JUnit XML of a check: what a CI server parses."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from goldseam.governance.junit import Case, junit_xml


def test_passed_failed_and_noted_cases_are_told_apart() -> None:
    """A case with two failures counts once; a note is no failure."""
    text = junit_xml("gate", [
        Case("one", (("gap", "no upcaster"), ("other", "unreadable"))),
        Case("two", notes=("a field is dropped", "another")),
        Case("three"),
    ])  # fmt: skip
    root = ET.fromstring(text)
    (suite,) = root

    assert ("testsuites", "gate", "3", "1") == (
        root.tag, suite.get("name"), suite.get("tests"), suite.get("failures"),
    )  # fmt: skip
    assert ["one", "two", "three"] == [case.get("name") for case in suite]
    assert [("gap", "no upcaster"), ("other", "unreadable")] == [
        (one.get("type"), one.text) for one in suite[0]
    ]
    assert "a field is dropped\nanother" == suite[1].findtext("system-out")
    assert [] == list(suite[2])


@pytest.mark.parametrize(
    "name", ["<&>\"'", "]]>", "a\0b", "\ud800", "\ufffe", "\x1b[31m", "\u2028"]
)
def test_any_name_makes_a_document_that_parses(name: str) -> None:
    """Names come from stored events: markup and characters that XML cannot hold are spelled out."""
    case = Case(name, ((name, name),), (name,))
    root = ET.fromstring(junit_xml(name, [case]).encode())

    shown = root[0][0].get("name")
    assert shown is not None
    assert shown == root[0][0][0].get("message") == root[0][0][0].text
    if name.isprintable():
        assert name == shown
