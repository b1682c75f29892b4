"""A PostgreSQL of a test's own, to be broken: its data goes with the test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.conftest import MISSING
from tools import postgres_binaries
from tools.postgres_server import PostgresServer


@contextmanager
def own_server() -> Iterator[PostgresServer]:
    """A started server; stopped and deleted at the end, whatever state it is in."""
    programs = postgres_binaries.find()
    if programs is None:
        pytest.skip(MISSING + "PostgreSQL's programs are not installed; run: make services")
    root = Path(tempfile.mkdtemp(prefix="goldseam-fault-"))
    root.chmod(0o755)  # the server's user must be able to enter it
    server = PostgresServer(root, programs)
    try:
        server.start()
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(server.home, ignore_errors=True)
        shutil.rmtree(root, ignore_errors=True)


def run(server: PostgresServer, sql: str, database: str = "postgres") -> None:
    """One statement in a transaction of its own."""
    url = server.url().rpartition("/")[0] + f"/{database}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.encode())
