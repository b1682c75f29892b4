"""versioning/weak-schemas: fields come and go without a conversion, and what is dropped is told."""

from __future__ import annotations

import msgspec
import pytest

from goldseam import NEW, Registry, open_store
from goldseam.errors import UnreadableEvent
from goldseam.telemetry.signals import signals
from goldseam.versioning.weak_schema import DroppedFields


def first_release() -> Registry:
    bank = Registry()

    @bank.event(name="DepositApplied")
    class DepositApplied(msgspec.Struct, frozen=True):
        amount: int
        teller: str = ""

    return bank


def field_added_and_dropped() -> Registry:
    """Weak: a new field with a default, an old one left out."""
    bank = Registry()

    @bank.event(name="DepositApplied")
    class DepositApplied(msgspec.Struct, frozen=True):
        amount: int
        currency: str = "USD"

    return bank


def field_renamed() -> Registry:
    """Not weak, and worse than an error: the new name has a default."""
    bank = Registry()

    @bank.event(name="DepositApplied")
    class DepositApplied(msgspec.Struct, frozen=True):
        total: int = 0
        teller: str = ""

    return bank


def strict() -> Registry:
    """The same as the weak change, by a class that takes nothing it does not know."""
    bank = Registry()

    @bank.event(name="DepositApplied")
    class DepositApplied(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        amount: int
        currency: str = "USD"

    return bank


async def written(url: str) -> None:
    bank = first_release()
    kind = bank.by_name["DepositApplied", 1].kind
    async with await open_store(url, registry=bank) as store:
        await store.append("account-1", [kind(50, "ann"), kind(7, "bob")], expected=NEW)


async def test_fields_are_added_and_dropped_without_a_conversion(store_url: str) -> None:
    """The next release reads the same events with its default, and writes beside them."""
    await written(store_url)
    bank = field_added_and_dropped()
    kind = bank.by_name["DepositApplied", 1].kind
    async with await open_store(store_url, registry=bank) as store:
        await store.append("account-1", [kind(9, "EUR")], expected=2)
        read = [event.data for event in await store.read_stream("account-1")]

    assert [kind(50, "USD"), kind(7, "USD"), kind(9, "EUR")] == read


async def test_the_release_before_reads_what_the_next_one_wrote(store_url: str) -> None:
    """Weak in both directions: a rolling deployment has both at once."""
    bank = field_added_and_dropped()
    kind = bank.by_name["DepositApplied", 1].kind
    async with await open_store(store_url, registry=bank) as store:
        await store.append("account-1", [kind(9, "EUR")], expected=NEW)
    old = first_release()
    async with await open_store(store_url, registry=old) as store:
        read = [event.data for event in await store.read_stream("account-1")]

    assert [old.by_name["DepositApplied", 1].kind(9, "")] == read


@pytest.mark.parametrize(
    ("release", "fields", "missing"),
    [
        (first_release, set(), set()),
        (field_added_and_dropped, {"teller"}, {"currency"}),
        (field_renamed, {"amount"}, {"total"}),
    ],
)
async def test_what_is_dropped_is_reported(
    store_url: str, release: object, fields: set[str], missing: set[str]
) -> None:
    """The report names the type, the dropped fields, what they lack, how many, the newest."""
    await written(store_url)
    assert callable(release)
    report = DroppedFields(release())
    before = signals.value("goldseam_fields_dropped_total", type="DepositApplied")
    async with await open_store(store_url, registry=Registry(open_to_unknown=True)) as store:
        report.add(await store.raw_all())

    expected = [("DepositApplied", 1, fields, missing, 2, 2)] if fields else []
    assert expected == [
        (one.type, one.type_version, one.fields, one.missing, one.events, one.newest_position)
        for one in report.report()
    ]
    counted = signals.value("goldseam_fields_dropped_total", type="DepositApplied")
    assert before + (2 if fields else 0) == counted


async def test_control_a_rename_with_a_default_reads_as_nothing(store_url: str) -> None:
    """Without the report no one is told: the deposits of the past are 0 from now on."""
    await written(store_url)
    async with await open_store(store_url, registry=field_renamed()) as store:
        read = [event.data.total for event in await store.read_stream("account-1")]

    assert [0, 0] == read


async def test_control_a_strict_class_cannot_read_the_past(store_url: str) -> None:
    """Without the weak schema the same small change needs a conversion of old events."""
    await written(store_url)
    async with await open_store(store_url, registry=strict()) as store:
        with pytest.raises(UnreadableEvent, match=r"raise the class's version"):
            await store.read_stream("account-1")
