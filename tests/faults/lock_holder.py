"""A program: takes a SQLite file's write lock, says so, and gives it back when it gets a line."""

from __future__ import annotations

import sqlite3
import sys


def main() -> None:
    """Hold the lock in between."""
    connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
    connection.execute("BEGIN IMMEDIATE")
    print("locked", flush=True)
    sys.stdin.readline()
    connection.execute("ROLLBACK")
    connection.close()


if __name__ == "__main__":
    main()
