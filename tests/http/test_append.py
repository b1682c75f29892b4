"""Appending over HTTP: preconditions, idempotency, fences, several streams."""

from __future__ import annotations

import asyncio
import uuid
from functools import partial
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from goldseam import EventStore, Registry, open_store
from goldseam.http import install_problems, store_router

OPENED: dict[str, Any] = {"events": [{"type": "AccountOpened", "data": {"owner": "Ann"}}]}
DEPOSIT: dict[str, Any] = {"events": [{"type": "DepositApplied", "data": {"amount": 50}}]}
NEW = {"If-None-Match": "*"}


def test_a_write_answers_201_with_its_position(served: TestClient) -> None:
    """Position, token, version, ETag and Location are those of the write."""
    answer = served.post("/v1/streams/account-1", json=OPENED, headers=NEW)

    assert 201 == answer.status_code
    assert 1 == answer.json()["position"]
    assert answer.json()["token"] == answer.headers["Goldseam-Position"]
    assert '"1"' == answer.headers["ETag"]
    assert "/v1/streams/account-1" == answer.headers["Location"]


def test_a_write_must_say_what_it_expects(served: TestClient) -> None:
    """Without a precondition the answer is 428; said twice it is 400."""
    unsaid = served.post("/v1/streams/account-1", json=OPENED)
    twice = served.post("/v1/streams/account-1", json={**OPENED, "expected": "any"}, headers=NEW)

    assert (428, 400) == (unsaid.status_code, twice.status_code)
    assert 0 == served.get("/v1/head").json()["position"]


def test_a_conflict_is_412_with_both_versions(served: TestClient) -> None:
    """The second writer on one version is told the expected and the actual one."""
    served.post("/v1/streams/account-1", json=OPENED, headers=NEW)
    served.post("/v1/streams/account-1", json=DEPOSIT, headers={"If-Match": '"1"'})

    late = served.post("/v1/streams/account-1", json=DEPOSIT, headers={"If-Match": '"1"'})

    assert 412 == late.status_code
    assert (1, 2) == (late.json()["expected"], late.json()["actual"])
    assert "application/problem+json" == late.headers["Content-Type"]


def test_if_match_star_means_that_the_stream_exists(served: TestClient) -> None:
    """On a stream without events it is 412, on one with events it holds."""
    star = {"If-Match": "*"}

    assert 412 == served.post("/v1/streams/a-1", json=DEPOSIT, headers=star).status_code
    served.post("/v1/streams/a-1", json=OPENED, headers=NEW)
    assert 201 == served.post("/v1/streams/a-1", json=DEPOSIT, headers=star).status_code


def test_the_same_key_is_answered_from_the_first_write(served: TestClient) -> None:
    """A repeated request writes nothing new and says so; another body under the key is 422."""
    key = {**NEW, "Idempotency-Key": f'"{uuid.uuid4()}"'}
    first = served.post("/v1/streams/account-1", json=OPENED, headers=key)
    again = served.post("/v1/streams/account-1", json=OPENED, headers=key)
    other = served.post("/v1/streams/account-1", json=DEPOSIT, headers=key)

    assert first.json()["position"] == again.json()["position"]
    assert "true" == again.headers["Idempotency-Replayed"]
    assert 422 == other.status_code
    assert 1 == served.get("/v1/head").json()["position"]


def test_a_bare_key_is_taken_and_an_empty_one_refused(served: TestClient) -> None:
    """Both spellings that are in use work; what is neither gets 400."""
    bare = served.post(
        "/v1/streams/a-1", json=OPENED, headers={**NEW, "Idempotency-Key": "abc-123"}
    )
    empty = served.post("/v1/streams/a-2", json=OPENED, headers={**NEW, "Idempotency-Key": '""'})

    assert (201, 400) == (bare.status_code, empty.status_code)


def test_the_same_event_id_is_stored_once(served: TestClient) -> None:
    """An id sent twice gets the first answer."""
    body = {"events": [{"type": "T", "data": {}, "id": str(uuid.uuid4())}], "expected": "any"}
    first, again = (served.post("/v1/streams/a-1", json=body) for _ in range(2))

    assert (1, 1) == (first.json()["position"], again.json()["position"])
    assert again.json()["replayed"]


def test_a_stale_fence_is_409(served: TestClient) -> None:
    """A token lower than one that was seen is refused and both are named."""
    body = {**DEPOSIT, "expected": "any"}
    served.post("/v1/streams/a-1", json=body, headers={"Goldseam-Fence": "shard-1=7"})

    stale = served.post("/v1/streams/a-1", json=body, headers={"Goldseam-Fence": "shard-1=6"})

    assert 409 == stale.status_code
    assert (6, 7) == (stale.json()["token"], stale.json()["current"])


def test_several_streams_are_all_or_nothing(served: TestClient) -> None:
    """One conflict among several streams refuses all of them."""
    one = {"stream": "a-1", "expected": "new", **OPENED}
    both = {"streams": [one, {"stream": "a-2", "expected": 5, **DEPOSIT}]}
    good = {"streams": [one, {"stream": "a-2", "expected": "new", **DEPOSIT}]}

    assert 412 == served.post("/v1/append", json=both).status_code
    assert 0 == served.get("/v1/head").json()["position"]
    assert {"a-1": 1, "a-2": 1} == served.post("/v1/append", json=good).json()["versions"]


def test_tenants_do_not_see_each_other(served: TestClient) -> None:
    """The same stream name and the same key mean two things for two tenants."""
    headers = {**NEW, "Idempotency-Key": "k"}
    for tenant in ("acme", "umbrella"):
        answer = served.post(
            "/v1/streams/a-1", json=OPENED, headers={**headers, "Goldseam-Tenant": tenant}
        )
        assert (201, False) == (answer.status_code, answer.json()["replayed"])

    assert 404 == served.get("/v1/streams/a-1").status_code
    seen = served.get("/v1/events", headers={"Goldseam-Tenant": "acme"}).json()["events"]
    assert 1 == len(seen)


@pytest.mark.parametrize("stream", ["über-1", "日本-1", "a/b-1", "a b?#%&-1", "..-1", "x'\"-1"])
def test_a_stream_may_be_called_anything_printable(served: TestClient, stream: str) -> None:
    """A name that no header can carry as it is comes back quoted: never 500 after the commit."""
    path = f"/v1/streams/{quote(stream, safe='')}"
    wrote = served.post(path, json=OPENED, headers=NEW)
    again = served.get(wrote.headers["Location"], params={"limit": 1})
    following = served.get(again.json()["next"])

    assert (201, {stream: 1}) == (wrote.status_code, wrote.json()["versions"])
    assert [stream] == [one["stream"] for one in again.json()["events"]]
    assert (200, []) == (following.status_code, following.json()["events"])
    assert wrote.headers["Location"].isascii()


async def test_a_key_that_is_being_worked_on_is_409(sqlite_url: str) -> None:
    """The second request with one key is told to come back while the first is still running."""
    begun, finish = asyncio.Event(), asyncio.Event()

    class Slow:
        """The store, whose appends wait to be let go."""

        def __init__(self, store: EventStore) -> None:
            self.store = store

        def __getattr__(self, name: str) -> Any:
            return getattr(self.store, name)

        async def append_all(self, *arguments: Any, **options: Any) -> Any:
            begun.set()
            await finish.wait()
            return await self.store.append_all(*arguments, **options)

    types = Registry(open_to_unknown=True)
    async with await open_store(sqlite_url, registry=types) as store:
        slow: Any = Slow(store)
        app = FastAPI()
        install_problems(app)
        app.include_router(store_router(lambda: slow))
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            send = partial(
                client.post, "/streams/a-1", json=OPENED, headers={**NEW, "Idempotency-Key": "k"}
            )
            first = asyncio.create_task(send())
            await begun.wait()
            second = await send()
            finish.set()
            third = (await first, await send())

    assert (409, "1") == (second.status_code, second.headers["Retry-After"])
    assert "urn:goldseam:problem:idempotency-in-progress" == second.json()["type"]
    assert (201, 201) == tuple(one.status_code for one in third)
    assert "true" == third[1].headers["Idempotency-Replayed"]


async def test_a_mounted_store_of_one_tenant_shows_no_other(sqlite_url: str) -> None:
    """A router over ``for_tenant`` stays there without a header, and with another's is 403."""
    types = Registry(open_to_unknown=True)
    async with await open_store(sqlite_url, registry=types) as store:
        acme = store.for_tenant("acme")
        app = FastAPI()
        install_problems(app)
        app.include_router(store_router(lambda: acme))
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            wrote = await client.post("/streams/a-1", json=OPENED, headers=NEW)
            other = await client.get("/events", headers={"Goldseam-Tenant": "main"})
        stored = len(await acme.read_all()), len(await store.read_all())

    assert (201, 403) == (wrote.status_code, other.status_code)
    assert (1, 0) == stored
