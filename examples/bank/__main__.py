"""``python -m examples.bank serve sqlite:///bank.db``: the bank on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path

from examples.bank.app import create_bank
from goldseam.http.server import serve


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m examples.bank", description=__doc__)
    parser.add_argument("verb", choices=["serve"])
    parser.add_argument("store", help="sqlite:///bank.db or postgresql://...")
    parser.add_argument("--port", type=int, default=8400)
    parser.add_argument("--keys", help="where keys are stored; keys.db beside the store")
    parser.add_argument("--key-provider", help="who wraps them; the folder epochs beside the store")
    options = parser.parse_args()
    beside = _beside(options.store)
    keys = options.keys or f"sqlite:///{beside}/keys.db"
    provider = options.key_provider or f"file://{beside.absolute()}/epochs"
    serve(create_bank(options.store, keys, provider), "127.0.0.1", options.port, tokens=())


def _beside(store: str) -> Path:
    """The folder of a SQLite store; of any other, this one. A real bank keeps keys elsewhere."""
    scheme, _, path = store.partition(":///")
    return Path(path).parent if scheme == "sqlite" else Path()


main()
