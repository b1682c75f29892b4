"""Every place where goldseam keeps bytes: the files of a database, and the rows of its tables."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from goldseam.database.connection import Connection, Database
from goldseam.database.statements import statements
from goldseam.forgetting.progress import PACKAGE

ROWS_PAGE = 1_000
"""Rows fetched at once on SQLite."""

BLOCKS_PAGE = 128
"""Blocks of 8 kB whose rows are fetched at once on PostgreSQL."""

SEPARATOR = b"\0\0\0\0\0\0\0\0"
"""Between two values, so that no needle is found across them."""

SMALLEST_ROWID = -(2**63)

WAL_PAGE_BYTES = 8_192
WAL_HEADER_BYTES = 24
WAL_FIRST_HEADER_BYTES = 40
"""As PostgreSQL is built everywhere; built otherwise, only the plain way of reading is of use."""

_WAL_FILE = re.compile("[0-9A-F]{24}")

_SQLITE_SUFFIXES = ("", "-wal", "-shm", "-journal")


class Files(NamedTuple):
    """The files of one database, and why there are none to be seen if there are none."""

    paths: list[Path]
    missing: str = ""


async def files_of(database: Database, data_directory: Path | None) -> Files:
    """The files of ``database`` that this process can read.

    Args:
        data_directory: PostgreSQL's, where the server does not say it.
    """
    sql = statements(PACKAGE, database.dialect)
    if database.dialect == "sqlite":
        rows = await database.fetch(sql["main_file"])
        name = str(rows[0][0]) if rows else ""
        if not name:
            return Files([], "the SQLite database is in memory")
        paths = [Path(name + suffix) for suffix in _SQLITE_SUFFIXES]
        return Files([path for path in paths if path.is_file()])
    return await _files_of_server(database, data_directory)


async def _files_of_server(database: Database, data_directory: Path | None) -> Files:
    sql = statements(PACKAGE, database.dialect)
    if data_directory is None:
        try:
            data_directory = Path(str((await database.fetch(sql["data_directory"]))[0][0]))
        except Exception:  # a right that not every role has
            return Files([], "the server does not say where its data directory is")
    if not os.access(data_directory, os.R_OK | os.X_OK) or not data_directory.is_dir():
        return Files([], "PostgreSQL's data directory cannot be read from this machine and user")
    try:
        # What is in the server's memory only is on the disk then, and searched.
        await database.fetch(sql["checkpoint"])
    except Exception:
        return Files(list(files_below(data_directory)), "a checkpoint was refused")
    return Files(list(files_below(data_directory)))


def files_below(path: Path) -> Iterator[Path]:
    """The file ``path``, or all regular files below the folder ``path``."""
    if path.is_file():
        yield path
        return
    for folder, _, names in os.walk(path, followlinks=True):
        for name in sorted(names):
            one = Path(folder) / name
            try:
                if stat.S_ISREG(one.stat().st_mode):
                    yield one
            except FileNotFoundError:
                continue


def ways_to_read(path: Path, file: BinaryIO) -> Iterator[Callable[[int], bytes]]:
    """How to read ``file``: as it is, and a WAL file of PostgreSQL without its page headers too.

    A value that stands across two pages of a WAL file is cut by a header: about 3 of 1,000 keys.
    """
    yield file.read
    if path.parent.name == "pg_wal" and _WAL_FILE.fullmatch(path.name):
        file.seek(0)
        yield partial(_without_headers, file)


def _without_headers(file: BinaryIO, count: int) -> bytes:
    """The next pages, of about ``count`` bytes, as if there were none."""
    first = file.tell() == 0
    data = file.read(max(1, count // WAL_PAGE_BYTES) * WAL_PAGE_BYTES)
    heads = [WAL_HEADER_BYTES] * -(-len(data) // WAL_PAGE_BYTES)
    if first and heads:
        heads[0] = WAL_FIRST_HEADER_BYTES
    return b"".join(
        data[n * WAL_PAGE_BYTES + head : (n + 1) * WAL_PAGE_BYTES] for n, head in enumerate(heads)
    )


async def tables_of(database: Database) -> list[str]:
    """The tables of the database or schema, by name: goldseam's and those of read models."""
    rows = await database.fetch(statements(PACKAGE, database.dialect)["tables"])
    return sorted(str(row[0]) for row in rows)


async def rows_of(database: Database, table: str) -> AsyncIterator[list[bytes]]:
    """The rows of ``table``, each as the bytes of its values; values are as SQL gives them.

    What a server compresses or splits over pages is whole here.
    """
    quoted = '"' + table.replace('"', '""') + '"'
    if database.dialect == "sqlite":
        pages = _sqlite_pages(database, quoted)
    else:
        pages = _postgres_pages(database, quoted)
    async for page in pages:
        yield [SEPARATOR.join(map(_bytes, row)) for row in page]


async def _sqlite_pages(database: Database, quoted: str) -> AsyncIterator[list[tuple[Any, ...]]]:
    where = {"name": quoted[1:-1].replace('""', '"')}
    found = await database.fetch(statements(PACKAGE, database.dialect)["has_no_rowid"], where)
    if found and found[0][0]:
        offset = 0  # small tables only: the log itself has row numbers
        sql = f"SELECT * FROM {quoted} LIMIT :limit OFFSET :offset"  # noqa: S608 -- quoted
        while page := await database.fetch(sql, {"limit": ROWS_PAGE, "offset": offset}):
            yield page
            offset += len(page)
        return
    after = SMALLEST_ROWID
    sql = (
        f"SELECT rowid, * FROM {quoted} "  # noqa: S608 -- quoted
        "WHERE rowid > :after ORDER BY rowid LIMIT :limit"
    )
    while page := await database.fetch(sql, {"limit": ROWS_PAGE, "after": after}):
        yield page
        after = int(page[-1][0])


async def _postgres_pages(database: Database, quoted: str) -> AsyncIterator[list[tuple[Any, ...]]]:
    sql = statements(PACKAGE, database.dialect)
    blocks = int((await database.fetch(sql["blocks"], {"name": quoted}))[0][0])
    select = (
        f"SELECT * FROM {quoted} "  # noqa: S608 -- quoted
        "WHERE ctid >= CAST(:first AS tid) AND ctid < CAST(:last AS tid)"
    )
    for first in range(0, blocks + 1, BLOCKS_PAGE):
        window = {"first": f"({first},0)", "last": f"({first + BLOCKS_PAGE},0)"}

        async def operation(
            connection: Connection, window: dict[str, str] = window
        ) -> list[tuple[Any, ...]]:
            return await connection.fetch(select, window)

        page = await database.read_one(operation)
        if page:
            yield page


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    return b"" if value is None else str(value).encode("utf-8", "surrogateescape")
