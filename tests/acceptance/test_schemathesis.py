"""Schemathesis against the OpenAPI of a running server: every check, on both stores.

``positive_data_acceptance`` is told that preconditions (400, 412, 422, 428) are no contradiction
to the schema: OpenAPI cannot say that a header must match the state of a stream.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.served import serve
from tests.acceptance.test_serve import goldseam

ROOT = Path(__file__).resolve().parents[2]

CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "400", "404", "409", "412", "422", "428"]
"""

ONE_READ_MODEL = """
[parameters]
"path.name" = "balances"
"""

APPLICATION = """
from examples.bank.balances import Balances
from goldseam import Goldseam

bank = Goldseam({store!r}, projections=[Balances()])
"""


def fuzz(
    folder: Path, examples: int, seed: int, *served: str, config: str = CONFIG, secret: str = ""
) -> subprocess.CompletedProcess[str]:
    (folder / "schemathesis.toml").write_text(config)
    with serve(*served) as port:
        command = [sys.executable, "-m", "schemathesis.cli", "run"]
        command += [f"http://127.0.0.1:{port}/openapi.json", "--max-examples", str(examples)]
        command += ["--phases", "coverage,fuzzing", "--seed", str(seed), "--no-color"]
        command += ["--exclude-path", "/v1/follow"]  # its answer has no end
        command += ["-H", f"Authorization: Bearer {secret}"] if secret else []
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=folder, timeout=1500
        )


def guarded_bank(store: str, folder: Path) -> tuple[list[str], str]:
    """How to serve the bank with a token of its administrator, and the token."""
    (folder / "served_bank.py").write_text(APPLICATION.format(store=store))
    made = goldseam("serve", "--new-token", "ann", "--role", "admin")
    tokens = folder / "tokens"
    tokens.write_text(made.stdout)
    tokens.chmod(0o600)
    return ["--app", "served_bank:bank", "--tokens", str(tokens)], made.stderr.split()[-1]


def test_the_openapi_holds(store_url: str, tmp_path: Path) -> None:
    """A modest number of examples for each operation finds nothing."""
    done = fuzz(tmp_path, 15, 1, "--store", store_url)

    assert 0 == done.returncode, done.stdout[-4000:]
    assert "generated" in done.stdout


def test_the_openapi_holds_with_tokens_and_a_read_model(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With typed events, a real read model and authentication every check holds too."""
    served, secret = guarded_bank(store_url, tmp_path)
    path = [str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    done = fuzz(tmp_path, 15, 3, *served, config=CONFIG + ONE_READ_MODEL, secret=secret)

    assert 0 == done.returncode, done.stdout[-4000:]
    assert "generated" in done.stdout


@pytest.mark.soak
def test_the_openapi_holds_for_many_examples(store_url: str, tmp_path: Path) -> None:
    """200 examples for each operation find nothing."""
    done = fuzz(tmp_path, 200, 2, "--store", store_url)

    assert 0 == done.returncode, done.stdout[-4000:]
