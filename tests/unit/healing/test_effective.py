"""The effective history, as a pure function: every kind of class, every order of corrections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldseam import NewEvent, Registry, open_store, upcaster
from goldseam.errors import UnknownEventType
from goldseam.events.event import Recorded
from goldseam.healing.corrections import corrects, declared_in
from goldseam.healing.effective import CorrectionIndex
from goldseam.healing.fields import fields_of, replaced
from goldseam.healing.heal import heal
from goldseam.healing.log import history
from goldseam.resilience.clock import uuid7_bytes
from goldseam.versioning.upcasting import rename_field
from tests.unit.healing.bank import DepositApplied, DepositCorrected, registry


@dataclass(frozen=True)
class AsDataclass:
    amount: int
    note: str = ""


class AsStruct(msgspec.Struct, frozen=True):
    amount: int
    note: str = ""


@attrs.frozen
class AsAttrs:
    amount: int
    note: str = ""


class AsPydantic(pydantic.BaseModel):
    amount: int
    note: str = ""


@pytest.mark.parametrize("kind", [AsDataclass, AsStruct, AsAttrs, AsPydantic])
def test_events_of_every_library_are_corrected(kind: Any) -> None:
    """A copy with another value; the event itself is as it was."""
    one = kind(amount=50, note="x")
    assert kind(amount=100, note="x") == replaced(one, {"amount": 100})
    assert 50 == one.amount
    found = fields_of(kind)
    assert [("amount", int, True), ("note", str, False)] == [
        (field.name, field.kind, field.required) for field in found.values()
    ]


def recorded(position: int, data: Any, stream: str = "account-1") -> Recorded[Any]:
    event_id = position.to_bytes(16, "big")
    return Recorded(position, stream, position, "x", 1, data, "main", 0, event_id, b"{}")


def correction(position: int, of: int, before: int, after: int, **more: Any) -> Recorded[Any]:
    named = str(UUID(int=of))
    return recorded(position, DepositCorrected(named, before, after, "r", "b", "t"), **more)


def amounts(events: list[Recorded[Any]]) -> list[int]:
    return [event.data.amount for event in declared_in(registry).effective(events)]


def test_a_correction_counts_in_its_originals_stream_only() -> None:
    """Whoever may append to one stream does not rule over the others."""
    events = [recorded(1, DepositApplied(50)), correction(2, 1, 50, 100, stream="account-2")]
    assert [50] == amounts(events)


def test_one_that_names_a_correction_counts_for_the_original() -> None:
    """Also when somebody appended it by hand."""
    events = [recorded(1, DepositApplied(50)), correction(2, 1, 50, 100), correction(3, 2, 100, 80)]
    assert [80] == amounts(events)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 9)), max_size=12), st.integers(1, 6))
def test_pages_and_the_whole_history_agree(later: list[tuple[int, int]], size: int) -> None:
    """The index of all corrections over pages of any size gives what the pure function gives."""
    events = [recorded(n, DepositApplied(n * 10)) for n in range(1, 5)]
    events += [correction(5 + n, of, 0, amount) for n, (of, amount) in enumerate(later)]
    index = CorrectionIndex(declared_in(registry).by_kind)
    pages = [events[n : n + size] for n in range(0, len(events), size)]
    for page in pages:
        index.take_in(page)
    by_pages = [e.data.amount for page in pages for e in index.effective(page)]
    last = dict(later)
    assert [last.get(n, n * 10) for n in range(1, 5)] == amounts(events) == by_pages


async def test_an_old_version_is_corrected_as_what_it_is_called_today(store_url: str) -> None:
    """Stored as version 1, upcast on read, corrected by today's field name."""
    old, new = Registry(), Registry()

    @old.event(name="Deposit")
    class First(msgspec.Struct, frozen=True):
        amount: int

    @new.event(name="Deposit", version=2)
    class Second(msgspec.Struct, frozen=True):
        total: int

    @corrects(Second, registry=new)
    @new.event(name="Corrected")
    class Corrected(msgspec.Struct, frozen=True):
        original_event_id: str
        original_total: int
        corrected_total: int
        reason: str
        corrected_by: str
        jira_ticket: str

    upcaster("Deposit", 1, registry=new)(rename_field("amount", "total"))
    wrong = UUID(bytes=uuid7_bytes())
    async with await open_store(store_url, registry=old) as store:
        await store.append("account-1", [NewEvent(First(50), wrong)], expected=0)
    async with await open_store(store_url, registry=new) as store:
        why = {"reason": "typo", "ticket": "J-1", "corrected_by": "ada"}
        await heal(store, wrong, {"total": 100}, **why)  # type: ignore[arg-type]
        assert [Second(100)] == [event.data for event in await history(store, "account-1")]
    async with await open_store(store_url, registry=old) as store:
        with pytest.raises(UnknownEventType):
            await history(store, "account-1")
