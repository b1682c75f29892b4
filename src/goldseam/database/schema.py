"""Create and change the tables: numbered .sql files with checksums, applied once each.

``pre`` files may be applied while the old version still runs, ``post`` files only after it has
stopped; the file's name says which.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files
from typing import Literal, NamedTuple

from goldseam.database.connection import Connection, Dialect
from goldseam.errors import SchemaError
from goldseam.resilience.clock import Clock

_FILE = re.compile(r"(\d{4})_(pre|post)_(\w+)\.sql")
_APPLY_LOCK = 1735355493


class Migration(NamedTuple):
    """One numbered step of a database's tables."""

    number: int
    phase: Literal["pre", "post"]
    name: str
    sql: str
    checksum: str


class Step(NamedTuple):
    """A migration and what the database says about it."""

    migration: Migration
    state: Literal["applied", "pending", "changed"]


def migrations(package: str, dialect: Dialect) -> list[Migration]:
    """The migrations that ``package`` ships for ``dialect``, in order."""
    found = []
    for file in (files(package) / "sql" / "migrations" / dialect).iterdir():
        if match := _FILE.fullmatch(file.name):
            sql = file.read_text("utf-8")
            phase: Literal["pre", "post"] = "pre" if match[2] == "pre" else "post"
            checksum = sha256(sql.encode()).hexdigest()[:16]
            found.append(Migration(int(match[1]), phase, match[3], sql, checksum))
    return sorted(found)


async def plan(connection: Connection, package: str, part: str) -> list[Step]:
    """What is applied and what is pending; changes nothing.

    Raises:
        SchemaError: the database is newer than this version of goldseam.
    """
    shipped = migrations(package, connection.dialect)
    applied = await _applied(connection, part)
    unknown = sorted(set(applied) - {one.number for one in shipped})
    if unknown:
        raise SchemaError(
            f"the database has migration(s) {unknown} of {part!r} that this version does not "
            "know; run a newer goldseam"
        )
    return [Step(one, _state(one, applied.get(one.number))) for one in shipped]


async def apply(connection: Connection, package: str, part: str, clock: Clock) -> list[Migration]:
    """Apply what is pending, inside the caller's transaction; returns what was applied.

    Raises:
        SchemaError: a file that is already applied has changed since.
    """
    if connection.dialect == "postgresql":
        await connection.fetch("SELECT pg_advisory_xact_lock(:key)", {"key": _APPLY_LOCK})
    await connection.fetch(_JOURNAL[connection.dialect])
    steps = await plan(connection, package, part)
    _refuse_changed(steps, part)
    done = []
    for step in steps:
        if step.state == "pending":
            await _apply_one(connection, part, step.migration, clock)
            done.append(step.migration)
    return done


async def check(connection: Connection, package: str, part: str) -> None:
    """Whether the tables are exactly what this version needs.

    Raises:
        SchemaError: something is missing or changed.
    """
    steps = await plan(connection, package, part)
    _refuse_changed(steps, part)
    pending = [f"{s.migration.number:04}_{s.migration.name}" for s in steps if s.state == "pending"]
    if pending:
        raise SchemaError(
            f"the {part} needs migration(s) {', '.join(pending)}; run `goldseam store apply`"
        )


def _refuse_changed(steps: Sequence[Step], part: str) -> None:
    changed = [s.migration.name for s in steps if s.state == "changed"]
    if changed:
        raise SchemaError(
            f"applied migration(s) {', '.join(changed)} of {part!r} differ from the files of this "
            "version; install the version that applied them, or restore the files"
        )


def _state(one: Migration, checksum: str | None) -> Literal["applied", "pending", "changed"]:
    if checksum is None:
        return "pending"
    return "applied" if checksum == one.checksum else "changed"


async def _applied(connection: Connection, part: str) -> dict[int, str]:
    exists = await connection.fetch(_JOURNAL_EXISTS[connection.dialect])
    if not exists or not exists[0][0]:
        return {}
    rows = await connection.fetch(
        "SELECT number, checksum FROM goldseam_migrations WHERE part = :part", {"part": part}
    )
    return {int(number): str(checksum) for number, checksum in rows}


async def _apply_one(connection: Connection, part: str, one: Migration, clock: Clock) -> None:
    sql = one.sql
    if connection.dialect == "postgresql":
        # Functions name their tables with their schema: a caller's search_path must not matter.
        schema = (await connection.fetch("SELECT quote_ident(current_schema())"))[0][0]
        sql = sql.replace("@schema@", schema)
    for statement in split_script(sql):
        await connection.fetch(statement)
    await connection.fetch(
        "INSERT INTO goldseam_migrations (part, number, name, checksum, applied_us)"
        " VALUES (:part, :number, :name, :checksum, :now)",
        {
            "part": part,
            "number": one.number,
            "name": one.name,
            "checksum": one.checksum,
            "now": clock.now_us(),
        },
    )


def split_script(sql: str) -> list[str]:
    """The statements of a script; bodies between $$ or BEGIN and END; stay whole."""
    statements: list[str] = []
    current: list[str] = []
    in_body = False
    for line in sql.splitlines():
        bare = line.strip()
        if not current and (not bare or bare.startswith("--")):
            continue
        current.append(line)
        if bare.count("$$") % 2 == 1:
            in_body = not in_body
        elif bare == "BEGIN" and "$$" not in "".join(current):
            in_body = True
        if in_body and bare == "END;" and "$$" not in "".join(current):
            in_body = False
        if bare.endswith(";") and not in_body:
            statements.append("\n".join(current).rstrip().rstrip(";"))
            current = []
    if "".join(current).strip():
        statements.append("\n".join(current))
    return [f"{s};" if s.rstrip().endswith("END") and "TRIGGER" in s else s for s in statements]


_JOURNAL: dict[Dialect, str] = {
    "sqlite": (
        "CREATE TABLE IF NOT EXISTS goldseam_migrations (part TEXT NOT NULL, number INTEGER NOT "
        "NULL, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_us INTEGER NOT NULL, "
        "PRIMARY KEY (part, number)) STRICT"
    ),
    "postgresql": (
        "CREATE TABLE IF NOT EXISTS goldseam_migrations (part text NOT NULL, number integer NOT "
        "NULL, name text NOT NULL, checksum text NOT NULL, applied_us bigint NOT NULL, "
        "PRIMARY KEY (part, number))"
    ),
}

_JOURNAL_EXISTS: dict[Dialect, str] = {
    "sqlite": "SELECT count(*) FROM sqlite_master WHERE name = 'goldseam_migrations'",
    "postgresql": "SELECT to_regclass('goldseam_migrations') IS NOT NULL",
}
