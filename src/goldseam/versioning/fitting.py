"""Whether the fields of an event fit a schema; what does not is told without quoting a value."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from goldseam.database.connection import Connection
from goldseam.database.statements import statements
from goldseam.errors import MissingExtra
from goldseam.versioning.json_schema import canonical

_PACKAGE = "goldseam.versioning"
VALIDATORS_MAX = 1_000


class Misfit(NamedTuple):
    """Where an event breaks its schema, as a JSON path, and which rule."""

    path: str
    rule: str


def misfit(fields: Any, schemas: Sequence[dict[str, Any]]) -> Misfit | None:
    """What keeps ``fields`` from fitting the last of ``schemas``; None if they fit any of them.

    Raises:
        MissingExtra: the library that reads schemas is not installed.
    """
    errors: list[Any] = []
    for schema in schemas:
        errors = list(_validator(canonical(schema)).iter_errors(fields))
        if not errors:
            return None
    if not errors:
        return None
    worst = min(errors, key=lambda error: error.json_path)
    # The library's own text would quote the value.
    return Misfit(worst.json_path, str(worst.validator))


@lru_cache(VALIDATORS_MAX)
def _validator(body: bytes) -> Any:
    try:
        from jsonschema import Draft202012Validator
    except ImportError:
        raise MissingExtra("checking events against registered schemas", "schemas") from None
    return Draft202012Validator(msgspec.json.decode(body))


async def registered(connection: Connection, name: str) -> dict[int, dict[str, Any]]:
    """The schemas of the event type ``name`` by version, asked on a caller's own connection."""
    rows = await connection.fetch(
        statements(_PACKAGE, connection.dialect)["versions_of"], {"subject": name}
    )
    return {int(row[0]): msgspec.json.decode(row[3]) for row in rows if not row[4]}
