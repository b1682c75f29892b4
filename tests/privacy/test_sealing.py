"""Personal fields in the log: sealed at the append, opened at the read, gone when forgotten."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest

from goldseam import (
    ANY,
    NEW,
    Aggregate,
    EventStore,
    NewEvent,
    Personal,
    Registry,
    handle,
    open_store,
    open_vault,
    upcaster,
)
from goldseam.commands.snapshots import SnapshotPolicy
from goldseam.errors import IdempotencyMismatch, InvalidEvent, InvalidName, KeysMissing
from goldseam.events.personal import last_four, personal_fields, year
from goldseam.privacy.errors import SubjectForgotten
from goldseam.privacy.vault import Vault
from goldseam.resilience.clock import uuid7_bytes

people = Registry()


class Address(msgspec.Struct, frozen=True):
    street: str
    town: str


@people.event
class CustomerRegistered:
    customer_id: str
    name: Annotated[str, Personal("customer_id")]
    born: Annotated[date, Personal("customer_id", keep=year)]
    card: Annotated[str | None, Personal("customer_id", keep=last_four)] = None
    visits: Annotated[int, Personal("customer_id")] = 0
    address: Annotated[
        Address | None, Personal("customer_id", forgotten={"street": "", "town": ""})
    ] = None
    plan: str = "free"


@people.event
class CustomerReferred:
    sender: str
    receiver: str
    note: Annotated[str, Personal("sender")]
    receiver_email: Annotated[str, Personal("receiver")]


@people.event
class NoteTaken:
    fields: dict[str, Any]


class Customer(Aggregate):
    name: str = ""

    def register(self, customer: str, name: str) -> None:
        self.record(CustomerRegistered(customer, name, date(1984, 5, 6)))

    def evolve(self, event: object) -> None:
        if isinstance(event, CustomerRegistered):
            self.name = event.name


@asynccontextmanager
async def opened(url: str, folder: Path) -> AsyncIterator[tuple[EventStore, Vault]]:
    """A store and its vault; the key store and the provider are apart from it."""
    vault = await open_vault(f"sqlite:///{folder}/keys.db", f"file://{folder}/epochs")
    try:
        async with await open_store(url, registry=people, vault=vault) as store:
            yield store, vault
    finally:
        await vault.close()


ANN = CustomerRegistered("c-1", "Ann Marker", date(1984, 5, 6), "4111111111111234", 7)


async def test_personal_fields_come_back_as_they_were(store_url: str, tmp_path: Path) -> None:
    """What was appended is what is read; in the log there is no clear value of it."""
    async with opened(store_url, tmp_path) as (store, _):
        whole = CustomerRegistered(
            "c-2", "Bob Marker", date(1990, 1, 2), None, 3, Address("Marker Street 5", "Ulm")
        )
        await store.append("customer-1", [ANN, whole], expected=NEW)
        read = await store.read_stream("customer-1")
        assert [ANN, whole] == [event.data for event in read]
        assert [(), ()] == [event.shredded for event in read]
        raw = b"".join(event.payload for event in await store.raw_all())
        assert b"Marker" not in raw
        assert b"1984-05" not in raw
        assert b'"plan":"free"' in raw


async def test_after_forgetting_stand_ins_of_the_same_type_are_read(
    store_url: str, tmp_path: Path
) -> None:
    """Texts stay texts, dates dates, numbers numbers; what may be kept is kept."""
    async with opened(store_url, tmp_path) as (store, vault):
        await store.append("customer-1", [ANN], expected=NEW)
        await vault.forget("main", "c-1", "asked for it")
        (event,) = await store.read_stream("customer-1")
        expected = CustomerRegistered(
            "c-1", "[forgotten]", date(1984, 1, 1), "[forgotten, was ...1234]", 0
        )
        assert expected == event.data
        assert ("name", "born", "card", "visits") == event.shredded
        with pytest.raises(SubjectForgotten):
            await store.append("customer-1", [ANN], expected=ANY)


async def test_one_event_may_be_about_two_people(store_url: str, tmp_path: Path) -> None:
    """Forgetting one leaves what is about the other."""
    async with opened(store_url, tmp_path) as (store, vault):
        referred = CustomerReferred("c-1", "c-2", "from Ann", "bob@example.org")
        await store.append("customer-1", [referred], expected=NEW)
        await vault.forget("main", "c-1", "asked for it")
        (event,) = await store.read_stream("customer-1")
        assert ("[forgotten]", "bob@example.org") == (event.data.note, event.data.receiver_email)
        assert ("note",) == event.shredded


async def test_without_keys_nothing_personal_is_written_or_read(
    store_url: str, tmp_path: Path
) -> None:
    """A store that was opened without a vault refuses, and says how to open it."""
    async with opened(store_url, tmp_path) as (store, _):
        await store.append("customer-1", [ANN], expected=NEW)
    async with await open_store(store_url, registry=people) as store:
        with pytest.raises(KeysMissing, match="vault"):
            await store.append("customer-2", [ANN], expected=NEW)
        with pytest.raises(KeysMissing, match="CustomerRegistered"):
            await store.read_stream("customer-1")
        assert 1 == await store.head()


async def test_a_retry_of_a_sealed_append_is_once(store_url: str, tmp_path: Path) -> None:
    """By event ids and by key; another content under the same key is refused."""
    async with opened(store_url, tmp_path) as (store, _):
        same = NewEvent(ANN, id=UUID(bytes=uuid7_bytes()))
        first = await store.append("customer-1", [same], expected=NEW)
        again = await store.append("customer-1", [same], expected=NEW)
        assert (first.position, True) == (again.position, again.replayed)
        keyed = await store.append("customer-2", [ANN], expected=NEW, key="k")
        repeat = await store.append("customer-2", [ANN], expected=NEW, key="k")
        assert (keyed.position, True) == (repeat.position, repeat.replayed)
        other = CustomerRegistered("c-1", "Eve", date(1984, 5, 6))
        with pytest.raises(IdempotencyMismatch):
            await store.append("customer-2", [other], expected=NEW, key="k")


async def test_snapshots_are_sealed_and_go_with_the_key(store_url: str, tmp_path: Path) -> None:
    """The state of a snapshot is not in clear, is used while it may, and ignored afterwards."""
    policy = SnapshotPolicy(every=1)
    async with opened(store_url, tmp_path) as (store, vault):
        register = lambda one: one.register("c-1", "Ann Marker")  # noqa: E731
        await handle(store, Customer, "customer-1", register, snapshots=policy)
        rows = await store.database.fetch("SELECT state FROM goldseam_snapshots")
        assert 1 == len(rows)
        assert b"Marker" not in bytes(rows[0][0])
        nothing = await handle(store, Customer, "customer-1", lambda _: None, snapshots=policy)
        assert "Ann Marker" == nothing.state.name
        await vault.forget("main", "c-1", "asked for it")
        after = await handle(store, Customer, "customer-1", lambda _: None, snapshots=policy)
        assert "[forgotten]" == after.state.name


async def test_old_versions_are_opened_before_they_are_upcast(
    store_url: str, tmp_path: Path
) -> None:
    """The seal is bound to the name a field had; the upcaster gets the clear value."""
    async with opened(store_url, tmp_path) as (store, vault):
        await store.append("customer-1", [ANN], expected=NEW)
        newer = Registry()

        @newer.event(name="CustomerRegistered", version=2)
        class CustomerRegisteredNow:
            customer_id: str
            full_name: Annotated[str, Personal("customer_id")]
            initial: str

        @upcaster("CustomerRegistered", registry=newer)
        def renamed(fields: dict[str, Any]) -> dict[str, Any]:
            name = fields["name"]
            return {"customer_id": fields["customer_id"], "full_name": name, "initial": name[:1]}

        async with await open_store(store_url, registry=newer, vault=vault) as today:
            (event,) = await today.read_stream("customer-1")
            assert CustomerRegisteredNow("c-1", "Ann Marker", "A") == event.data
            await vault.forget("main", "c-1", "asked for it")
            (event,) = await today.read_stream("customer-1")
            assert ("[forgotten]", ("full_name",)) == (event.data.full_name, event.shredded)


async def test_nobody_named_and_marks_of_their_own_are_refused(
    store_url: str, tmp_path: Path
) -> None:
    """A personal value needs a person, and no event may bring its own sealed object."""
    async with opened(store_url, tmp_path) as (store, _):
        nobody = CustomerRegistered("", "Ann Marker", date(1984, 5, 6))
        with pytest.raises(InvalidEvent, match="names nobody") as refused:
            await store.append("customer-1", [nobody], expected=NEW)
        assert "Marker" not in str(refused.value)
        forged = CustomerRegistered("c-1", "A", date(1984, 5, 6), plan='x"$sealed"x')
        await store.append("customer-1", [forged], expected=NEW)
        assert forged == (await store.read_stream("customer-1"))[0].data
        with pytest.raises(InvalidEvent, match="sealed"):
            await store.append("note-1", [NoteTaken({"$sealed": {"s": "c-1"}})], expected=NEW)


def test_a_declaration_that_cannot_work_is_refused_at_once() -> None:
    """The subject must be a field of the class, and each type needs a stand-in."""

    class Wrong(msgspec.Struct):
        email: Annotated[str, Personal("nobody")]

    class Unknown(msgspec.Struct):
        owner: str
        where: Annotated[Address, Personal("owner")]

    with pytest.raises(InvalidName, match="nobody"):
        personal_fields(Wrong)
    with pytest.raises(InvalidName, match="forgotten="):
        personal_fields(Unknown)


async def test_logs_say_nothing_personal(
    store_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Appends, refusals, reads and forgetting leave no value in any log line."""
    caplog.set_level(logging.DEBUG)
    async with opened(store_url, tmp_path) as (store, vault):
        await store.append("customer-1", [ANN], expected=NEW)
        await store.read_all()
        await vault.forget("main", "c-1", "asked for it")
        with pytest.raises(SubjectForgotten) as refused:
            await store.append("customer-1", [ANN], expected=ANY)
    assert "Marker" not in caplog.text + str(refused.value)
