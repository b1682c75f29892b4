"""events/technical-name: the litmus test keeps `UserRecordUpdated` out of the log."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FACTS = """\
from goldseam import event
from goldseam.events.registry import registry


@event
class {name}:
    user: str


print(*(known.name for known in registry))
"""


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("target", ["facts.py", "facts"])
def test_the_lint_refuses_a_technical_name(tmp_path: Path, target: str) -> None:
    """CI stops at the name, its line, and the question to ask."""
    (tmp_path / "facts.py").write_text(FACTS.format(name="UserRecordUpdated"), encoding="utf-8")

    done = run("-m", "goldseam", "events", "lint", target, cwd=tmp_path)

    assert 1 == done.returncode, done.stderr
    assert "facts.py:6: GS102 UserRecordUpdated: " in done.stdout
    assert "facts.py:6: GS103 UserRecordUpdated: " in done.stdout
    assert "Ask: why did it happen" in done.stdout


@pytest.mark.parametrize("target", ["facts.py", "facts"])
def test_the_lint_takes_the_business_name(tmp_path: Path, target: str) -> None:
    """The cure is a name that says what happened."""
    (tmp_path / "facts.py").write_text(FACTS.format(name="CustomerPlacedOrder"), encoding="utf-8")

    done = run("-m", "goldseam", "events", "lint", target, cwd=tmp_path)

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "GS" not in done.stdout


def test_control_without_the_lint_a_technical_name_is_registered_without_complaint(
    tmp_path: Path,
) -> None:
    """Control: nothing else stands between `UserRecordUpdated` and the log."""
    (tmp_path / "facts.py").write_text(FACTS.format(name="UserRecordUpdated"), encoding="utf-8")

    done = run("-W", "error", "facts.py", cwd=tmp_path)

    assert (0, "UserRecordUpdated\n", "") == (done.returncode, done.stdout, done.stderr)
