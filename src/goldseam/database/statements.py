"""SQL lives in .sql files under names; this reads them, once for each dialect."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from goldseam.database.connection import Dialect

_NAME = re.compile(r"^-- ([a-z_]+) --$", re.MULTILINE)
_FRAGMENT = re.compile(r"\{([a-z_]+)\}")


def parse_statements(text: str) -> dict[str, str]:
    """The statements of one file: ``-- name --`` on a line, then the statement."""
    parts = _NAME.split(text)[1:]
    return {
        name: body.strip().rstrip(";") for name, body in zip(parts[::2], parts[1::2], strict=True)
    }


@cache
def statements(package: str, dialect: Dialect) -> Mapping[str, str]:
    """All statements of ``package``: ``statements.sql`` overridden by ``<dialect>.sql``.

    A ``{name}`` inside a statement is replaced by the statement of that name.
    """
    folder = files(package) / "sql"
    found = parse_statements((folder / "statements.sql").read_text("utf-8"))
    override = folder / f"{dialect}.sql"
    if override.is_file():
        found |= parse_statements(override.read_text("utf-8"))
    return {name: _FRAGMENT.sub(lambda m: found[m[1]], body) for name, body in found.items()}
