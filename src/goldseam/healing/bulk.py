"""Correct many events from a CSV file: each row once, however often the file is run."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec

from goldseam.errors import InvalidInput, Rejected
from goldseam.healing.heal import heal, healed_before
from goldseam.healing.plan import Change, plan
from goldseam.healing.request import Request, Typed, checked, parsed_id
from goldseam.store.event_store import EventStore

ROWS_MAX = 100_000
"""Most rows of one file: they are read before the first is healed, so that a mistake in the
last one is known before anything is appended."""

Outcome = Literal["healed", "already done", "would heal", "refused"]

_EVENT, _FIELD, _VALUE, _REASON, _TICKET = "event_id", "field", "value", "reason", "ticket"


class BulkRow(NamedTuple):
    """The corrections of one event, and the line of the file where they begin."""

    line: int
    request: Request


class BulkResult(msgspec.Struct, frozen=True):
    """What became of one row."""

    line: int
    event_id: str
    outcome: Outcome
    correction_id: str = ""
    changes: tuple[Change, ...] = ()
    why: str = ""


def read_rows(lines: Iterable[str], corrected_by: str, ticket: str = "") -> list[BulkRow]:
    """The requests of a CSV file with a header.

    The columns are ``event_id,field,value,reason,ticket``, one line for each field; or
    ``event_id,reason,ticket`` and one column for each field, where an empty cell changes
    nothing. Lines of one event are one correction.

    Args:
        ticket: for lines that have none of their own.

    Raises:
        InvalidInput: the file cannot be read as such; says the line.
    """
    reader = csv.DictReader(lines, strict=True)
    found: dict[UUID, BulkRow] = {}
    try:
        for cells in reader:
            line = reader.line_num
            if len(found) >= ROWS_MAX:
                raise InvalidInput(f"line {line}: more than {ROWS_MAX} events; split the file")
            row = _row(cells, line, corrected_by, ticket)
            known = found.get(row.request.event_id)
            found[row.request.event_id] = row if known is None else _joined(known, row)
    except csv.Error as error:
        raise InvalidInput(f"line {reader.line_num} is not CSV: {error}") from None
    if not found:
        raise InvalidInput("the file has no rows; it needs a header and a line for each correction")
    return list(found.values())


def _row(cells: dict[str, str], line: int, corrected_by: str, ticket: str) -> BulkRow:
    needed = {_EVENT, _REASON, _VALUE} if _FIELD in cells else {_EVENT, _REASON}
    if None in cells or None in cells.values() or not needed <= set(cells):
        raise InvalidInput(
            f"line {line} does not fit the header, which needs event_id, reason, ticket, and "
            "field and value or a column for each field"
        )
    try:
        request = Request(
            parsed_id(cells[_EVENT].strip()),
            dict(_changes(cells)),
            cells[_REASON],
            cells.get(_TICKET) or ticket,
            corrected_by,
        )
        return BulkRow(line, checked(request))
    except InvalidInput as error:
        raise InvalidInput(f"line {line}: {error}") from None


def _changes(cells: dict[str, str]) -> Iterator[tuple[str, Typed]]:
    if _FIELD in cells:
        yield cells[_FIELD], Typed(cells[_VALUE])
        return
    for name, text in cells.items():
        if name not in (_EVENT, _REASON, _TICKET) and text:
            yield name, Typed(text)


def _joined(first: BulkRow, second: BulkRow) -> BulkRow:
    """Two lines of one event as one correction; they must not contradict each other."""
    one, two = first.request, second.request
    if set(one.changes) & set(two.changes) or one[2:4] != two[2:4]:
        raise InvalidInput(
            f"lines {first.line} and {second.line} correct event {one.event_id} in two ways; "
            "give each field once, with one reason and one ticket"
        )
    return BulkRow(first.line, one._replace(changes={**one.changes, **two.changes}))


async def heal_all(
    store: EventStore, rows: Iterable[BulkRow], *, dry_run: bool = False
) -> AsyncIterator[BulkResult]:
    """Correct each row; what becomes of it is given as soon as it is known.

    A row is stored once by the key that its content makes: after a kill run the same file again.
    A refused row changes nothing and does not stop the others.

    Raises:
        StoreUnavailable, CommitUnknown: run the file again, it goes on where it was.
    """
    for row in rows:
        try:
            yield await (_try(store, row) if dry_run else _heal(store, row))
        except (Rejected, InvalidInput) as error:
            yield BulkResult(row.line, str(row.request.event_id), "refused", why=str(error))


async def _heal(store: EventStore, row: BulkRow) -> BulkResult:
    request = row.request
    done = await heal(
        store,
        request.event_id,
        request.changes,
        reason=request.reason,
        ticket=request.ticket,
        corrected_by=request.corrected_by,
    )
    outcome: Outcome = "already done" if done.replayed else "healed"
    return BulkResult(row.line, str(request.event_id), outcome, done.correction_id, done.changes)


async def _try(store: EventStore, row: BulkRow) -> BulkResult:
    event_id = str(row.request.event_id)
    done = await healed_before(store, row.request)
    if done is not None:
        return BulkResult(row.line, event_id, "already done", done.correction_id, done.changes)
    planned = await plan(store, row.request)
    return BulkResult(row.line, event_id, "would heal", changes=planned.changes)
