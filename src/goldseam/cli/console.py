"""What every command shares: the store's URL, JSON or text, errors as exit codes."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

import click

from goldseam.broker.errors import BrokerUnreachable
from goldseam.errors import (
    Corrupt,
    GoldseamError,
    InvalidInput,
    MissingExtra,
    ReadModelBehind,
    Rejected,
    SchemaError,
    StoreUnavailable,
)
from goldseam.runtime.settings import STORE_VARIABLE, store_url

OK, PROBLEMS, USAGE, UNREACHABLE, REFUSED = 0, 1, 2, 3, 4

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def store_option(function: F) -> F:
    """``--store URL``, required here or as GOLDSEAM_STORE."""
    return click.option(
        "--store", "store", metavar="URL", help=f"The store; else {STORE_VARIABLE}."
    )(function)


def json_option(function: F) -> F:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")(
        function
    )


def required_store(given: str | None) -> str:
    """The store's URL, or a usage error that says how to give one."""
    url = store_url(given)
    if url is None:
        raise click.UsageError(f"no store: give --store sqlite:///file.db or set {STORE_VARIABLE}")
    return url


def exit_code(error: GoldseamError) -> int:
    """The exit code that tells a script what kind of trouble it is."""
    if isinstance(error, StoreUnavailable | ReadModelBehind | BrokerUnreachable):
        return UNREACHABLE
    if isinstance(error, Corrupt | SchemaError):
        return PROBLEMS
    if isinstance(error, Rejected):
        return REFUSED
    return USAGE if isinstance(error, InvalidInput | MissingExtra) else PROBLEMS


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run ``coroutine``; a goldseam error becomes a line on stderr and an exit code."""
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)  # our own line says it
    try:
        return asyncio.run(coroutine)
    except GoldseamError as error:
        click.echo(f"goldseam: {error}", err=True)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(130)


def show_json(value: object) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def show_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A plain table, its columns as wide as their contents."""
    table = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
