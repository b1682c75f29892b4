"""A feed of changes beside plain tables, for systems that store state and no events.

Triggers write to it in the transaction of the change. Its positions are dense and in the order
of commits, so that a projection can follow it like a log. From the guide, "CQRS is not Event
Sourcing".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from goldseam.database.connection import Connection, Dialect
from goldseam.database.schema import split_script
from goldseam.database.statements import statements
from goldseam.errors import InvalidName
from goldseam.projections.tables import TABLE_NAME_LENGTH_MAX

_NAME = re.compile(rf"[a-z][a-z0-9_]{{0,{TABLE_NAME_LENGTH_MAX - 1}}}")
_TRIGGERS = {"inserted": "INSERT", "updated": "UPDATE", "deleted": "DELETE"}


def feed_of(table: str) -> str:
    """The name of the feed of ``table``."""
    return f"{_checked(table)}_changes"


def change_feed(table: str, key: str, columns: Sequence[str], dialect: Dialect) -> list[str]:
    """The statements that give ``table`` a feed: a table and triggers.

    On PostgreSQL writers of the table wait for one another until they commit: that is what puts
    positions in the order of commits. Without it a reader passes a change that commits late.

    Args:
        key: the column that names a row; changes of one row are one sequence.
        columns: what the feed shows of a row, as text; no more than readers need.

    Raises:
        InvalidName: a name cannot be used on every back-end.
    """
    names = {"table": _checked(table), "feed": feed_of(table), "key": _checked(key)}
    found = statements("goldseam.projections", dialect)
    made = split_script(_filled(found["change_feed"], names))
    for operation, verb in _TRIGGERS.items():
        row = "OLD" if operation == "deleted" else "NEW"
        pairs = ", ".join(f"'{_checked(one)}', {row}.{one}" for one in columns)
        names |= {"operation": operation, "verb": verb, "row": row, "pairs": pairs}
        made += split_script(_filled(found["change_feed_trigger"], names))
    return made


async def make_change_feed(
    connection: Connection, table: str, key: str, columns: Sequence[str]
) -> None:
    """Run :func:`change_feed`; harmless where the feed is there already."""
    for statement in change_feed(table, key, columns, connection.dialect):
        await connection.fetch(statement)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        rule = f"lower-case letters, digits and _, at most {TABLE_NAME_LENGTH_MAX}"
        raise InvalidName("table or column of a change feed", name, rule)
    return name


def _filled(sql: str, names: dict[str, str]) -> str:
    return re.sub(r"@(\w+)@", lambda match: names[match[1]], sql)
