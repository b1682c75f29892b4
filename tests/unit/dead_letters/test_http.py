"""The routes of dead letters: anybody looks without payloads, administrators act."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from goldseam.http import install_problems
from goldseam.http.dead_letters import dead_letters_router
from goldseam.resilience.clock import SystemClock
from goldseam.runtime.wiring import open_database
from tests.unit.dead_letters.made import letter, parked, queued, tables
from tests.unit.healing.test_http import As

READER = {"x-role": "read"}
ASKED = {"consumer": "billing", "reason": "mended", "by": "ann"}


@pytest.fixture
def client(store_url: str) -> Iterator[TestClient]:
    async def filled() -> None:
        async with tables(store_url) as database:
            await parked(database, letter(1), queued(2), letter(3, "b", type="OrderPaid"))

    asyncio.run(filled())
    app, database = FastAPI(), open_database(store_url)
    install_problems(app)
    app.router.on_shutdown.append(database.close)
    app.include_router(dead_letters_router(lambda: database, SystemClock()), prefix="/v1")
    app.add_middleware(As)
    with TestClient(app, "http://localhost", raise_server_exceptions=False) as one:
        yield one


def test_a_reader_sees_letters_and_causes_but_no_payloads(client: TestClient) -> None:
    """Pages, filters, groups, one letter; the payload is for administrators."""
    page = client.get("/v1/dead-letters?limit=2", headers=READER).json()
    assert (3, 2) == (page["total"], len(page["letters"]))
    rest = client.get(f"/v1/dead-letters?after={page['next']}", headers=READER).json()
    assert (1, None) == (len(rest["letters"]), rest["next"])
    paid = client.get("/v1/dead-letters?type=OrderPaid", headers=READER).json()
    assert 1 == paid["total"]
    groups = client.get("/v1/dead-letters/groups", headers=READER).json()["groups"]
    assert [1, 1] == [one["letters"] for one in groups]
    where = f"/v1/dead-letters/{page['letters'][0]['id']}"
    assert "value" not in client.get(where, headers=READER).json()
    assert 403 == client.get(f"{where}?payload=true", headers=READER).status_code
    assert '{"amount":1}' == client.get(f"{where}?payload=true").json()["value"]
    assert 404 == client.get("/v1/dead-letters/999", headers=READER).status_code
    assert 422 == client.get("/v1/dead-letters?state=odd", headers=READER).status_code


def test_an_administrator_redrives_and_discards(client: TestClient) -> None:
    """A preview, a redrive, a letter out of turn, a discard; all of it in the letter's history."""
    first, second, third = (one["id"] for one in client.get("/v1/dead-letters").json()["letters"])
    ask, drop = "/v1/dead-letters/redrive", "/v1/dead-letters/discard"
    assert 403 == client.post(ask, json=ASKED, headers=READER).status_code
    (seen,) = client.post(ask, json={**ASKED, "dryRun": True}).json()["asked"]
    assert (3, None) == (seen["letters"], seen["action"])
    (asked,) = client.post(ask, json={**ASKED, "type": "OrderPaid", "rate": 5}).json()["asked"]
    assert 1 == asked["letters"]
    refused = client.post(ask, json={**ASKED, "letters": [second]})
    assert 409 == refused.status_code
    assert "not-the-first" in refused.json()["type"]
    assert 422 == client.post(drop, json=ASKED).status_code
    done = client.post(drop, json={**ASKED, "letters": [first]}).json()
    assert [second] == done["next_letters"]
    assert 409 == client.post(drop, json={**ASKED, "letters": [first]}).status_code
    history = client.get(f"/v1/dead-letters/{third}").json()["actions"]
    assert [("redrive", "ann", "mended")] == [(a["what"], a["who"], a["why"]) for a in history]


def test_nobody_acts_in_another_name(client: TestClient) -> None:
    """The token says who it is."""
    answer = client.post("/v1/dead-letters/redrive", json=ASKED, headers={"x-name": "bob"})
    assert 409 == answer.status_code
