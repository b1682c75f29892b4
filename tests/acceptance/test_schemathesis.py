"""Schemathesis against the OpenAPI of a running server: every check, on both stores.

``positive_data_acceptance`` is told that preconditions (400, 412, 422, 428) are no contradiction
to the schema: OpenAPI cannot say that a header must match the state of a stream.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.served import serve

CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "400", "404", "409", "412", "422", "428"]
"""


def fuzz(store: str, folder: Path, examples: int, seed: int) -> subprocess.CompletedProcess[str]:
    (folder / "schemathesis.toml").write_text(CONFIG)
    with serve("--store", store) as port:
        command = [sys.executable, "-m", "schemathesis.cli", "run"]
        command += [f"http://127.0.0.1:{port}/openapi.json", "--max-examples", str(examples)]
        command += ["--phases", "coverage,fuzzing", "--seed", str(seed), "--no-color"]
        command += ["--exclude-path", "/v1/follow"]  # its answer has no end
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=folder, timeout=1500
        )


def test_the_openapi_holds(store_url: str, tmp_path: Path) -> None:
    """A modest number of examples for each operation finds nothing."""
    done = fuzz(store_url, tmp_path, 15, 1)

    assert 0 == done.returncode, done.stdout[-4000:]
    assert "No issues found" in done.stdout or "generated" in done.stdout


@pytest.mark.soak
def test_the_openapi_holds_for_many_examples(store_url: str, tmp_path: Path) -> None:
    """200 examples for each operation find nothing."""
    done = fuzz(store_url, tmp_path, 200, 2)

    assert 0 == done.returncode, done.stdout[-4000:]
