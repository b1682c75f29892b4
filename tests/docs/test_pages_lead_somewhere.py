"""The walk, the how-tos and the decisions point at what is there: files, pages, commands."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from goldseam.cli.nouns import cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "WALK.md",
    *sorted(ROOT.glob("examples/*/README.md")),
    *sorted(path for path in ROOT.glob("docs/**/*.md") if path.parent.name != "failures"),
]
TYPED = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "src/goldseam/governance/runbooks").glob("*.md")),
]
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
CODE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"^ *```(?:sh)?\n(.*?)^ *```$|`(goldseam [^`\n]+)`", re.MULTILINE | re.DOTALL)


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=map(_name, PAGES))
def test_every_link_leads_somewhere(page: Path) -> None:
    """A file or folder of this repository."""
    links = LINK.findall(CODE.sub("", page.read_text("utf-8")))
    assert [] == [link for link in links if not (page.parent / link).exists()]


def commands(text: str) -> list[str]:
    """What a reader would type, from code blocks and code in the text."""
    found = []
    for block, inline in SHELL.findall(text):
        for line in (block or inline).splitlines():
            words = line.strip()
            if words.startswith("goldseam "):
                found.append(words.partition(" #")[0].rstrip("\\ "))
    return found


def wrong_with(line: str) -> str | None:
    """Why a command line would be a usage error; None if its command and options are there."""
    command: click.Command = cli
    words = line.split()[1:]
    while words and isinstance(command, click.Group):
        if not re.fullmatch(r"[a-z][a-z-]*", words[0]):
            return None  # --help, or a list of alternatives, as in `goldseam store plan|apply`
        found = command.get_command(click.Context(command), words[0])
        if found is None:
            return f"{line}: there is no {words[0]}"
        command, words = found, words[1:]
    known = {name for one in command.params for name in one.opts + one.secondary_opts}
    options = [word.partition("=")[0].rstrip(",.;]") for word in words if word.startswith("--")]
    missing = [one for one in options if one not in known | {"--help", "--version"}]
    return f"{line}: no {', '.join(missing)}" if missing else None


@pytest.mark.parametrize("page", [*PAGES, *TYPED], ids=_name)
def test_every_command_can_be_typed(page: Path) -> None:
    """Nouns, verbs and options exist, so nobody learns a command that is none."""
    found = [wrong_with(line) for line in commands(page.read_text("utf-8"))]
    assert [] == [words for words in found if words]


def test_control_a_command_that_is_none_is_found() -> None:
    """Misspelled verbs and options are told."""
    assert wrong_with("goldseam broker judge --app a:b")
    assert wrong_with("goldseam broker check --create")
    assert wrong_with("goldseam ledger --app a:b")
    assert wrong_with("goldseam broker check --app a:b") is None
