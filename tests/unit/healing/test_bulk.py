"""Many corrections from a file: each once, each reported, mistakes known before the first."""

from __future__ import annotations

from uuid import UUID

import pytest

from goldseam import EventStore
from goldseam.errors import InvalidInput
from goldseam.healing.bulk import BulkResult, heal_all, read_rows
from goldseam.resilience.clock import uuid7_bytes
from tests.unit.healing.bank import deposited

HEADER = "event_id,field,value,reason,ticket"


async def run(store: EventStore, text: str, *, dry_run: bool = False) -> list[BulkResult]:
    rows = read_rows(text.splitlines(), "ada")
    return [one async for one in heal_all(store, rows, dry_run=dry_run)]


async def file(store: EventStore, count: int = 3) -> str:
    ids = [await deposited(store, 50, f"account-{n}") for n in range(count)]
    return "\n".join([HEADER, *(f"{one},amount,100,typo,JIRA-1" for one in ids)])


async def test_each_row_is_healed_once_however_often_the_file_is_run(store: EventStore) -> None:
    """The second run says what the first has done."""
    text = await file(store)
    assert ["would heal"] * 3 == [one.outcome for one in await run(store, text, dry_run=True)]
    assert 3 == await store.head()
    first, second = await run(store, text), await run(store, text)
    assert ["healed"] * 3 == [one.outcome for one in first]
    assert ["already done"] * 3 == [one.outcome for one in second]
    assert [one.correction_id for one in first] == [one.correction_id for one in second]
    assert ["already done"] * 3 == [one.outcome for one in await run(store, text, dry_run=True)]
    assert 6 == await store.head()


async def test_a_refused_row_does_not_stop_the_others(store: EventStore) -> None:
    """It is reported with its reason."""
    text = await file(store)
    missing = UUID(bytes=uuid7_bytes())
    lines = text.splitlines()
    lines.insert(2, f"{missing},amount,1,typo,JIRA-1")
    found = await run(store, "\n".join(lines))
    assert ["healed", "refused", "healed", "healed"] == [one.outcome for one in found]
    assert "no event of this id" in found[1].why
    assert 3 == found[1].line


async def test_a_column_for_each_field_is_the_other_form(store: EventStore) -> None:
    """An empty cell changes nothing; the ticket may come from the caller."""
    wrong = await deposited(store)
    rows = read_rows(["event_id,reason,amount,currency", f"{wrong},typo,100,"], "ada", "JIRA-9")
    assert {"amount": "100"} == dict(rows[0].request.changes)
    assert ["healed"] == [one.outcome async for one in heal_all(store, rows)]


ID = "0190b5e2-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no rows"),
        (HEADER, "no rows"),
        (f"{HEADER}\nevt-123,amount,1,typo,J", "line 2"),
        (f"{HEADER}\n{ID},amount,1,typo", "line 2"),
        (f"{HEADER}\n{ID},amount,1,typo,J,more", "line 2"),
        (f"{HEADER}\n{ID},amount,1,,J", "line 2.*reason"),
        (f"{HEADER}\n{ID},amount,1,typo,", "line 2.*ticket"),
        (f"{HEADER}\n{ID},amount,1,typo,J\n{ID},amount,2,typo,J", "lines 2 and 3"),
        (f"{HEADER}\n{ID},amount,1,typo,J\n{ID},currency,x,other,J", "lines 2 and 3"),
        (f"event_id,field,value\n{ID},amount,1", "header"),
        (f"event_id,field,reason\n{ID},amount,typo", "line 2"),
        (f'{HEADER}\n{ID},amount,"1,typo,J', "CSV"),
    ],
)
def test_a_file_with_a_mistake_is_refused_as_a_whole(text: str, why: str) -> None:
    """The error names the line; nothing has been appended by then."""
    with pytest.raises(InvalidInput, match=why):
        read_rows(text.splitlines(), "ada")


def test_two_lines_of_one_event_are_one_correction() -> None:
    """One for each field, with one reason."""
    rows = read_rows([HEADER, f"{ID},amount,1,typo,J", f"{ID},currency,EUR,typo,J"], "ada")
    assert [{"amount": "1", "currency": "EUR"}] == [dict(one.request.changes) for one in rows]
