"""A sample of the real store in which every stored event type and version is represented."""

from __future__ import annotations

from typing import Final, NamedTuple

from goldseam.database.connection import Connection, Row
from goldseam.database.statements import statements

NEWEST_OF_EACH: Final = 100
"""Newest events of each stored type and version, unless the caller says otherwise."""

NEWEST: Final = 1_000
"""Newest events of the log: what readers meet first after the deployment."""

SPREAD: Final = 1_000
"""Events spread evenly over the log: rules of one version may have drifted over the years."""

_TENANT: Final = 10


class StoredType(NamedTuple):
    """One event type and version as the store has it."""

    name: str
    version: int
    events: int
    first: int
    """The lowest position."""
    last: int
    """The highest."""


class Sample(NamedTuple):
    """What is stored, and some of it."""

    types: list[StoredType]
    rows: dict[str, list[Row]]
    """Rows of each tenant in log order: what goldseam.store.decode takes, then the tenant."""

    @property
    def size(self) -> int:
        """How many events it has."""
        return sum(len(rows) for rows in self.rows.values())


async def sample(connection: Connection, newest_of_each: int = NEWEST_OF_EACH) -> Sample:
    """Take a sample. It counts the log by type first, in the database: one pass over the log."""
    sql = statements("goldseam.governance", connection.dialect)
    types = [StoredType(*row) for row in await connection.fetch(sql["stored_types"], {})]
    found: dict[int, Row] = {}
    for one in types:
        wanted = {
            "type": one.name, "type_version": one.version,
            "first": one.first, "last": one.last, "limit": newest_of_each,
        }  # fmt: skip
        _keep(found, await connection.fetch(sql["newest_of_type"], wanted))
    if types:
        head = max(one.last for one in types)
        _keep(found, await connection.fetch(sql["newest"], {"limit": NEWEST}))
        wanted = {"first": 1, "step": -(-head // SPREAD), "last": head}
        _keep(found, await connection.fetch(sql["spread"], wanted))
    rows: dict[str, list[Row]] = {}
    for _, row in sorted(found.items()):
        rows.setdefault(row[_TENANT], []).append(row)
    return Sample(types, rows)


def _keep(found: dict[int, Row], rows: list[Row]) -> None:
    found.update((row[0], row) for row in rows)
