"""What the evolution gate found, as JSON, JUnit and SARIF."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from goldseam.cli.events import _place, _plain, _relative
from goldseam.cli.sarif import Located, sarif_log
from goldseam.events import litmus
from goldseam.events.registry import Past, Registry, Untyped
from goldseam.governance.evolution_gate import RULES, Finding
from goldseam.governance.junit import Case, junit_xml
from goldseam.versioning.weak_schema import Dropped

TOOL = "goldseam schema check"


@dataclass(frozen=True, slots=True)
class _Told(litmus.Finding):
    """A finding of the gate in the form that the SARIF writer takes."""

    @property
    def message(self) -> str:
        return self.fact


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gate looked at and what it found."""

    findings: list[Finding]
    checked: list[tuple[str, int]]
    sample: int
    stored: int
    registered: int

    @property
    def failed(self) -> bool:
        """Whether the deployment should stop."""
        return any(one.level == "error" for one in self.findings)


def judged_as_json(judged: Judged) -> dict[str, Any]:
    """All of it, for scripts."""
    return {
        "ok": not judged.failed,
        "checked": [{"type": name, "version": version} for name, version in judged.checked],
        "events_read": judged.sample,
        "events_stored": judged.stored,
        "schemas_registered": judged.registered,
        "findings": [
            {
                "rule": one.rule,
                "level": one.level,
                "type": one.type,
                "version": one.type_version,
                "path": one.path,
                "positions": list(one.positions),
                "fact": one.fact,
                "message": one.message,
            }
            for one in judged.findings
        ],
    }


def dropped_as_json(one: Dropped) -> dict[str, Any]:
    """One line of the report of dropped fields, for scripts."""
    return {
        "type": one.type,
        "version": one.type_version,
        "events": one.events,
        "newest_position": one.newest_position,
        "fields": sorted(one.fields),
        "not_in_them": sorted(one.missing),
    }


def as_junit(found: Sequence[Finding], checked: Sequence[tuple[str, int]]) -> str:
    """One case for each event type version, also for those that a finding alone is about."""
    keys = sorted({*checked, *((one.type, one.type_version) for one in found)})
    cases = []
    for key in keys:
        mine = [one for one in found if (one.type, one.type_version) == key]
        failures = tuple((one.rule, one.message) for one in mine if one.level == "error")
        notes = tuple(one.message for one in mine if one.level == "note")
        cases.append(Case(f"{key[0]} version {key[1]}", failures, notes))
    return junit_xml(TOOL, cases)


def as_sarif(found: Sequence[Finding], registry: Registry, modules: Sequence[str]) -> Any:
    """Each finding beside the class it is about; else beside the first module that was named."""
    rules = [
        litmus.Rule(one.id, one.id, one.title, one.why, one.cure, one.level)
        for one in RULES.values()
    ]
    log = sarif_log([_located(one, registry, modules) for one in found], rules, TOOL)
    driver = log["runs"][0]["tool"]["driver"]
    for shown, rule in zip(driver["rules"], RULES.values(), strict=True):
        shown["help"] = {"text": f"{rule.cure}."}
    return log


def _located(one: Finding, registry: Registry, modules: Sequence[str]) -> Located:
    told = _Told(one.rule, f"{one.type}@{one.type_version}", one.message, "", "", one.level)
    exact = registry.by_name.get((one.type, one.type_version))
    if exact is None or exact.kind in (Past, Untyped):
        exact = registry.current(one.type)
    files = _files()
    if exact is not None:
        path, line = _place(exact.kind, files.get(exact.kind.__module__))
    else:
        path, line = _module_path(files, modules), 1
    return Located(told, path, line)


def _files() -> Mapping[str, str | None]:
    return {name: getattr(one, "__file__", None) for name, one in list(sys.modules.items())}


def _module_path(files: Mapping[str, str | None], modules: Sequence[str]) -> str:
    """The file of the first module, as seen from here; its name if it has none."""
    for name in modules:
        file = files.get(name.partition(":")[0])
        if file is not None:
            return _relative(Path(file))
    return "goldseam"


def written(option: str, where: str, text: str) -> None:
    """Write a report to a file, or to stdout for ``-``."""
    if where == "-":
        click.echo(text)
        return
    try:
        Path(where).write_text(f"{text.rstrip()}\n", encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{option} {_plain(where)!r} cannot be written: {error}") from error
