"""`goldseam consumers lint`: which handlers give another result when an event comes twice."""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click

from goldseam.cli.console import OK, PROBLEMS, json_option, show_json
from goldseam.cli.sarif import Located, sarif_log
from goldseam.events.litmus import Finding, Rule
from goldseam.governance.handler_lint import (
    QUESTION,
    RULE_PYTHON,
    RULE_SQL,
    RULE_WAIVER,
    WHY,
    AddsUp,
    lint_source,
)

FILES_MAX: Final = 10_000
FOLDERS_SKIPPED: Final = frozenset({"__pycache__", "node_modules", "site-packages", "venv"})

_TITLES = {
    RULE_SQL: ("sql-adds", "A handler's SQL adds to what is there"),
    RULE_PYTHON: ("python-adds", "A handler changes a stored value by a difference"),
    RULE_WAIVER: ("waiver-without-reason", "A waiver has no reason"),
}
RULES: Final = [Rule(code, slug, title, WHY, QUESTION) for code, (slug, title) in _TITLES.items()]


@click.command(name="lint")
@click.argument("target", metavar="MODULE_OR_PATH")
@json_option
@click.option("--sarif", metavar="FILE|-", help="Write SARIF 2.1.0 for a code host.")
def lint(target: str, as_json: bool, sarif: str | None) -> None:
    """Say which handlers add to what is there instead of setting the result.

    MODULE_OR_PATH is a dotted module, or a .py file or folder; it is read, not run. Exit codes:
    0 clean, 1 findings, 2 no such target or no handlers in it.
    """
    if as_json and sarif == "-":
        raise click.UsageError("--json and --sarif - both write to stdout; give --sarif a file")
    handlers, found = _judge(_files(target))
    if not handlers:
        raise click.UsageError(
            f"no handlers in {_plain(target)!r}: no function there is decorated with @handles"
        )
    failing = [each for each in found if each[1].waived is None]
    if sarif is not None:
        located = [Located(_finding(each), path, each.line, each.waived) for path, each in found]
        _write(sarif, json.dumps(sarif_log(located, RULES, "goldseam consumers lint"), indent=2))
    if as_json:
        shown = [_shown(path, each) for path, each in found]
        show_json(
            {
                "target": _plain(target),
                "handlers": handlers,
                "findings": [one for one in shown if "reason" not in one],
                "waived": [one for one in shown if "reason" in one],
            }
        )
    elif sarif != "-":
        for path, each in failing:
            click.echo(_plain(f"{path}:{each.line}: {each.rule} {each.handler}: {each.message}"))
    waived = len(found) - len(failing)
    click.echo(f"{handlers} handlers, {len(failing)} findings, {waived} waived", err=True)
    sys.exit(PROBLEMS if failing else OK)


def _judge(files: list[Path]) -> tuple[int, list[tuple[str, AddsUp]]]:
    handlers, found = 0, []
    for file in files:
        try:
            report = lint_source(file.read_text("utf-8"))
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise click.UsageError(f"{_plain(str(file))!r} cannot be read: {error}") from error
        handlers += report.handlers
        shown = Path(os.path.relpath(file)).as_posix()
        found += [(shown, each) for each in report.found]
    return handlers, found


def _files(target: str) -> list[Path]:
    path = Path(target)
    if "\0" in target:
        raise click.UsageError("MODULE_OR_PATH has a NUL character in it")
    if path.is_dir():
        return _python_files(path)
    if path.is_file() and path.suffix == ".py":
        return [path]
    if path.suffix == ".py" or os.sep in target or path.exists():
        raise click.UsageError(f"{_plain(target)!r} is neither a .py file nor a folder")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        spec = find_spec(target)
    except (ImportError, ValueError, AttributeError):
        spec = None
    if spec is None:
        raise click.UsageError(f"there is no module {_plain(target)!r} and no such path")
    if spec.submodule_search_locations:
        return [
            file for one in spec.submodule_search_locations for file in _python_files(Path(one))
        ]
    if spec.origin is None or not spec.origin.endswith(".py"):
        raise click.UsageError(f"the module {_plain(target)!r} has no Python source to read")
    return [Path(spec.origin)]


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
                "name the folder with the handlers"
            )
    return found


def _finding(each: AddsUp) -> Finding:
    return Finding(each.rule, each.handler, each.fact, WHY, QUESTION, each.level)


def _shown(path: str, each: AddsUp) -> dict[str, object]:
    shown: dict[str, object] = {
        "rule": each.rule,
        "level": each.level,
        "handler": each.handler,
        "path": _plain(path),
        "line": each.line,
        "fact": each.fact,
        "why": WHY,
        "question": QUESTION,
    }
    return shown if each.waived is None else {**shown, "reason": each.waived}


def _plain(text: str) -> str:
    """One printable line, whatever a path has in it."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _write(where: str, text: str) -> None:
    if where == "-":
        click.echo(text)
        return
    try:
        Path(where).write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"--sarif {_plain(where)!r} cannot be written: {error}") from error
