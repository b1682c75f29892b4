"""Findings as SARIF 2.1.0, so that a code host shows them beside the line they are about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final
from urllib.parse import quote

from goldseam.events.litmus import Finding, Rule

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
FINGERPRINT_CHARACTERS: Final = 16


@dataclass(frozen=True, slots=True)
class Located:
    """A finding, the file and line it is about, and the reason if it was waived."""

    finding: Finding
    path: str
    line: int
    waived: str | None = None


def sarif_log(
    found: Iterable[Located], rules: Iterable[Rule], name: str = "goldseam events lint"
) -> dict[str, Any]:
    """One SARIF log of one run of tool ``name``; paths must be relative, with or without ``..``."""
    listed = list(rules)
    known = {rule.code: at for at, rule in enumerate(listed)}
    seen: Counter[str] = Counter()
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": _driver(name, listed)},
                "columnKind": "unicodeCodePoints",
                "results": [_result(located, known, seen) for located in found],
            }
        ],
    }


def _driver(name: str, rules: list[Rule]) -> dict[str, Any]:
    driver: dict[str, Any] = {
        "name": name,
        "rules": [_rule(rule) for rule in rules],
    }
    with suppress(PackageNotFoundError):  # a checkout has no version, and SARIF needs none
        driver["version"] = version("goldseam")
    return driver


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": "".join(part.title() for part in rule.slug.split("-")),
        "shortDescription": {"text": f"{rule.title}."},
        "fullDescription": {"text": f"{rule.title}: {rule.why}."},
        "help": {"text": f"Ask the business: {rule.question}"},
        "defaultConfiguration": {"level": rule.level},
    }


def _result(located: Located, known: dict[str, int], seen: Counter[str]) -> dict[str, Any]:
    finding = located.finding
    uri = quote(located.path.encode("utf-8", "surrogateescape"))
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": known[finding.rule],
        "level": finding.level,
        "message": {"text": finding.message},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": uri, "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": located.line},
                }
            }
        ],
        "partialFingerprints": {"primaryLocationLineHash": _fingerprint(finding, uri, seen)},
    }
    if located.waived is not None:
        result["suppressions"] = [{"kind": "external", "justification": located.waived}]
    return result


def _fingerprint(finding: Finding, uri: str, seen: Counter[str]) -> str:
    """The same for the same finding when its line moves; numbered when a file has it twice."""
    content = ascii((finding.rule, finding.name, finding.fact, uri)).encode()
    digest = sha256(content).hexdigest()[:FINGERPRINT_CHARACTERS]
    seen[digest] += 1
    return f"{digest}:{seen[digest]}"
