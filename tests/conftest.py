"""Stores for the tests: fresh SQLite files and PostgreSQL schemas; a count of what is missing."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
URL_VARIABLE = "GOLDSEAM_TEST_POSTGRES"
URL_FILE = ROOT / ".services" / "postgres.url"
MISSING = "missing part: "
"""What a skip's reason begins with when a server, not the test, is the reason."""

CONNECT_SECONDS_MAX = 5
DROP_SECONDS_MAX = 10
"""How long a schema waits for locks that a test left behind before their holders are ended."""

# No deadline: a test never passes or fails by the clock. A failure prints how to repeat it.
settings.register_profile("goldseam", deadline=None, print_blob=True)
settings.load_profile("goldseam")


def _postgres() -> tuple[str | None, str]:
    """The URL of the tests' PostgreSQL, or None and why not."""
    url = os.environ.get(URL_VARIABLE)
    if not url:
        if not URL_FILE.is_file():
            return None, "PostgreSQL is not started; run: make services"
        url = URL_FILE.read_text(encoding="utf-8").strip()
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_SECONDS_MAX) as connection:
            version = connection.info.server_version
    except psycopg.Error as error:
        return None, f"PostgreSQL at {url} does not answer ({error}); run: make services"
    return url, f"PostgreSQL {version // 10_000}.{version % 10_000} at {url}"


def pytest_report_header() -> list[str]:
    """Say before the first test what the run can reach."""
    url, words = _postgres()
    return [f"goldseam: SQLite is here; {words if url else 'MISSING: ' + words}"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count the tests that did not run for a missing part: never a silent gap."""
    counts: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
        reason = reason.removeprefix("Skipped: ")
        if reason.startswith(MISSING):
            part = reason.removeprefix(MISSING)
            counts[part] = counts.get(part, 0) + 1
    if not counts:
        terminalreporter.write_line("missing parts: none")
        return
    terminalreporter.section("missing parts", red=True, bold=True)
    for part, count in sorted(counts.items()):
        terminalreporter.write_line(f"missing parts: {count} tests did not run: {part}", red=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever asks for a PostgreSQL fixture can be chosen with `-m postgres`."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        if "postgres_url" in names or "postgres_schema_url" in names:
            item.add_marker(pytest.mark.postgres)


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """The URL of a real PostgreSQL, whose default database the tests may fill with schemas."""
    url, words = _postgres()
    if url is None:
        pytest.skip(MISSING + words)
    return url


@pytest.fixture
def postgres_schema_url(postgres_url: str) -> Iterator[str]:
    """A URL whose `?schema=` names a schema that is new and lives as long as the test."""
    schema = f"x_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    yield f"{postgres_url}?schema={schema}"
    _drop_schema(postgres_url, schema)


def _drop_schema(url: str, schema: str) -> None:
    drop = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"SET lock_timeout = '{DROP_SECONDS_MAX}s'")
        try:
            connection.execute(drop)
        except psycopg.errors.LockNotAvailable:
            connection.execute(
                "SELECT pg_terminate_backend(l.pid) FROM pg_locks l"
                " JOIN pg_class c ON c.oid = l.relation"
                " JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE n.nspname = %s AND l.pid <> pg_backend_pid()",
                (schema,),
            )
            connection.execute(drop)


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)],
)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return str(request.getfixturevalue("postgres_schema_url"))
