"""Old events are read as what they are called today: 1 to 1, renamed, 1 to n, 1 to 0."""

from __future__ import annotations

import doctest
from typing import Any

import msgspec
import pytest

from goldseam import ANY, NEW, Decider, Goldseam, Projection, Registry, handle, handles, open_store
from goldseam.errors import UnknownEventType, UnreadableEvent, UpcasterGap, UpcastFailed
from goldseam.events.registry import Untyped
from goldseam.versioning import upcasting
from goldseam.versioning.upcasting import (
    Became,
    Stored,
    add_field,
    drop_field,
    rename_event,
    rename_field,
    upcaster,
)


def old_bank() -> Registry:
    """The classes of two years ago."""
    bank = Registry()

    @bank.event(name="DepositApplied")
    class DepositApplied:
        amount: int

    @bank.event(name="TransferMade")
    class TransferMade:
        sender: str
        receiver: str
        amount: int

    @bank.event(name="TellerGreeted")
    class TellerGreeted:
        teller: str

    return bank


def new_bank() -> Registry:
    """Today's classes, and how the old events become them."""
    bank = Registry()

    @bank.event(name="DepositApplied", version=3)
    class DepositApplied:
        totalAmount: int
        currency: str

    @bank.event(name="MoneySent")
    class MoneySent:
        account: str
        amount: int

    @bank.event(name="MoneyReceived")
    class MoneyReceived:
        account: str
        amount: int

    upcaster("DepositApplied", 1, registry=bank)(add_field("currency", "USD"))
    upcaster("DepositApplied", 2, registry=bank)(rename_field("amount", "totalAmount"))

    @upcaster("TransferMade", registry=bank)
    def two_sides(fields: dict[str, Any]) -> list[Became]:
        return [
            Became("MoneySent", 1, {"account": fields["sender"], "amount": fields["amount"]}),
            Became("MoneyReceived", 1, {"account": fields["receiver"], "amount": fields["amount"]}),
        ]

    @upcaster("TellerGreeted", registry=bank)
    def nothing(_: dict[str, Any]) -> None:
        return None

    return bank


async def written(url: str) -> None:
    """A log of two years ago."""
    bank = old_bank()
    kinds = {one.name: one.kind for one in bank}
    async with await open_store(url, registry=bank) as store:
        events = [
            kinds["DepositApplied"](50),
            kinds["TellerGreeted"]("Ann"),
            kinds["TransferMade"]("a", "b", 7),
            kinds["DepositApplied"](60),
            kinds["TellerGreeted"]("Bob"),
        ]
        await store.append("account-1", events, expected=NEW)


def test_the_guides_example_is_a_doctest() -> None:
    """v1 gets currency USD, and v3 calls the amount totalAmount."""
    assert (0, 5) <= tuple(doctest.testmod(upcasting))
    assert 0 == doctest.testmod(upcasting).failed


async def test_each_kind_of_upcast_is_read_by_every_read(store_url: str) -> None:
    """1 to 1 with a rename, 1 to n and 1 to 0, forwards, backwards, by stream and category."""
    await written(store_url)
    async with await open_store(store_url, registry=new_bank()) as store:
        forwards = await store.read_stream("account-1")
        shown = [(e.version, e.type, e.type_version, msgspec.to_builtins(e.data)) for e in forwards]
        expected = [
            (1, "DepositApplied", 3, {"totalAmount": 50, "currency": "USD"}),
            (3, "MoneySent", 1, {"account": "a", "amount": 7}),
            (3, "MoneyReceived", 1, {"account": "b", "amount": 7}),
            (4, "DepositApplied", 3, {"totalAmount": 60, "currency": "USD"}),
        ]
        assert expected == shown
        for page in (
            await store.read_all(),
            await store.read_category("account"),
            [event async for event in store.replay(page=1)],
        ):
            assert [e.data for e in forwards] == [e.data for e in page]
        backwards = await store.read_stream_backwards("account-1")
        assert [4, 3, 3, 1] == [e.version for e in backwards]


async def test_parts_of_one_event_have_ids_of_their_own(store_url: str) -> None:
    """Who remembers ids must be able to tell the parts apart, on every read alike."""
    await written(store_url)
    async with await open_store(store_url, registry=new_bank()) as store:
        once = [event.id for event in await store.read_all()]
        again = [event.id for event in await store.read_all()]
    assert len(once) == len(set(once))
    assert once == again


async def test_a_page_of_events_that_are_no_longer_read_is_not_the_end(store_url: str) -> None:
    """Readers that stop at an empty page do not stop at one where all was upcast to nothing."""
    bank = old_bank()
    greeted = next(one.kind for one in bank if one.name == "TellerGreeted")
    deposited = next(one.kind for one in bank if one.name == "DepositApplied")
    async with await open_store(store_url, registry=bank) as store:
        await store.append("account-1", [greeted("Ann")] * 7 + [deposited(1)], expected=NEW)
    async with await open_store(store_url, registry=new_bank()) as store:
        assert [8] == [e.position for e in await store.read_all(limit=2)]
        assert [8] == [e.version for e in await store.read_stream("account-1", limit=3)]
        assert [8] == [e.position async for e in store.replay(page=2)]


async def test_a_command_after_a_dropped_event_knows_the_version(store_url: str) -> None:
    """The last event of the stream is read as nothing; the next append still fits."""
    await written(store_url)
    bank = new_bank()
    deposited = next(one.kind for one in bank if one.name == "DepositApplied")
    account = Decider[int, int, Any](
        initial=0,
        decide=lambda command, _: [deposited(command, "EUR")],
        evolve=lambda state, event: state + getattr(event, "totalAmount", 0),
    )
    async with await open_store(store_url, registry=bank) as store:
        handled = await handle(store, account, "account-1", 5)
        assert (6, 115) == (handled.version, handled.state)


async def test_an_upcaster_sees_which_event_it_is(store_url: str) -> None:
    """The second parameter is the event as it was stored."""
    await written(store_url)
    bank = new_bank()
    seen: list[Stored] = []

    def with_context(fields: dict[str, Any], stored: Stored) -> dict[str, Any]:
        seen.append(stored)
        return {**fields, "currency": "USD"}

    bank.upcasters["DepositApplied", 1] = with_context
    async with await open_store(store_url, registry=bank) as store:
        events = await store.read_all()
    assert [("account-1", 1, 1), ("account-1", 4, 4)] == [
        (one.stream, one.version, one.position) for one in seen
    ]
    assert [events[0].id, events[-1].id] == [one.id for one in seen]
    assert [events[0].recorded_at, events[-1].recorded_at] == [one.recorded_at for one in seen]


def test_a_gap_in_the_chain_is_found_at_start() -> None:
    """Version 2 leads nowhere: opening a store says so, not the first old event."""
    bank = Registry()

    @bank.event(name="DepositApplied", version=3)
    class DepositApplied:
        amount: int

    upcaster("DepositApplied", 1, registry=bank)(add_field("currency", "USD"))
    with pytest.raises(UpcasterGap, match="no upcaster leads on from version 2"):
        upcasting.check_upcasters(bank)
    upcaster("DepositApplied", 2, registry=bank)(drop_field("currency"))
    upcasting.check_upcasters(bank)
    upcaster("DepositApplied", 3, registry=bank)(add_field("currency", "EUR"))
    with pytest.raises(UpcasterGap, match="the newest class is version 3"):
        upcasting.check_upcasters(bank)


async def test_opening_a_store_checks_the_chains(store_url: str) -> None:
    """A program with a gap does not start."""
    bank = Registry()

    @bank.event(name="DepositApplied", version=3)
    class DepositApplied:
        amount: int

    upcaster("DepositApplied", 1, registry=bank)(add_field("currency", "USD"))
    with pytest.raises(UpcasterGap):
        await open_store(store_url, registry=bank)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (lambda fields: fields["no such field"], "KeyError"),
        (lambda _: "fields", "it returned str"),
        (rename_event("DepositApplied", 1), "in a circle"),
    ],
)
async def test_a_failing_upcaster_says_so_and_the_event_stays(
    store_url: str, step: Any, words: str
) -> None:
    """The reader gets an error with the type and version and no value of the event."""
    await written(store_url)
    bank = new_bank()
    bank.upcasters["DepositApplied", 1] = step
    async with await open_store(store_url, registry=bank) as store:
        with pytest.raises(UpcastFailed, match=words) as refused:
            await store.read_all()
        assert "50" not in str(refused.value)
        held = (await store.tolerant().read_all())[0]
        assert isinstance(held.data, Untyped)
        assert {"amount": 50} == held.data.fields()


async def test_what_does_not_fit_its_class_is_held_by_a_projection(store_url: str) -> None:
    """A field renamed without an upcaster stops that one sequence; the others flow."""
    await written(store_url)
    bank = Registry()

    @bank.event(name="DepositApplied")
    class DepositApplied:
        totalAmount: int

    class Totals(Projection):
        name = "totals"
        tables = "CREATE TABLE {totals} (account TEXT PRIMARY KEY, total INTEGER NOT NULL)"

        @handles(DepositApplied)
        async def add(self, event: Any, db: Any) -> None:
            sql = "INSERT INTO {totals} (account, total) VALUES (:account, :total)"
            await db.fetch(sql, {"account": event.stream, "total": event.data.totalAmount})

    async with Goldseam(store_url, [Totals()], registry=bank) as app:
        with pytest.raises(UnreadableEvent, match="totalAmount"):
            await app.store.read_stream("account-1")
        done = await app.store.append("account-2", [DepositApplied(9)], expected=ANY)
        rows = await app.fetch(
            "totals", "SELECT account, total FROM totals", after=done.position, wait=20,
            sequence="account-2",
        )  # fmt: skip
        assert [("account-2", 9)] == rows
        parked = await app.projections["totals"].parked()
        assert [("account-1", 1), ("account-1", 4)] == [(p.sequence, p.position) for p in parked]
        assert "UnreadableEvent" in parked[0].error


async def test_a_newer_version_than_this_program_knows_is_never_dropped(store_url: str) -> None:
    """An old node that meets events of a newer one says so, and a tolerant reader holds them."""
    bank = new_bank()
    deposited = next(one.kind for one in bank if one.name == "DepositApplied")
    async with await open_store(store_url, registry=bank) as store:
        await store.append("account-1", [deposited(5, "EUR")], expected=NEW)
    async with await open_store(store_url, registry=old_bank()) as store:
        with pytest.raises(UnknownEventType, match="version 3"):
            await store.read_all()
        assert isinstance((await store.tolerant().read_all())[0].data, Untyped)
