"""Results of a check as JUnit XML, which every CI server shows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape, quoteattr

_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that was checked: its failures, and what is worth knowing besides."""

    name: str
    failures: tuple[tuple[str, str], ...] = ()
    """The rule that is broken, and the message; none: it passed."""
    notes: tuple[str, ...] = ()


def junit_xml(suite: str, cases: Sequence[Case]) -> str:
    """A JUnit document with one suite. A case with several failures counts as one."""
    failed = sum(bool(case.failures) for case in cases)
    counts = f'tests="{len(cases)}" failures="{failed}" errors="0" skipped="0"'
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<testsuites {counts}>",
        f"<testsuite name={_quoted(suite)} {counts}>",
    ]
    for case in cases:
        lines.append(f"<testcase classname={_quoted(suite)} name={_quoted(case.name)}>")
        for rule, message in case.failures:
            lines.append(
                f"<failure type={_quoted(rule)} message={_quoted(message)}>{_text(message)}"
                "</failure>"
            )
        if case.notes:
            lines.append(f"<system-out>{_text(chr(10).join(case.notes))}</system-out>")
        lines.append("</testcase>")
    return "\n".join([*lines, "</testsuite>", "</testsuites>", ""])


def _text(text: str) -> str:
    return escape(_legal(text))


def _quoted(text: str) -> str:
    return quoteattr(_legal(text))


def _legal(text: str) -> str:
    """``text`` without what XML cannot hold in any spelling; a name may come from anywhere."""
    return _NOT_XML.sub(lambda found: ascii(found[0])[1:-1], text)
