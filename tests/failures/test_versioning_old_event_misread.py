"""versioning/old-event-misread: the gate reads the real store with the new code before it ships."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from goldseam import NEW, Personal, Registry, open_store, open_vault
from goldseam.errors import UnreadableEvent
from goldseam.events.registry import Untyped
from goldseam.governance.evolution_gate import (
    Finding,
    replay_findings,
    schema_findings,
    schemas_of,
    upcaster_gaps,
)
from goldseam.governance.stored_sample import NEWEST, SPREAD, sample
from goldseam.versioning.upcasting import rename_field, upcaster

NAME = "DepositApplied"
RARE = 3
"""Position of the only event that is not like the others, far behind all the newest."""


def old() -> Registry:
    bank = Registry()

    @bank.event(name=NAME)
    class DepositApplied(msgspec.Struct, frozen=True):
        amount: int

    return bank


def renamed(*, read_old: bool) -> Registry:
    bank = Registry()

    @bank.event(name=NAME, version=2 if read_old else 1)
    class DepositApplied(msgspec.Struct, frozen=True):
        total: int

    if read_old:
        upcaster(NAME, 1, registry=bank)(rename_field("amount", "total"))
    return bank


async def filled(url: str, payloads: list[tuple[str, int, dict[str, Any]]]) -> None:
    async with await open_store(url, registry=Registry(open_to_unknown=True)) as store:
        events = [Untyped(*one) for one in payloads]
        for start in range(0, len(events), NEWEST):
            await store.append("account-1", events[start : start + NEWEST], expected=start or NEW)


async def gate(url: str, new: Registry, before: Registry | None = None) -> list[Finding]:
    """What the gate finds, with the schemas of the old release registered."""
    async with await open_store(url, registry=Registry(open_to_unknown=True)) as store:
        taken = await store.database.read_one(sample)
    registered = {} if before is None else {NAME: [(1, schemas_of(before)[NAME, 1])]}
    found = upcaster_gaps(new) + schema_findings(new, schemas_of(new), registered, "BACKWARD")
    return found + await replay_findings(new, taken)


def errors(found: list[Finding]) -> list[tuple[str, str, int]]:
    return [(one.rule, one.type, one.type_version) for one in found if one.level == "error"]


async def test_a_rename_is_found_before_it_is_deployed(store_url: str) -> None:
    """Both ways: the schema that changed under its version, and the stored events themselves."""
    await filled(store_url, [(NAME, 1, {"amount": 50})])
    found = await gate(store_url, renamed(read_old=False), old())

    assert {("changed-without-version", NAME, 1), ("unreadable-event", NAME, 1)} == set(
        errors(found)
    )
    assert (1,) == next(one for one in found if one.rule == "unreadable-event").positions


async def test_with_an_upcaster_nothing_is_found(store_url: str) -> None:
    """The same rename, done right."""
    await filled(store_url, [(NAME, 1, {"amount": 50}), (NAME, 2, {"total": 7})])
    assert [] == await gate(store_url, renamed(read_old=True), old())


async def test_control_without_the_gate_readers_stop(store_url: str) -> None:
    """The rename deployed: the events are intact, and nobody can read them."""
    await filled(store_url, [(NAME, 1, {"amount": 50})])
    async with await open_store(store_url, registry=renamed(read_old=False)) as store:
        with pytest.raises(UnreadableEvent):
            await store.read_stream("account-1")


async def test_one_old_event_among_thousands_is_in_the_sample(store_url: str) -> None:
    """Every stored type and version is read, however rare and however long ago."""
    size = NEWEST + SPREAD + 1_500
    payloads: list[tuple[str, int, dict[str, Any]]]
    payloads = [(NAME, 2, {"total": n}) for n in range(size)]
    payloads[RARE - 1] = ("AccountClosed", 1, {"why": "moved"})
    await filled(store_url, payloads)
    async with await open_store(store_url, registry=Registry(open_to_unknown=True)) as store:
        taken = await store.database.read_one(sample)
    positions = {row[0] for rows in taken.rows.values() for row in rows}

    assert RARE in positions
    assert {1, size} <= positions
    assert NEWEST < taken.size < size
    found = await gate(store_url, renamed(read_old=True))
    assert [("unknown-type", "AccountClosed", 1)] == errors(found)
    assert (RARE,) == found[0].positions


async def test_every_tenant_is_read(store_url: str) -> None:
    """The tenant that no one thought of is in the sample too."""
    await filled(store_url, [(NAME, 1, {"amount": 50})])
    async with await open_store(store_url, registry=Registry(open_to_unknown=True)) as store:
        event = Untyped(NAME, 1, {"sum": 7})
        await store.for_tenant("north").append("account-1", [event], expected=NEW)
    found = await gate(store_url, old())

    assert [("unreadable-event", NAME, 1)] == errors(found)
    assert (2,) == found[0].positions


async def test_the_reason_holds_no_value(store_url: str) -> None:
    """A build log is read by many: field names and types, never what is in them."""
    await filled(store_url, [(NAME, 1, {"amount": "secret-4711"})])
    found = await gate(store_url, old())

    assert [("unreadable-event", NAME, 1)] == errors(found)
    assert "amount" in found[0].message
    assert "4711" not in found[0].message


async def test_sealed_values_need_no_keys(store_url: str, tmp_path: Path) -> None:
    """Stand-ins of the field's type take their place; with keys they are opened and not shown."""
    bank, wrong = Registry(), Registry()

    @bank.event(name="Opened")
    class Opened(msgspec.Struct, frozen=True):
        owner: str
        email: Annotated[str, Personal("owner")]

    @wrong.event(name="Opened")
    class OpenedWrong(msgspec.Struct, frozen=True):
        owner: str
        email: Annotated[int, Personal("owner")]

    vault = await open_vault(f"sqlite:///{tmp_path}/keys.db", f"file://{tmp_path}/epochs")
    try:
        async with await open_store(store_url, registry=bank, vault=vault) as store:
            await store.append("account-1", [Opened("7", "ann@example.org")], expected=NEW)
            taken = await store.database.read_one(sample)
            opened = await replay_findings(wrong, taken, store.sealer)
    finally:
        await vault.close()

    assert [("unreadable-event", "Opened", 1)] == errors(opened)
    assert "ann" not in opened[0].message
    assert [] == await gate(store_url, bank)
    assert [("unreadable-event", "Opened", 1)] == errors(await gate(store_url, wrong))
