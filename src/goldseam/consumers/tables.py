"""A consumer's own tables: declared with the consumer, made when they are missing."""

from __future__ import annotations

import re
from collections.abc import Mapping

from goldseam.consumers.errors import ConsumerError
from goldseam.database.connection import Connection, Dialect
from goldseam.database.schema import split_script
from goldseam.database.statements import statements
from goldseam.errors import InvalidName

TABLE_NAME_LENGTH_MAX = 55
"""With the name of an index behind it, a name still fits PostgreSQL's 63."""

_TABLE = re.compile(r"CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?\{(\w+)\}", re.IGNORECASE)
_NAME = re.compile(rf"[a-z][a-z0-9_]{{0,{TABLE_NAME_LENGTH_MAX - 1}}}")
_STATEMENTS_REMEMBERED_MAX = 1_000


class ConsumerTables:
    """The tables that one consumer declares for one dialect; none is fine.

    Raises:
        ConsumerError: nothing is declared for the dialect.
        InvalidName: a table's name cannot be used on every back-end.
    """

    def __init__(
        self, consumer: str, declared: str | Mapping[Dialect, str], dialect: Dialect
    ) -> None:
        script = declared if isinstance(declared, str) else declared.get(dialect)
        if script is None:
            raise ConsumerError(
                f"consumer {consumer!r} declares no tables for {dialect}; add "
                f"tables = {{..., {dialect!r}: '...'}}"
            )
        self._script = script
        self.names = list(dict.fromkeys(_TABLE.findall(script)))
        for name in self.names:
            if not _NAME.fullmatch(name):
                rule = f"lower-case letters, digits and _, at most {TABLE_NAME_LENGTH_MAX}"
                raise InvalidName("table of a consumer", name, rule)
        self._placeholder = re.compile(r"\{(" + "|".join(self.names or ["(?!)"]) + r")\}")
        self._named: dict[str, str] = {}

    def named(self, sql: str) -> str:
        """``sql`` with each ``{table}`` as the table's name."""
        found = self._named.get(sql)
        if found is None:
            found = self._placeholder.sub(r"\1", sql)
            if len(self._named) < _STATEMENTS_REMEMBERED_MAX:
                self._named[sql] = found
        return found

    async def create(self, connection: Connection) -> bool:
        """Make the tables unless they are there; whether they were made."""
        exists = statements("goldseam.consumers", connection.dialect)["table_exists"]
        for name in self.names:
            if (await connection.fetch(exists, {"name": name}))[0][0]:
                return False
        for statement in split_script(self.named(self._script)):
            await connection.fetch(statement)
        return True
