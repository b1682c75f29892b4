"""A program that does everything wrong, for the control runs: what does the ledger say then?

`torn` stores one append in two transactions and dies between them; `early` answers before it
commits and dies in between; `again` gives new ids to what it sends a second time.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from tests.crashes.outside import execute, query, transaction
from tests.faults.ledger import Reporter

TABLE = "naive_events"
INSERT = f"INSERT INTO {TABLE} (position, stream, version, payload) VALUES (?, 'parcel-1', ?, ?)"
MARKS = ["m.1", "m.2"]


def create(url: str) -> None:
    """The table of somebody who has not read about event stores."""
    query(
        url,
        f"CREATE TABLE {TABLE} (position BIGINT PRIMARY KEY, stream TEXT NOT NULL,"
        f" version BIGINT NOT NULL, payload {'BLOB' if url.startswith('sqlite') else 'BYTEA'})",
    )


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _payload(mark: str) -> bytes:
    return json.dumps({"mark": mark}).encode()


def main() -> None:
    """Append one append of two events, wrongly."""
    url, path, way = sys.argv[1:]
    reporter = Reporter(Path(path))
    reporter.tell("sent", name="m", stream="parcel-1", marks=MARKS, ids=["1", "2"])
    if way == "early":
        with transaction(url) as connection:
            for n, mark in enumerate(MARKS, 1):
                execute(connection, INSERT, n, n, _payload(mark))
            reporter.tell("acked", name="m", first=1, last=2)
            _die()
    for n, mark in enumerate(MARKS, 1):
        query(url, INSERT, n, n, _payload(mark))
        if way == "torn":
            _die()
    for n, mark in enumerate(MARKS, 3):
        query(url, INSERT, n, n, _payload(mark))
    reporter.tell("acked", name="m", first=1, last=2)


if __name__ == "__main__":
    main()
