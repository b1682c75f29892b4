"""The reference pages say what the code says: each command, name, error and metric is there."""

from __future__ import annotations

import subprocess
import sys

import pytest

import goldseam
from goldseam.telemetry.signals import METRICS
from tests.docs.reference import FOLDER, PAGES, commands, error_classes


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_is_what_the_code_says(name: str) -> None:
    """To mend it: python -m tests.docs.reference."""
    assert PAGES[name]() == (FOLDER / name).read_text("utf-8")


def test_nothing_public_is_missing() -> None:
    """Each command, option, public name, error class and metric is named on its page."""
    page = {name: (FOLDER / name).read_text("utf-8") for name in PAGES}
    paths = [context.command_path for context, _ in commands()]
    missing = [path for path in paths if f"## `{path}" not in page["cli.md"]]
    missing += [name for name in goldseam.__all__ if f"`{name}`" not in page["python.md"]]
    missing += [k.__name__ for k in error_classes() if f"`{k.__name__}`" not in page["errors.md"]]
    missing += [name for name in METRICS if f"`{name}`" not in page["metrics.md"]]

    assert [] == missing
    assert (20, 20, 20) < (len(paths), len(goldseam.__all__), len(METRICS))


def test_every_failure_an_error_names_has_its_page() -> None:
    """No link of the errors page leads nowhere."""
    slugs = {kind.failure for kind in error_classes() if kind.failure}
    pages = FOLDER.parent / "failures"

    assert [] == [s for s in sorted(slugs) if not (pages / f"{s.replace('/', '-')}.md").is_file()]


@pytest.mark.parametrize("noun", ["store", "stream", "doctor"])
def test_help_runs_as_a_user_types_it(noun: str) -> None:
    """The help of the real program names every option that the page names."""
    page = (FOLDER / "cli.md").read_text("utf-8")
    for context, command in commands():
        words = context.command_path.split()[1:]
        if words[0] != noun:
            continue
        done = subprocess.run(
            [sys.executable, "-m", "goldseam", *words, "--help"],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        options = {option for one in command.params for option in one.opts if option[:2] == "--"}
        assert options
        assert set() == {one for one in options if one not in done.stdout or one not in page}
