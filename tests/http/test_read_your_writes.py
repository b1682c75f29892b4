"""Positions over HTTP: the dependency, the middleware, and the answers they give."""

# No "from __future__ import annotations": FastAPI reads these annotations.

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from goldseam import Goldseam, Projection, Recorded, Registry, handles
from goldseam.http import Reads, ReadYourWrites, install_problems, read_after, read_model_router

registry = Registry()


@registry.event
class DepositApplied:
    amount: int


class Balances(Projection):
    name = "balances"
    tables = "CREATE TABLE {balances} (account TEXT PRIMARY KEY, cents BIGINT NOT NULL)"

    @handles(DepositApplied)
    async def deposited(self, event: Recorded[DepositApplied], db: Any) -> None:
        await db.execute(
            "INSERT INTO {balances} VALUES (:account, :cents) ON CONFLICT (account) DO UPDATE SET"
            " cents = {balances}.cents + excluded.cents",
            {"account": event.stream, "cents": event.data.amount},
        )


@contextmanager
def application(url: str) -> Iterator[tuple[TestClient, Goldseam]]:
    """An application of a user's own, with the dependency and the read models' routes."""
    bank = Goldseam(url, projections=[Balances()], registry=registry)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with bank:
            yield

    app = FastAPI(lifespan=lifespan)
    install_problems(app)
    app.include_router(read_model_router(lambda: bank))
    balances = Depends(read_after(lambda: bank.read_model("balances")))

    @app.post("/deposit/{cents}")
    async def deposit(cents: int) -> dict[str, Any]:
        done = await bank.store.append("account-1", [DepositApplied(amount=cents)], expected=-2)
        return {"position": done.position, "token": done.token}

    @app.get("/balance")
    async def balance(reads: Annotated[Reads, balances]) -> dict[str, int]:
        rows = await reads.fetch("SELECT cents FROM balances WHERE account = 'account-1'")
        return {"cents": rows[0][0] if rows else 0}

    with TestClient(app) as client:
        yield client, bank


def test_a_read_gets_503_until_its_write_is_there(store_url: str) -> None:
    """Behind: 503 with Retry-After, position and target; then 200 with the write in it."""
    with application(store_url) as (client, _):
        client.post("/read-models/balances/pause")
        done = client.post("/deposit/50").json()
        early = client.get("/balance", params={"after": done["position"]})
        client.post("/read-models/balances/resume")
        late = client.get(
            "/balance", params={"after": done["token"]}, headers={"Prefer": "wait=20"}
        )

    assert 503 == early.status_code
    assert int(early.headers["Retry-After"]) >= 1
    assert (0, done["position"]) == (early.json()["position"], early.json()["target"])
    assert (200, {"cents": 50}) == (late.status_code, late.json())


def test_the_position_may_come_in_a_header(store_url: str) -> None:
    """``Goldseam-Min-Position`` says the same as ``?after=``."""
    with application(store_url) as (client, _):
        client.post("/read-models/balances/pause")
        done = client.post("/deposit/50").json()
        answer = client.get("/balance", headers={"Goldseam-Min-Position": done["token"]})

    assert 503 == answer.status_code


@pytest.mark.parametrize("after", ["-1", "99999", "abc", "1.5", "gs-00000000-1-00000000", "9" * 30])
def test_tokens_that_were_never_given_out_are_400(store_url: str, after: str) -> None:
    """Negative, future, malformed, foreign, too large: never a hang, never an answer."""
    with application(store_url) as (client, _):
        client.post("/deposit/50")
        answer = client.get("/balance", params={"after": after}, headers={"Prefer": "wait=5"})

    assert 400 == answer.status_code
    assert "urn:goldseam:problem:invalid-position" == answer.json()["type"]


def test_rows_of_a_read_model_by_column(store_url: str) -> None:
    """Rows with a column equal to a value; other tables and columns are refused."""
    with application(store_url) as (client, _):
        done = client.post("/deposit/50").json()
        rows = client.get(
            "/read-models/balances/rows",
            params={"account": "account-1", "after": done["token"]},
            headers={"Prefer": "wait=20"},
        )
        none = client.get("/read-models/balances/rows", params={"account": "x' OR '1'='1"})
        column = client.get("/read-models/balances/rows", params={'cents" OR 1=1 --': "1"})
        table = client.get("/read-models/balances/rows", params={"table": "goldseam_events"})

        nul = client.get("/read-models/balances/rows", params={"account": "a\0b"})

    assert 400 == nul.status_code, nul.text
    assert [{"account": "account-1", "cents": 50}] == rows.json()["rows"]
    assert [] == none.json()["rows"]
    assert (400, 404) == (column.status_code, table.status_code)


def middleware_app(bank: Goldseam, *, meanwhile: bool) -> Starlette:
    """A plain Starlette application that knows nothing of positions."""

    async def balance(_: Request) -> JSONResponse:
        model = bank.read_model("balances")
        if meanwhile:
            await bank.projections["balances"].reset()
        rows = await model.fetch("SELECT cents FROM balances")
        return JSONResponse({"cents": rows[0][0] if rows else 0})

    return Starlette(routes=[Route("/balance", balance)])


async def asked(app: Any, after: object) -> tuple[int, bytes]:
    """One request through an ASGI application, without a server."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/balance",
        "query_string": f"after={after}".encode(),
        "headers": [(b"prefer", b"wait=20")],
    }
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:])


@pytest.mark.parametrize("meanwhile", [False, True])
async def test_the_middleware_never_passes_an_older_state(
    store_url: str, *, meanwhile: bool
) -> None:
    """An answer made while the projection was reset is withheld: 503, not the empty balance."""
    async with Goldseam(store_url, projections=[Balances()], registry=registry) as bank:
        done = await bank.store.append("account-1", [DepositApplied(amount=50)], expected=0)
        app = middleware_app(bank, meanwhile=meanwhile)
        guarded = ReadYourWrites(app, lambda: bank.read_model("balances"))
        status, body = await asyncio.wait_for(asked(guarded, done.position), 30)

    if meanwhile:
        assert 503 == status
        assert b"not-yet-projected" in body
    else:
        assert (200, b'{"cents":50}') == (status, body)


async def test_control_without_the_second_look_the_older_state_gets_through(store_url: str) -> None:
    """A check before the handler alone lets a reset in between show the empty balance."""
    async with Goldseam(store_url, projections=[Balances()], registry=registry) as bank:
        done = await bank.store.append("account-1", [DepositApplied(amount=50)], expected=0)
        await bank.projections["balances"].pause()
        model = bank.read_model("balances")
        await bank.projections["balances"].resume()
        await model.require(done.position, wait=20)
        await bank.projections["balances"].pause()
        status, body = await asked(middleware_app(bank, meanwhile=True), done.position)

    assert (200, b'{"cents":0}') == (status, body)


@pytest.mark.parametrize("after", ["", "-1", "99999", "abc"])
async def test_the_middleware_refuses_what_is_no_position(sqlite_url: str, after: str) -> None:
    """An empty one too: it must not pass for no position at all."""
    async with Goldseam(sqlite_url, projections=[Balances()], registry=registry) as bank:
        app = middleware_app(bank, meanwhile=False)
        status, body = await asked(ReadYourWrites(app, lambda: bank.read_model("balances")), after)

    assert 400 == status
    assert b"invalid-position" in body
