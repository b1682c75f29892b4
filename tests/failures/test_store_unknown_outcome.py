"""store/unknown-outcome: the commit happened, its answer never came; a retry writes nothing twice.

On PostgreSQL a proxy swallows the server's answer; on both stores a process is killed between
its commit and its answer. What is stored is read from outside. The control retries under new ids.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest

from goldseam import ANY, CommitUnknown, EventStore, NewEvent, StoreUnavailable, open_store
from goldseam.backends.postgres import lane
from goldseam.store.batch import Batch, Verdict
from goldseam.telemetry.signals import signals
from goldseam.testing.tcp_proxy import TcpProxy
from tests.faults.ledger import ParcelScanned, stored
from tests.faults.processes import program

UNKNOWN = "goldseam_commit_unknown_total"
IDS = ["7f9c2ba4-e88f-427d-9161-55f9d4f0a1e1", "0e5c0f5c-0e57-4f0a-8f52-0c8bb8a6d7aa"]


def _events(marks: list[str], ids: list[str]) -> list[NewEvent]:
    pairs = zip(marks, ids, strict=True)
    return [NewEvent(ParcelScanned(mark=mark), id=UUID(text)) for mark, text in pairs]


def _marks(url: str) -> list[str]:
    return [one.mark for one in stored(url)]


def _through(proxy: TcpProxy, url: str) -> str:
    parts = urlsplit(url)
    return url.replace(f":{parts.port}/", f":{proxy.port}/")


@pytest.fixture
async def proxy(postgres_schema_url: str) -> AsyncIterator[TcpProxy]:
    """A proxy in front of PostgreSQL."""
    parts = urlsplit(postgres_schema_url)
    assert parts.hostname is not None
    assert parts.port is not None
    async with TcpProxy(parts.hostname, parts.port) as proxy:
        yield proxy


@pytest.mark.parametrize("count", [1, 2])
async def test_a_lost_answer_is_found_again_by_the_store_itself(
    proxy: TcpProxy, postgres_schema_url: str, count: int
) -> None:
    """The caller gets the first result as if nothing had happened; it is stored once."""
    marks = ["lost-answer", "second"][:count]
    async with await open_store(_through(proxy, postgres_schema_url)) as store:
        await store.append("parcel-1", [ParcelScanned(mark="before")], expected=0)
        before = signals.value(UNKNOWN)
        proxy.lose_answer_to(b"lost-answer")
        done = await store.append("parcel-1", [ParcelScanned(mark=m) for m in marks], expected=1)
        assert 1 == proxy.answers_lost
        assert before + 1 == signals.value(UNKNOWN)
        assert (2, 1 + count, True) == (done.first_position, done.position, done.replayed)
    assert ["before", *marks] == _marks(postgres_schema_url)


async def test_when_the_store_stays_away_the_caller_is_told_that_it_is_unknown(
    proxy: TcpProxy, postgres_schema_url: str
) -> None:
    """The error names the event ids; the same append later gets the first result."""
    url = _through(proxy, postgres_schema_url)
    events = _events(["lost-answer", "b"], IDS)
    async with await open_store(url, retry_seconds=0) as store:
        await store.append("parcel-1", [ParcelScanned(mark="before")], expected=0)
        proxy.lose_answer_to(b"lost-answer")
        with pytest.raises(CommitUnknown) as caught:
            await store.append("parcel-1", events, expected=1)
        assert tuple(IDS) == caught.value.event_ids
        assert caught.value.retry_safe
        assert ["before", "lost-answer", "b"] == _marks(postgres_schema_url)
        done = await store.append("parcel-1", events, expected=1)
        assert (2, 3, True) == (done.first_position, done.position, done.replayed)
    assert ["before", "lost-answer", "b"] == _marks(postgres_schema_url)


async def test_a_lost_answer_stays_unknown_though_later_tries_surely_fail(
    proxy: TcpProxy, postgres_schema_url: str
) -> None:
    """A refused connection after the lost answer must not turn unknown into not stored."""
    url = _through(proxy, postgres_schema_url)
    async with await open_store(url, retry_seconds=0.5) as store:
        await store.append("parcel-1", [ParcelScanned(mark="before")], expected=0)
        send = store.database.append

        async def then_refuse(batch: Batch) -> list[Verdict]:
            try:
                return await send(batch)
            except CommitUnknown:
                await proxy.refuse()
                raise

        store.database.append = then_refuse  # type: ignore[method-assign]
        proxy.lose_answer_to(b"lost-answer")
        with pytest.raises(CommitUnknown):
            await store.append("parcel-1", _events(["lost-answer"], IDS[:1]), expected=1)
    assert ["before", "lost-answer"] == _marks(postgres_schema_url)


async def test_a_server_that_falls_silent_is_given_up_and_its_commit_is_unknown(
    proxy: TcpProxy, postgres_schema_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pulled cable breaks no connection: the deadline does; with the cable back it goes on."""
    monkeypatch.setattr(lane, "ANSWER_SECONDS_MAX", 0.2)
    async with await open_store(_through(proxy, postgres_schema_url), retry_seconds=0) as store:
        await store.append("parcel-1", [ParcelScanned(mark="before")], expected=0)
        assert 1 == len(await store.read_all())
        proxy.blackhole()
        events = _events(["a"], IDS[:1])
        with pytest.raises(CommitUnknown, match="has not answered"):
            await store.append("parcel-1", events, expected=1)
        proxy.heal()
        monkeypatch.undo()
        done = await store.append("parcel-1", events, expected=1)
        assert 2 == done.position
    assert ["before", "a"] == _marks(postgres_schema_url)


@pytest.mark.parametrize("means", ["ids", "key"])
async def test_a_process_killed_after_its_commit_is_continued_by_the_next(
    store_url: str, means: str
) -> None:
    """The next process sends the same ids or key and gets the answer that was never given."""
    marks = ["a", "b"]
    order = {"stream": "parcel-1", "marks": marks}
    order |= {"ids": IDS} if means == "ids" else {"key": "scan-1"}
    await (await open_store(store_url)).close()
    with program("client", store_url, "--die-after-commit") as client:
        assert "ready" == client.line()
        client.say(json.dumps(order))
        assert not client.line()
        assert -9 == client.ended()
    assert marks == _marks(store_url)
    with program("client", store_url) as client:
        assert "ready" == client.line()
        client.say(json.dumps(order))
        assert [{"first": 1, "last": 2, "replayed": True}] == json.loads(client.line())
    assert marks == _marks(store_url)


def _lose_answers(store: EventStore) -> None:
    """From now on the store's commits happen and their answers do not come."""
    send = store.database.append

    async def append(batch: Batch) -> list[Verdict]:
        await send(batch)
        raise CommitUnknown((), "the answer is lost")

    store.database.append = append  # type: ignore[method-assign]


async def test_each_caller_of_a_group_commit_is_told_its_own_event_ids(store_url: str) -> None:
    """The error of the whole batch is not the error of its callers."""
    async with await open_store(store_url, retry_seconds=0) as store:
        _lose_answers(store)
        for mark, one in zip("ab", IDS, strict=True):
            with pytest.raises(CommitUnknown) as caught:
                await store.append("parcel-1", _events([mark], [one]), expected=ANY)
            assert (one,) == caught.value.event_ids
    assert ["a", "b"] == _marks(store_url)


async def test_what_surely_was_not_sent_is_not_called_unknown(
    proxy: TcpProxy, postgres_schema_url: str
) -> None:
    """A refused connection means that nothing was written, and says so."""
    url = _through(proxy, postgres_schema_url)
    async with await open_store(url, retry_seconds=0) as store:
        await proxy.refuse()
        with pytest.raises(StoreUnavailable, match="nothing was written"):
            await store.append("parcel-1", [ParcelScanned(mark="a")], expected=ANY)
    assert [] == _marks(postgres_schema_url)


async def test_control_a_retry_under_new_ids_doubles_the_event(store_url: str) -> None:
    """The same lost answer, answered by a caller who sends the fact as a new one."""
    async with await open_store(store_url, retry_seconds=0) as store:
        _lose_answers(store)
        with pytest.raises(CommitUnknown):
            await store.append("parcel-1", _events(["a"], IDS[:1]), expected=ANY)
    async with await open_store(store_url) as store:
        await store.append("parcel-1", _events(["a"], [str(uuid4())]), expected=ANY)
    assert ["a", "a"] == _marks(store_url)
