"""A projection's tables, once for each colour, and the views that name the live one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256

from goldseam.database.connection import Connection, Dialect
from goldseam.database.schema import split_script
from goldseam.errors import InvalidName, ProjectionError

TABLE_NAME_LENGTH_MAX = 40
"""With the colour and the name of an index behind it, a name still fits PostgreSQL's 63."""

COLOURS = (1, 2)

_TABLE = re.compile(r"CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?\{(\w+)\}", re.IGNORECASE)
_NAME = re.compile(rf"[a-z][a-z0-9_]{{0,{TABLE_NAME_LENGTH_MAX - 1}}}")
_STATEMENTS_REMEMBERED_MAX = 1_000


def other(colour: int) -> int:
    """The colour that is not ``colour``."""
    return COLOURS[1] if colour == COLOURS[0] else COLOURS[0]


class Tables:
    """The tables that one projection declares for one dialect.

    Raises:
        ProjectionError: nothing is declared for the dialect.
        InvalidName: a table's name cannot be used on every back-end.
    """

    def __init__(
        self, projection: str, declared: str | Mapping[Dialect, str], dialect: Dialect
    ) -> None:
        script = declared if isinstance(declared, str) else declared.get(dialect)
        if script is None:
            raise ProjectionError(
                f"projection {projection!r} declares no tables for {dialect}; add "
                f"tables = {{..., {dialect!r}: '...'}}"
            )
        self._script = script
        self.names = list(dict.fromkeys(_TABLE.findall(script)))
        for name in self.names:
            if not _NAME.fullmatch(name):
                rule = f"lower-case letters, digits and _, at most {TABLE_NAME_LENGTH_MAX}"
                raise InvalidName("table of a projection", name, rule)
        self.code_hash = sha256(" ".join(script.split()).encode()).hexdigest()[:16]
        self._placeholder = re.compile(r"\{(" + "|".join(self.names or ["(?!)"]) + r")\}")
        self._named: dict[tuple[str, int], str] = {}

    def named(self, sql: str, colour: int) -> str:
        """``sql`` with each ``{table}`` as the table of ``colour``."""
        found = self._named.get((sql, colour))
        if found is None:
            found = self._placeholder.sub(lambda match: f"{match[1]}__{colour}", sql)
            if len(self._named) < _STATEMENTS_REMEMBERED_MAX:
                self._named[sql, colour] = found
        return found

    async def create(self, connection: Connection, colour: int) -> None:
        """Make the empty tables of ``colour``."""
        for statement in split_script(self.named(self._script, colour)):
            await connection.fetch(statement)

    async def drop(self, connection: Connection, colour: int) -> None:
        """Remove the tables of ``colour``, whichever of them are there."""
        for name in reversed(self.names):
            await connection.fetch(f"DROP TABLE IF EXISTS {name}__{colour}")

    async def show(self, connection: Connection, colour: int) -> None:
        """Let the plain names mean the tables of ``colour``."""
        await self.hide(connection)
        for name in self.names:
            table = f"{name}__{colour}"  # a checked name and a number
            await connection.fetch(f"CREATE VIEW {name} AS SELECT * FROM {table}")  # noqa: S608

    async def hide(self, connection: Connection) -> None:
        """Take the plain names away."""
        for name in self.names:
            await connection.fetch(f"DROP VIEW IF EXISTS {name}")

    def shared_lock(self, dialect: Dialect) -> str | None:
        """What a reader runs before its snapshot so that the names keep their meaning.

        PostgreSQL looks names up in the newest catalogue, not in the transaction's snapshot: a
        swap between a reader's check and its query would show it the other colour as it was
        before. SQLite keeps its schema in the snapshot.
        """
        if dialect == "sqlite" or not self.names:
            return None
        return f"LOCK TABLE {', '.join(self.names)} IN ACCESS SHARE MODE"
