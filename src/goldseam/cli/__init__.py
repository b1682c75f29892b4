"""The ``goldseam`` command: a noun, then a verb. Each noun is loaded when it is called for."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        from goldseam.cli.nouns import cli
    except ModuleNotFoundError as missing:
        if missing.name != "click":
            raise
        sys.stderr.write('the command line needs click; run: pip install "goldseam[cli]"\n')
        sys.exit(2)
    cli(prog_name="goldseam")
