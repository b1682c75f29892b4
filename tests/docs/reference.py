"""Writes docs/reference/*.md from the code; `python -m tests.docs.reference` writes them anew."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

import click

import goldseam
from goldseam import errors
from goldseam.cli.nouns import cli
from goldseam.telemetry.signals import METRICS

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"

CONSTANTS = {
    "ANY": "Expected version: whatever the stream's version is.",
    "EXISTS": "Expected version: the stream has at least one event.",
    "NEW": "Expected version: the stream has no events yet.",
}


def commands(
    command: click.Command = cli, context: click.Context | None = None
) -> Iterator[tuple[click.Context, click.Command]]:
    """Every command of the command line, without the groups."""
    context = context or click.Context(cli, info_name="goldseam")
    if not isinstance(command, click.Group):
        yield context, command
        return
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from commands(found, click.Context(found, info_name=name, parent=context))


def cli_page() -> str:
    """What `--help` says, command by command."""
    parts = [
        "# The command line\n",
        (
            '`pip install "goldseam[cli]"` brings it. The store is `--store URL` or'
            " `GOLDSEAM_STORE`, for example `sqlite:///shop.db` or `postgresql://user@host/db?schema=shop`;"
            " the broker `--broker URL` or `GOLDSEAM_BROKER`, `kafka://host:9092` or"
            " `sqlite:///broker.db`. Commands that name an application take both from it."
            " `--json` prints one JSON document. Results go to stdout, everything else to stderr;"
            " passwords of URLs are never printed.\n"
        ),
        (
            "| Exit code | Meaning |\n| :--- | :--- |\n| 0 | done, nothing wrong |\n"
            "| 1 | it ran and found problems |\n| 2 | wrong usage |\n"
            "| 3 | the store or the broker cannot be reached |\n"
            "| 4 | refused; nothing was written |\n"
        ),
    ]
    for context, command in commands():
        arguments = [one.human_readable_name for one in command.params
                     if isinstance(one, click.Argument)]  # fmt: skip
        parts.append(f"## `{' '.join([context.command_path, *arguments])}`\n")
        parts.append(f"{command.get_short_help_str(limit=300)}\n")
        options = [one for one in command.params if isinstance(one, click.Option)]
        rows = [(f"`{', '.join(one.opts)}`", _meaning(one)) for one in options]
        parts.append(_table(("Option", "Meaning"), rows))
    return "\n".join(parts)


def errors_page() -> str:
    """Every error class: its parent, its failure, whether the same call may be made again."""
    rows = [
        (f"`{kind.__name__}`", f"`{kind.__mro__[1].__name__}`", _first_line(kind),
         f"[{kind.failure}](../failures/{kind.failure.replace('/', '-')}.md)"
         if kind.failure else "", "yes" if kind.retry_safe else "no")
        for kind in error_classes()
    ]  # fmt: skip
    text = (
        "# Errors\n\nThey are in `goldseam.errors`, and in the `errors` of the package that raises"
        " them. A write has three outcomes: it returned, it was"
        " refused (`InvalidInput`, `Rejected`, `StoreUnavailable`: nothing was written), or nobody"
        " knows (`CommitUnknown`). *Again* says whether the same call may simply be made again,"
        " with the same events or the same key: `error.retry_safe`. `error.failure` is the slug for"
        " `goldseam failures show`.\n\n"
    )
    return text + _table(("Error", "Is a", "Meaning", "Failure", "Again"), rows)


def metrics_page() -> str:
    """Every metric: its kind and its meaning."""
    rows = [
        (f"`{name}`", "counter" if name.endswith("_total") else "gauge", text)
        for name, text in METRICS.items()
    ]
    text = (
        "# Metrics\n\n`goldseam serve` answers them at `/metrics` in the Prometheus text format;"
        " in a program, `goldseam.telemetry.signals.signals` holds them. They are of one process"
        " and begin at 0 with it. No label names a stream, a person or a payload.\n\n"
    )
    return text + _table(("Metric", "Kind", "Meaning"), rows)


def python_page() -> str:
    """Every public name of the package."""
    rows = [
        (f"`{name}`", f"`{_home(name)}`",
         CONSTANTS.get(name) or _first_line(getattr(goldseam, name)))
        for name in goldseam.__all__
    ]  # fmt: skip
    text = (
        "# Python\n\nWhat `from goldseam import ...` gives is the public API. `help(name)` says"
        " meanings, units, bounds and errors.\n\n"
    )
    methods = [
        (f"`{name}{_signature(method)}`", _first_line(method))
        for name, method in inspect.getmembers(goldseam.EventStore, inspect.isfunction)
        if not name.startswith("_")
    ]
    return (
        text
        + _table(("Name", "Module", "Meaning"), rows)
        + "\n## The methods of `EventStore`\n\n"
        + _table(("Method", "Meaning"), methods)
    )


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli_page,
    "errors.md": errors_page,
    "metrics.md": metrics_page,
    "python.md": python_page,
}


def error_classes() -> list[type[errors.GoldseamError]]:
    """Every error of the toolkit, in the order of its module."""
    return [
        kind
        for module in error_modules()
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, errors.GoldseamError)
        and kind.__module__ == module.__name__
    ]


def error_modules() -> list[ModuleType]:
    """``goldseam.errors``, then the ``errors`` of each package that has its own."""
    folder = Path(errors.__file__).parent
    packages = sorted(path.parent.name for path in folder.glob("*/errors.py"))
    parts = [name for name in packages if name != "backends"]
    return [errors, *(import_module(f"goldseam.{name}.errors") for name in parts)]


def _meaning(option: click.Option) -> str:
    given = option.default if isinstance(option.default, str | int) else None
    default = f"default {given}" if given not in (None, "", False) else ""
    kind = ", ".join(option.type.choices) if isinstance(option.type, click.Choice) else ""
    needed = "required" if option.required else ""
    text = (option.help or "").rstrip(".")
    return "; ".join(part for part in (text, kind, needed, default) if part)


def _first_line(thing: object) -> str:
    line = (inspect.getdoc(thing) or "").partition("\n\n")[0].replace("\n", " ")
    return re.sub(r":\w+:`", "`", line.replace("``", "`"))


def _home(name: str) -> str:
    return goldseam._HOME[name]


def _signature(method: Callable[..., object]) -> str:
    return f"({', '.join(list(inspect.signature(method).parameters)[1:])})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, [":---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n"
                   for line in lines)  # fmt: skip


def main() -> None:
    """Write every page anew."""
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
