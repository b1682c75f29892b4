"""`goldseam events lint`: the litmus test of event names, at the command line and in CI."""

from __future__ import annotations

import ast
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType
from typing import Any, Final

import click

from goldseam.cli.console import OK, PROBLEMS, json_option, show_json
from goldseam.cli.sarif import Located, sarif_log
from goldseam.events.glossary import GLOSSARY_FILE, Glossary, InvalidGlossary, read_glossary
from goldseam.events.litmus import RULES, breaches, waiver_findings
from goldseam.events.registry import Registry, registry
from goldseam.resilience.clock import Clock, SystemClock
from goldseam.telemetry.signals import signals

FILES_MAX: Final = 10_000
"""Most files of one folder that are read; a bigger folder is likely the wrong one."""

FOLDERS_SKIPPED: Final = frozenset({"__pycache__", "node_modules", "site-packages", "venv"})
"""Folders of other people's code, skipped like those whose name begins with a dot."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Declared:
    """An event as its source declares it: the name it is stored under, and where."""

    name: str
    path: str
    line: int


@click.group(name="events")
def group() -> None:
    """Event names: can a business person understand them without translation?"""


@group.command(name="lint")
@click.argument("target", metavar="MODULE_OR_PATH")
@click.option(
    "--glossary",
    "glossary_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"The business's words and waivers; else {GLOSSARY_FILE} beside the target.",
)
@json_option
@click.option("--sarif", metavar="FILE|-", help="Write SARIF 2.1.0 for a code host.")
def lint(target: str, glossary_path: Path | None, as_json: bool, sarif: str | None) -> None:
    """Say which event names a business person would not understand.

    MODULE_OR_PATH is a dotted module, which is imported, or a .py file or folder, which is
    only read. Exit codes: 0 clean, 1 findings, 2 no such target or no events in it.
    """
    if as_json and sarif == "-":
        raise click.UsageError("--json and --sarif - both write to stdout; give --sarif a file")
    events, home = _events_of(target)
    if not events:
        raise click.UsageError(
            f"no events in {_plain(target)!r}: no class there is decorated with @event"
        )
    glossary = _glossary(glossary_path or home / GLOSSARY_FILE, glossary_path is not None)
    found = _judge(events, glossary)
    failing = [each for each in found if each.waived is None and each.finding.level == "error"]
    flagged = len({each.finding.name for each in failing if each.finding.rule < "GS2"})
    signals.count("goldseam_event_names_flagged_total", flagged)
    if sarif is not None:
        _write_sarif(sarif, json.dumps(sarif_log(found, RULES.values()), indent=2))
    if as_json:
        show_json(_report(target, events, found, flagged))
    elif sarif != "-":
        for each in found:
            if each.waived is None:
                click.echo(_line(each))
    waived = sum(each.waived is not None for each in found)
    click.echo(f"{len(events)} events, {flagged} names flagged, {waived} findings waived", err=True)
    sys.exit(PROBLEMS if failing else OK)


def today(clock: Clock) -> date:
    """The day, in UTC, on which waivers are judged."""
    return (_EPOCH + timedelta(microseconds=clock.now_us())).date()


def _judge(events: list[Declared], glossary: Glossary) -> list[Located]:
    found: list[Located] = []
    broken: set[tuple[str, str]] = set()
    for event in events:
        for finding in breaches(event.name, glossary):
            broken.add((event.name, finding.rule))
            waiver = glossary.waiver(event.name, finding.rule)
            reason = waiver.reason if waiver else None
            found.append(Located(finding, event.path, event.line, reason))
    file = _relative(Path(glossary.path))
    found += [Located(each, file, line) for line, each in waiver_findings(glossary, broken)]
    return found


def _glossary(path: Path, given: bool) -> Glossary:
    if not given and not path.is_file():
        return Glossary()
    try:
        return read_glossary(path, today(SystemClock()))
    except InvalidGlossary as error:
        raise click.UsageError(_plain(str(error))) from error


# ------------------------------------------------------------------------------ finding events


def _events_of(target: str) -> tuple[list[Declared], Path]:
    """The events of a module or path, and the folder where its glossary is."""
    path = Path(target)
    if "\0" in target:
        raise click.UsageError("MODULE_OR_PATH has a NUL character in it")
    if path.is_dir():
        files = _python_files(path)
        return [event for file in files for event in _read(file)], path
    if path.is_file() and path.suffix == ".py":
        return _read(path), path.parent
    if path.suffix == ".py" or os.sep in target or path.exists():
        raise click.UsageError(f"{_plain(target)!r} is neither a .py file nor a folder")
    return _imported(target)


def _python_files(folder: Path) -> list[Path]:
    found: list[Path] = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(
            each for each in folders if each[0] != "." and each not in FOLDERS_SKIPPED
        )
        found += [Path(root, name) for name in sorted(names) if name.endswith(".py")]
        if len(found) > FILES_MAX:
            raise click.UsageError(
                f"{_plain(str(folder))!r} has more than {FILES_MAX} Python files; "
                "name the folder with the events"
            )
    return found


def _parse(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise click.UsageError(f"{_plain(str(file))!r} cannot be read: {error}") from error


def _read(file: Path) -> list[Declared]:
    """The events that a file declares, found without running it."""
    tree = _parse(file)
    decorators = {"event"}
    texts: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("goldseam"):
            decorators |= {
                each.asname for each in node.names if each.name == "event" and each.asname
            }
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            text = _text(node.value, {})
            if text is not None:
                texts |= {each.id: text for each in targets if isinstance(each, ast.Name)}
    shown = _relative(file)
    classes = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    events = [
        Declared(name, shown, node.lineno)
        for node in classes
        if (name := _declared_name(node, decorators, texts)) is not None
    ]
    return sorted(events, key=lambda event: event.line)


def _declared_name(node: ast.ClassDef, decorators: set[str], texts: dict[str, str]) -> str | None:
    """The name under which ``@event`` registers the class, or None when it does not."""
    for decorator in node.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        called = call.func if call else decorator
        if not (
            (isinstance(called, ast.Name) and called.id in decorators)
            or (isinstance(called, ast.Attribute) and called.attr == "event")
        ):
            continue
        for keyword in call.keywords if call else ():
            if keyword.arg == "name":
                return _text(keyword.value, texts) or node.name
        return node.name
    return None


def _text(node: ast.expr | None, texts: dict[str, str]) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return texts.get(node.id) if isinstance(node, ast.Name) else None


def _imported(name: str) -> tuple[list[Declared], Path]:
    """The events that a module and, for a package, its submodules register."""
    modules = list(_modules(name))
    home = Path(modules[0].__file__ or next(iter(modules[0].__path__), ".")).resolve()
    registries = {id(registry): registry}
    for module in modules:
        registries |= {id(v): v for v in vars(module).values() if isinstance(v, Registry)}
    files = {module.__name__: module.__file__ for module in modules}
    events = [
        Declared(kind.name, *_place(kind.kind, files[kind.kind.__module__]))
        for known in registries.values()
        for kind in known
        if kind.kind.__module__ in files
    ]
    events.sort(key=lambda event: (event.path, event.line, event.name))
    return events, home if home.is_dir() else home.parent


def _modules(name: str) -> Iterator[ModuleType]:
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    module = _import(name)
    yield module
    for found in walk_packages(getattr(module, "__path__", ()), f"{name}.", onerror=_import):
        if not found.name.endswith(".__main__"):  # importing it would run it
            yield _import(found.name)


def _import(name: str) -> ModuleType:
    try:
        return import_module(name)
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {error}"
        raise click.UsageError(
            f"module {_plain(name)!r} cannot be imported ({_plain(why)}); "
            "give a path to have it read without importing"
        ) from error


def _place(kind: type, file: str | None) -> tuple[str, int]:
    """Where a class is declared; line 1 when its source does not say."""
    if file is None or not file.endswith(".py"):
        return kind.__module__, 1
    path = Path(file)
    name = kind.__qualname__.rpartition(".")[2]
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return _relative(path), node.lineno
    return _relative(path), 1


# ------------------------------------------------------------------------------ showing them


def _relative(path: Path) -> str:
    """As seen from here, with forward slashes."""
    return Path(os.path.relpath(path)).as_posix()


def _line(each: Located) -> str:
    where = f"{each.path}:{each.line}"
    return _plain(f"{where}: {each.finding.rule} {each.finding.name}: {each.finding.message}")


def _plain(text: str) -> str:
    """One printable line, whatever a name or a path has in it."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _report(
    target: str, events: list[Declared], found: list[Located], flagged: int
) -> dict[str, Any]:
    shown = [
        {
            "rule": each.finding.rule,
            "level": each.finding.level,
            "name": _plain(each.finding.name),
            "path": _plain(each.path),
            "line": each.line,
            "fact": each.finding.fact,
            "why": each.finding.why,
            "question": each.finding.question,
        }
        | ({} if each.waived is None else {"reason": each.waived})
        for each in found
    ]
    return {
        "target": _plain(target),
        "events": len(events),
        "flagged": flagged,
        "findings": [each for each in shown if "reason" not in each],
        "waived": [each for each in shown if "reason" in each],
    }


def _write_sarif(where: str, text: str) -> None:
    if where == "-":
        click.echo(text)
        return
    try:
        Path(where).write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"--sarif {_plain(where)!r} cannot be written: {error}") from error
