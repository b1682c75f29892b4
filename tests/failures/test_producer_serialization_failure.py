"""producer/serialization-failure: what does not fit its schema is refused before it is written."""

from __future__ import annotations

import msgspec
import pytest

from goldseam import ANY, NEW, EventStore, Registry, open_store
from goldseam.errors import InvalidEvent, UnreadableEvent
from goldseam.events.registry import Untyped
from goldseam.resilience.clock import SystemClock
from goldseam.telemetry.signals import signals
from goldseam.versioning.errors import SchemaRejected
from goldseam.versioning.schema_registry import SchemaRegistry

bank = Registry()


@bank.event
class DepositApplied:
    amount: int


async def registered(store: EventStore) -> None:
    """The program that knows the classes has registered them."""
    schemas = SchemaRegistry(store.database, SystemClock())
    await schemas.prepare()
    await schemas.register_classes(bank)


def untyped(**fields: object) -> Untyped:
    """As a server without classes gets it."""
    return Untyped("DepositApplied", 1, dict(fields))


async def test_an_untyped_event_that_does_not_fit_is_refused(store_url: str) -> None:
    """With the path and the rule, without the value; nothing is in the log."""
    before = signals.value("goldseam_schema_rejections_total")
    async with await open_store(store_url, registry=Registry(open_to_unknown=True)) as store:
        await registered(store)
        with pytest.raises(SchemaRejected, match=r"\$.amount breaks the rule 'type'") as refused:
            await store.append("account-1", [untyped(amount="4711 marker")], expected=NEW)
        with pytest.raises(SchemaRejected, match="required"):
            await store.append("account-1", [untyped(sum=5)], expected=NEW)
        assert "marker" not in str(refused.value)
        assert 0 == await store.head()
        await store.append("account-1", [untyped(amount=5)], expected=NEW)
    assert before + 2 == signals.value("goldseam_schema_rejections_total")


async def test_a_type_that_nobody_registered_passes(store_url: str) -> None:
    """The registry judges what it knows."""
    async with await open_store(store_url, registry=Registry(open_to_unknown=True)) as store:
        await store.append("note-1", [Untyped("NoteTaken", 1, {"text": 5})], expected=NEW)
        await registered(store)
        await store.append("note-1", [Untyped("NoteTaken", 1, {"text": "a"})], expected=ANY)
        assert 2 == await store.head()


async def test_a_typed_event_is_checked_by_its_class(store_url: str) -> None:
    """What a reader of the class could not decode is refused too."""
    wrong = DepositApplied("much")  # type: ignore[call-arg,arg-type]
    async with await open_store(store_url, registry=bank) as store:
        with pytest.raises(InvalidEvent, match="amount"):
            await store.append("account-1", [wrong], expected=NEW)
        assert 0 == await store.head()


async def test_control_without_a_schema_the_reader_breaks(store_url: str) -> None:
    """The same event, nothing registered: it is stored, and no class can read it."""
    async with await open_store(store_url, registry=Registry(open_to_unknown=True)) as store:
        await store.append("account-1", [untyped(amount="much")], expected=NEW)
    async with await open_store(store_url, registry=bank) as store:
        with pytest.raises(UnreadableEvent):
            await store.read_stream("account-1")


def test_values_are_compared_as_json() -> None:
    """A schema that came back from the database is the one that was registered."""
    from goldseam.versioning.json_schema import schema_of

    schema = schema_of(DepositApplied)
    assert schema == msgspec.json.decode(msgspec.json.encode(schema))
