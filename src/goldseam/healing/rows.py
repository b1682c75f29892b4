"""What a projection's rows would be, tried out in a transaction that is always rolled back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NoReturn

import msgspec

from goldseam.database.connection import Connection
from goldseam.database.statements import statements
from goldseam.errors import GoldseamError
from goldseam.events.event import Recorded
from goldseam.healing.corrections import declared_in
from goldseam.healing.log import PACKAGE
from goldseam.healing.plan import Plan
from goldseam.healing.projecting import needs_reprojection
from goldseam.projections.checkpoint import live_of, load
from goldseam.projections.connection import ProjectionConnection
from goldseam.projections.hosted import HostedProjection
from goldseam.projections.transaction import run_handler
from goldseam.store.event_store import EventStore

ROWS_MAX = 10_000
"""Rows of one live table that are compared; larger tables are shown for the one stream alone."""

SCRATCH = 3
"""The colour of tables that exist in a rolled-back transaction only; live ones are 1 and 2."""

APPLIED, REPROJECTED, NOT_CONCERNED = "applied", "re-projected", "not concerned"
STREAM_ALONE = "applied, shown for this stream alone"

Table = tuple[list[str], list[tuple[Any, ...]]]
Shown = tuple[str, str, tuple["RowChange", ...], str]
"""A projection's name, how it takes the correction in, its rows, and why they cannot be shown."""


class RowChange(msgspec.Struct, frozen=True):
    """One row, before and after; None where there is none."""

    table: str
    columns: tuple[str, ...]
    before: tuple[Any, ...] | None
    after: tuple[Any, ...] | None

    def lines(self) -> list[str]:
        """The values that differ, behind the row's first column."""
        old, new = self.before, self.after
        row = old or new or ()
        where = f"{self.table} {self.columns[0]}={row[0]}" if row else self.table
        if old is None or new is None:
            values = ", ".join(f"{c}={v}" for c, v in zip(self.columns, row, strict=True))
            return [f"{where}: {'new row' if old is None else 'row goes'}: {values}"]
        both = zip(self.columns, old, new, strict=True)
        return [f"{where}: {column}: {a} -> {b}" for column, a, b in both if a != b]


class _TriedOut(Exception):
    """Carries the rows out of the transaction that it rolls back."""

    def __init__(self, rows: tuple[RowChange, ...]) -> None:
        self.rows = rows
        super().__init__("nothing of this is kept")


class _TooManyRows(Exception):
    """A live table is too large to be compared."""


async def projected(
    store: EventStore,
    hosted: HostedProjection,
    planned: Plan,
    correction: Recorded[Any],
    before: Sequence[Recorded[Any]],
    after: Sequence[Recorded[Any]],
) -> Shown | None:
    """The rows of one projection before and after; None where the correction is no concern."""
    projection = hosted.projection
    declared = declared_in(store.registry).of(planned.look.correction.kind)
    if needs_reprojection(projection, declared):
        how, old, new = REPROJECTED, before, after
    elif projection.wanted and declared.kind not in projection.wanted:
        return None
    else:
        how, old, new = APPLIED, planned.look.history, [*planned.look.history, correction]
    try:
        if how == APPLIED:
            try:
                return hosted.name, how, await _live(hosted, correction), ""
            except _TooManyRows:
                how = STREAM_ALONE
        return hosted.name, how, await _scratch(hosted, old, new), ""
    except Exception as error:  # a preview says what it could not try, and goes on
        return hosted.name, how, (), said(error)


async def _live(hosted: HostedProjection, correction: Recorded[Any]) -> tuple[RowChange, ...]:
    """Let the handler take the correction in on the live tables."""

    async def operation(connection: Connection) -> NoReturn:
        colour = live_of(await load(connection, hosted.name), hosted.name).colour
        old = await _rows(connection, hosted, colour, limit=ROWS_MAX)
        await _apply(connection, hosted, colour, [correction])
        new = await _rows(connection, hosted, colour)
        raise _TriedOut(compared(old, new))

    return await _rolled_back(hosted, operation)


async def _scratch(
    hosted: HostedProjection, old: Sequence[Recorded[Any]], new: Sequence[Recorded[Any]]
) -> tuple[RowChange, ...]:
    """Project the stream's two histories into tables of their own."""
    tables = hosted.applier.tables

    async def one(connection: Connection, history: Sequence[Recorded[Any]]) -> dict[str, Table]:
        await tables.create(connection, SCRATCH)
        await _apply(connection, hosted, SCRATCH, history)
        found = await _rows(connection, hosted, SCRATCH)
        await tables.drop(connection, SCRATCH)
        return found

    async def operation(connection: Connection) -> NoReturn:
        raise _TriedOut(compared(await one(connection, old), await one(connection, new)))

    return await _rolled_back(hosted, operation)


async def _rolled_back(
    hosted: HostedProjection, operation: Callable[[Connection], Coroutine[Any, Any, NoReturn]]
) -> tuple[RowChange, ...]:
    try:
        await hosted.database.transact(operation)
    except _TriedOut as done:
        return done.rows
    raise AssertionError("unreachable")


async def _apply(
    connection: Connection,
    hosted: HostedProjection,
    colour: int,
    events: Sequence[Recorded[Any]],
) -> None:
    job = hosted.applier.job
    db = ProjectionConnection(connection, job.tables, colour, live=False)
    wanted = job.wanted(events)
    if wanted:
        await run_handler(job, wanted, db)


async def _rows(
    connection: Connection, hosted: HostedProjection, colour: int, *, limit: int | None = None
) -> dict[str, Table]:
    found: dict[str, Table] = {}
    for name in hosted.applier.tables.names:
        table = f"{name}__{colour}"
        columns = await connection.fetch(
            statements(PACKAGE, connection.dialect)["columns"], {"table": table}
        )
        most = "" if limit is None else f" LIMIT {limit + 1}"
        rows = await connection.fetch(f"SELECT * FROM {table}{most}")  # noqa: S608 -- checked name
        if limit is not None and len(rows) > limit:
            raise _TooManyRows
        found[name] = [str(column) for (column,) in columns], rows
    return found


def compared(old: dict[str, Table], new: dict[str, Table]) -> tuple[RowChange, ...]:
    """The rows that differ; those with the same first column are one row that changed."""
    found: list[RowChange] = []
    for table, (columns, before) in old.items():
        _, after = new[table]
        gone, come = _without(before, after), _without(after, before)
        for row in gone:
            twin = next((one for one in come if one[0] == row[0]), None)
            if twin is not None:
                come.remove(twin)
            found.append(RowChange(table, tuple(columns), row, twin))
        found += [RowChange(table, tuple(columns), None, row) for row in come]
    return tuple(found)


def _without(
    rows: Sequence[tuple[Any, ...]], others: Sequence[tuple[Any, ...]]
) -> list[tuple[Any, ...]]:
    """Those of ``rows`` that are not among ``others``; by what they show, JSON has no hash."""
    left, found = Counter(map(repr, others)), []
    for row in rows:
        if left[repr(row)]:
            left[repr(row)] -= 1
        else:
            found.append(row)
    return found


def said(error: Exception) -> str:
    """Why something cannot be shown, without values: ours have none, others are only named."""
    return str(error) if isinstance(error, GoldseamError) else type(error).__name__
