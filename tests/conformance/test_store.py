"""What every store must do, on every back-end: one kit, run on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import attrs
import msgspec
import psycopg
import pydantic
import pytest

from goldseam import (
    ANY,
    EXISTS,
    NEW,
    EventStore,
    Fence,
    Metadata,
    NewEvent,
    Registry,
    VersionConflict,
    open_store,
    stream_name,
)
from goldseam.errors import InvalidName
from goldseam.store.read import PAGE_EVENTS_MAX
from tests.support.ticks import Ticked, registry, tick


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[EventStore]:
    async with await open_store(store_url, registry=registry) as opened:
        yield opened


@pytest.mark.parametrize(
    ("before", "expected", "holds"),
    [
        (0, NEW, True), (1, NEW, False), (0, EXISTS, False), (1, EXISTS, True), (0, ANY, True),
        (1, ANY, True), (0, 0, True), (1, 1, True), (1, 2, False), (2, 1, False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("together", [1, 2])
async def test_the_expected_version_decides(
    store: EventStore, before: int, expected: int, holds: bool, together: int
) -> None:
    """Alone and beside another append, with one event and with several."""
    for n in range(before):
        await store.append("tick-1", [tick(1, n)], expected=ANY)
    jobs: list[Any] = [store.append("tick-1", [tick(1, 9)] * 1, expected=expected)]
    jobs += [
        store.append(f"other-{n}", [tick(0, 0), tick(0, 1)], expected=0) for n in range(1, together)
    ]
    first, *others = await asyncio.gather(*jobs, return_exceptions=True)

    assert holds == (not isinstance(first, VersionConflict))
    assert not any(isinstance(other, BaseException) for other in others)
    assert before + holds == await store.stream_version("tick-1")


async def test_several_streams_are_stored_together_or_not_at_all(store: EventStore) -> None:
    """One conflict refuses all; positions of one append follow one another."""
    with pytest.raises(VersionConflict) as conflict:
        await store.append_all([("a-1", NEW, [tick(0, 0)]), ("a-2", 3, [tick(0, 1)])])
    assert ("a-2", 3, 0) == (conflict.value.stream, conflict.value.expected, conflict.value.actual)
    assert 0 == await store.head()

    done = await store.append_all(
        [("a-1", NEW, [tick(0, 0)]), ("a-2", NEW, [tick(0, 1), tick(0, 2)])]
    )
    assert (1, 3, {"a-1": 1, "a-2": 2}) == (done.first_position, done.position, done.versions)


async def test_tenants_are_apart_in_every_key(store: EventStore) -> None:
    """The same stream, key, id and fence name are four different things for two tenants."""
    event = tick(0, 0)
    views = [store, store.for_tenant("acme"), store.for_tenant("umbrella")]
    for view in views:
        done = await view.append("tick-1", [event], expected=NEW, key="k")
        assert not done.replayed
    for view in views:
        assert event.id is not None
        assert 1 == len(await view.read_all())
        assert 1 == len(await view.read_category("tick"))
        assert view.tenant == (await view.read_stream("tick-1"))[0].tenant
        found = await view.read_event(event.id)
        assert found is not None
        assert view.tenant == found.tenant
    assert 3 == await store.head()


async def test_reads_go_both_ways_in_bounded_pages(store: EventStore) -> None:
    """Streams by version, category and log by position; no page beyond the limit."""
    await store.append("tick-1", [tick(1, n) for n in range(30)], expected=NEW)
    await store.append("tick-2", [tick(2, n) for n in range(5)], expected=NEW)
    await store.append("clock-1", [tick(3, n) for n in range(5)], expected=NEW)

    def positions(events: Any) -> list[int]:
        return [event.position for event in events]

    assert [11, 12] == positions(await store.read_stream("tick-1", after=10, limit=2))
    assert [30, 29] == positions(await store.read_stream_backwards("tick-1", limit=2))
    assert [35, 34] == positions(await store.read_category_backwards("tick", before=36, limit=2))
    assert [31, 32] == positions(await store.read_category("tick", after=30, limit=2))
    assert [36] == positions(await store.read_all(after=35, limit=1))
    assert [40, 39] == positions(await store.read_all_backwards(limit=2))
    assert list(range(1, 41)) == positions([event async for event in store.replay(page=7)])
    assert [3, 4] == positions([event async for event in store.replay(after=2, until=4)])
    for limit in (0, -1, PAGE_EVENTS_MAX + 1):
        with pytest.raises(InvalidName):
            await store.read_all(limit=limit)


async def test_a_category_ends_at_the_first_hyphen(store: EventStore) -> None:
    """Names without one are a category of their own; keys may have hyphens."""
    for name in ("tick", "tick-1", "tick-1-b", "ticker-1"):
        await store.append(name, [tick(0, 0)], expected=NEW)

    found = await store.read_category("tick")
    assert ["tick", "tick-1", "tick-1-b"] == [event.stream for event in found]
    assert "tick-7" == stream_name("tick", 7)
    with pytest.raises(InvalidName):
        stream_name("tick-tock", 7)


async def test_an_append_of_thousands_is_one_append(store: EventStore) -> None:
    """Ten thousand events at once, in order; one more is refused."""
    events = [Ticked(0, n) for n in range(10_000)]
    done = await store.append("tick-1", events, expected=NEW)
    assert (10_000, 10_000) == (done.position, done.version)
    assert list(range(10_000)) == [event.data.number async for event in store.replay()]
    with pytest.raises(InvalidName, match="more than 10000"):
        await store.append("tick-2", [*events, Ticked(0, 0)], expected=NEW)


async def test_a_follower_sees_its_own_and_others_appends(
    store: EventStore, store_url: str
) -> None:
    """From the middle, live, each once and in order, whoever commits."""
    await store.append("tick-0", [tick(0, n) for n in range(3)], expected=NEW)
    seen: list[int] = []

    async def follow() -> None:
        async for event in store.follow(after=1):
            seen.append(event.position)
            if len(seen) == 42:
                return

    follower = asyncio.create_task(follow())
    async with await open_store(store_url, registry=registry) as other:
        for n in range(20):
            await store.append("tick-1", [tick(1, n)], expected=n)
            await other.append("tick-2", [tick(2, n)], expected=n)
        await asyncio.wait_for(follower, 30)

    assert list(range(2, 44)) == seen


async def test_a_follower_outlives_its_connections(
    postgres_schema_url: str, postgres_url: str
) -> None:
    """Every connection of the store is ended from outside, again and again: nothing is missed."""
    schema = postgres_schema_url.rpartition("=")[2]
    mine = f"{postgres_schema_url}&application_name={schema}"
    seen: list[int] = []
    async with (
        await open_store(postgres_schema_url, registry=registry) as writer,
        await open_store(mine, registry=registry) as reader,
    ):

        async def follow() -> None:
            async for event in reader.follow(after=0):
                seen.append(event.position)
                if len(seen) == 30:
                    return

        follower, ended = asyncio.create_task(follow()), 0
        for n in range(30):
            await writer.append("tick-1", [tick(1, n)], expected=n)
            if n % 10 == 5:
                with psycopg.connect(postgres_url, autocommit=True) as outside:
                    ended += len(outside.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE application_name = %s", (schema,),
                    ).fetchall())  # fmt: skip
            await asyncio.sleep(0.02)
        await asyncio.wait_for(follower, 60)

    assert ended > 0
    assert list(range(1, 31)) == seen


@pytest.mark.parametrize(
    "name",
    [
        "tick",
        "tick-",
        "-tick",
        "a b",
        "a'b\"c",
        "100%_x",
        "\u00e9\u4e2d-\U0001f600",
        "x" * 255,
        "$$;--",
    ],
)
async def test_odd_names_are_names(store: EventStore, name: str) -> None:
    """Streams, keys, tenants and fences with quotes, wildcards, spaces and other alphabets."""
    view = store.for_tenant(name)
    fence = Fence(name, 1)
    done = await view.append(name, [tick(0, 0)], expected=NEW, key=name, fence=fence)
    again = await view.append(name, [tick(0, 1)], expected=1, fence=fence)

    assert ({name: 1}, {name: 2}) == (done.versions, again.versions)
    assert [(name, name)] * 2 == [(one.stream, one.tenant) for one in await view.read_stream(name)]
    assert 2 == await view.stream_version(name)
    assert [name] == [one[0] for one in await view.streams()]


@pytest.mark.parametrize("name", ["", "a\0b", "a\nb", "\ud800", "x" * 256, 7, None])
async def test_what_cannot_be_a_name_is_refused(store: EventStore, name: Any) -> None:
    """Before anything is written, on writing and on reading alike."""
    with pytest.raises(InvalidName):
        await store.append(name, [tick(0, 0)], expected=NEW)
    with pytest.raises(InvalidName):
        await store.read_stream(name)
    with pytest.raises(InvalidName):
        store.for_tenant(name)

    assert 0 == await store.head()


async def test_metadata_comes_back_and_causes_are_linked(store: EventStore) -> None:
    """Correlation, causation, actor, trace, tenant, recorded time, a UUID version 7 as id."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    own = Metadata(correlation="c", causation="b", actor="ann", traceparent=trace, extra={"a": "b"})
    await store.append("tick-1", [Ticked(0, 0)], expected=NEW, metadata=own)
    first = (await store.read_all())[0]
    follow_up = NewEvent(Ticked(0, 1), metadata=first.caused(actor="bot"))
    await store.append("tick-1", [follow_up], expected=1)
    second = (await store.read_all())[1]

    assert own == first.metadata
    assert (7, "main") == (first.id.version, first.tenant)
    assert abs(store.clock.now_us() - first.recorded_us) < 60_000_000
    assert ("c", str(first.id), "bot", trace) == (
        second.metadata.correlation, second.metadata.causation, second.metadata.actor,
        second.metadata.traceparent,
    )  # fmt: skip
    assert isinstance(second.id, UUID)


kinds = Registry()


@kinds.event(name="bank.StructWritten", version=3)
class StructWritten(msgspec.Struct, frozen=True):
    n: int
    tags: list[str] = []


@kinds.event
@dataclasses.dataclass(frozen=True)
class DataclassWritten:
    n: int
    tags: list[str] = dataclasses.field(default_factory=list)


@kinds.event
@attrs.frozen
class AttrsWritten:
    n: int
    tags: list[str] = attrs.Factory(list)


@kinds.event
class PydanticWritten(pydantic.BaseModel):
    n: int
    tags: list[str] = []


@kinds.event
class PlainWritten:
    n: int
    tags: list[str] = []  # noqa: RUF012 -- becomes a field of a frozen Struct


@pytest.mark.parametrize(
    "kind", [StructWritten, DataclassWritten, AttrsWritten, PydanticWritten, PlainWritten]
)
async def test_events_are_written_in_the_style_one_likes(store_url: str, kind: Any) -> None:
    """Each comes back as its own class, equal, under its registered name and version."""
    event = kind(n=7, tags=["a", "\u00e9"])
    async with await open_store(store_url, registry=kinds) as store:
        await store.append("note-1", [event], expected=NEW)
        found = (await store.read_all())[0]

    assert event == found.data
    assert kind is type(found.data)
    version = 3 if kind is StructWritten else 1
    assert (kinds.of(event).name, version) == (found.type, found.type_version)
    assert "." not in found.type or found.type == "bank.StructWritten"


async def test_fields_may_be_added_with_a_default_and_dropped(store_url: str) -> None:
    """The weak schema: old events are read by new classes and the other way round."""
    old, new = Registry(), Registry()

    class OldNote(msgspec.Struct, frozen=True):
        n: int
        gone: str = "x"

    class NewNote(msgspec.Struct, frozen=True):
        n: int
        added: str = "default"

    old.register(OldNote, name="NoteWritten")
    new.register(NewNote, name="NoteWritten")
    async with await open_store(store_url, registry=old) as store:
        await store.append("note-1", [OldNote(1)], expected=NEW)
    async with await open_store(store_url, registry=new) as store:
        assert NewNote(1) == (await store.read_all())[0].data
        await store.append("note-1", [NewNote(2, "more")], expected=1)
    async with await open_store(store_url, registry=old) as store:
        assert OldNote(2) == (await store.read_all())[1].data


async def test_a_caller_who_gives_up_stops_nobody(store: EventStore) -> None:
    """A cancelled append leaves the others alone; its own is stored or not, and never half."""
    jobs = [
        asyncio.create_task(store.append(f"tick-{n}", [tick(n, 0), tick(n, 1)], expected=NEW))
        for n in range(40)
    ]
    await asyncio.sleep(0)
    for job in jobs[::4]:
        job.cancel()
    results = await asyncio.gather(*jobs, return_exceptions=True)

    assert 30 == sum(not isinstance(result, BaseException) for result in results)
    versions = {await store.stream_version(f"tick-{n}") for n in range(0, 40, 4)}
    assert versions <= {0, 2}
    head = await store.head()
    assert head == len([event async for event in store.replay()])


async def test_a_closed_store_says_so_and_finishes_what_was_queued(store_url: str) -> None:
    """Nothing that waits is left without an answer."""
    store = await open_store(store_url, registry=registry)
    jobs = [asyncio.create_task(store.append(f"t-{n}", [tick(n, 0)], expected=0)) for n in range(9)]
    await asyncio.sleep(0)
    await store.close()
    done = await asyncio.gather(*jobs)
    assert 9 == len({answer.position for answer in done})
    with pytest.raises(Exception, match="closed"):
        await store.append("t-1", [tick(0, 0)], expected=ANY)
    await store.close()
