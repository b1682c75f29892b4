"""``python -m examples.bank serve sqlite:///bank.db``: the bank on this machine."""

from __future__ import annotations

import argparse

from examples.bank.app import create_bank
from goldseam.http.server import serve


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m examples.bank", description=__doc__)
    parser.add_argument("verb", choices=["serve"])
    parser.add_argument("store", help="sqlite:///bank.db or postgresql://...")
    parser.add_argument("--port", type=int, default=8400)
    options = parser.parse_args()
    serve(create_bank(options.store), "127.0.0.1", options.port, tokens=())


main()
