"""versioning/unknown-event-type: a name that nobody registered is an error, never a guess."""

from __future__ import annotations

import msgspec
import pytest

from goldseam import Registry, open_store
from goldseam.errors import DuplicateRegistration, UnknownEventType
from goldseam.events.registry import Untyped
from tests.support.ticks import Ticked, registry, tick


async def filled(url: str) -> None:
    async with await open_store(url, registry=registry) as store:
        await store.append("tick-0", [tick(0, 0)], expected=0)


async def test_an_unregistered_type_is_not_read(store_url: str) -> None:
    """The error names the type and its version and says what to import."""
    await filled(store_url)
    async with await open_store(store_url, registry=Registry()) as store:
        with pytest.raises(
            UnknownEventType, match=r"'Ticked' version 1 is not registered"
        ) as known:
            await store.read_stream("tick-0")

    assert ("Ticked", 1) == (known.value.name, known.value.version)


async def test_a_tolerant_reader_sees_it_as_it_is_stored(store_url: str) -> None:
    """Readers that move past what they do not handle lose nothing."""
    await filled(store_url)
    async with await open_store(store_url, registry=Registry()) as store:
        event = (await store.tolerant().read_all())[0]

    assert isinstance(event.data, Untyped)
    assert 0 == event.data.fields()["number"]


async def test_an_unregistered_class_is_not_written(store_url: str) -> None:
    """Nothing reaches the log that no reader could name."""

    class Stray(msgspec.Struct):
        n: int

    async with await open_store(store_url, registry=registry) as store:
        with pytest.raises(UnknownEventType, match="Stray"):
            await store.append("tick-0", [Stray(1)], expected=0)
        assert 0 == await store.head()


def test_one_name_cannot_mean_two_classes() -> None:
    """The second registration says whom the name belongs to."""
    mine = Registry()
    mine.register(Ticked)

    class Other(msgspec.Struct):
        n: int

    with pytest.raises(DuplicateRegistration, match="registered for"):
        mine.register(Other, name="Ticked")


async def test_names_do_not_follow_import_paths(store_url: str) -> None:
    """A class that moved or was renamed reads what it wrote, under its stable name."""
    await filled(store_url)
    moved = Registry()

    class TickedElsewhere(msgspec.Struct, frozen=True):
        writer: int
        number: int

    moved.register(TickedElsewhere, name="Ticked")
    async with await open_store(store_url, registry=moved) as store:
        event = (await store.read_stream("tick-0"))[0]

    assert TickedElsewhere(0, 0) == event.data


async def test_control_an_open_registry_takes_any_name(store_url: str) -> None:
    """Without the check a misspelt type is stored, and no handler ever sees it."""
    open_to_all = Registry(open_to_unknown=True)
    async with await open_store(store_url, registry=open_to_all) as store:
        await store.append("tick-0", [Untyped("Tickd", 1, {"n": 1})], expected=0)

        assert "Tickd" == (await store.read_all())[0].type
