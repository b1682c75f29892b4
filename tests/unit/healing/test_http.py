"""The healing routes: looked at first, appended once, administrators only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from goldseam import Goldseam, NewEvent, open_store
from goldseam.http import install_problems
from goldseam.http.healing import healing_router
from goldseam.resilience.clock import uuid7_bytes
from tests.crashes.outside import query
from tests.unit.healing.bank import Account, Balances, DepositApplied, FeeCharged, Totals, registry

COUNT = "SELECT count(*) FROM goldseam_events"


class As:
    """A door that has found out who is there."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        said = dict(scope.get("headers", []))
        scope["goldseam.role"] = said.get(b"x-role", b"admin").decode()
        if b"x-name" in said:
            scope["goldseam.name"] = said[b"x-name"].decode()
        await self._app(scope, receive, send)


async def filled(url: str) -> tuple[str, str]:
    wrong, fee = (UUID(bytes=uuid7_bytes()) for _ in range(2))
    async with await open_store(url, registry=registry) as store:
        events = [NewEvent(DepositApplied(50), wrong), NewEvent(FeeCharged(5), fee)]
        await store.append("account-1", events, expected=0)
    return str(wrong), str(fee)


@pytest.fixture
def client(store_url: str) -> Iterator[TestClient]:
    app = FastAPI()
    install_problems(app)
    goldseam = Goldseam(store_url, [Totals(), Balances()], registry=registry, run=False)

    async def opened() -> None:
        await goldseam.open()

    async def closed() -> None:
        await goldseam.close()

    app.router.on_startup.append(opened)
    app.router.on_shutdown.append(closed)
    app.include_router(healing_router(lambda: goldseam, aggregates=(Account,)), prefix="/v1")
    app.add_middleware(As)
    with TestClient(app, "http://localhost", raise_server_exceptions=False) as one:
        yield one


def asked(event_id: str, **more: Any) -> dict[str, Any]:
    return {
        "eventId": event_id, "set": {"amount": 100}, "reason": "typo", "ticket": "J-1",
        "correctedBy": "ada", **more,
    }  # fmt: skip


def test_a_heal_is_looked_at_and_then_appended_once(client: TestClient, store_url: str) -> None:
    """dryRun shows states and rows; the same request twice is one correction; it is reported."""
    wrong, _ = asyncio.run(filled(store_url))
    looked = client.post("/v1/heal", json=asked(wrong, dryRun=True))
    assert 200 == looked.status_code, looked.text
    shown = looked.json()["preview"]
    assert [{"field": "amount", "before": 50, "after": 100}] == shown["changes"]
    assert [{"field": "balance", "before": 45, "after": 95}] == shown["states"][0]["changes"]
    assert {"totals", "balances"} == {one["projection"] for one in shown["projections"]}
    assert [(2,)] == query(store_url, COUNT)

    done = client.post("/v1/heal", json=asked(wrong), headers={"Idempotency-Key": "k-1"})
    assert 201 == done.status_code, done.text
    assert ["balances"] == done.json()["reprojecting"]
    assert done.headers["Goldseam-Position"]
    again = client.post("/v1/heal", json=asked(wrong), headers={"Idempotency-Key": "k-1"})
    assert "true" == again.headers["Idempotency-Replayed"]
    assert done.json()["healing"]["correction_id"] == again.json()["healing"]["correction_id"]
    assert [(3,)] == query(store_url, COUNT)
    report = client.get("/v1/heal/report").json()
    assert [again.json()["healing"] | {"replayed": False}] == report["healings"]


def test_refusals_are_problems(client: TestClient, store_url: str) -> None:
    """404 missing, 409 corrected already and without approval, 400 and 422 what does not fit."""
    wrong, fee = asyncio.run(filled(store_url))
    missing = str(UUID(bytes=uuid7_bytes()))
    client.post("/v1/heal", json=asked(wrong))
    for status, name, body in (
        (404, "not-found", asked(missing)),
        (409, "rejected", asked(wrong, set={"amount": 60})),
        (409, "approval-needed", asked(fee)),
        (400, "invalid-input", asked(fee, set={"amount": "100"})),
        (400, "invalid-input", asked(fee, set={"colour": "red"})),
        (422, "invalid-request", asked("evt-123")),
        (422, "invalid-request", asked(fee, set={})),
        (422, "invalid-request", asked(fee, reason="")),
        (422, "invalid-request", asked(fee, correctedBy=None)),
        (422, "invalid-request", asked(fee, surprise=1)),
    ):
        found = client.post("/v1/heal", json=body)
        assert (status, f"urn:goldseam:problem:{name}") == (
            found.status_code, found.json()["type"]
        ), found.text  # fmt: skip
    assert [(3,)] == query(store_url, COUNT)


@pytest.mark.parametrize("role", ["read", "write"])
def test_only_administrators_heal(client: TestClient, role: str) -> None:
    """Nor look at the report: reasons and names are not for everybody."""
    headers = {"x-role": role}
    body = asked(str(UUID(int=1)))
    assert 403 == client.post("/v1/heal", json=body, headers=headers).status_code
    assert 403 == client.post("/v1/heal/proposals", json=body, headers=headers).status_code
    for path in ("/v1/heal/report", "/v1/heal/proposals"):
        assert 403 == client.get(path, headers=headers).status_code


def test_four_eyes_are_those_of_the_tokens(client: TestClient, store_url: str) -> None:
    """Who proposes and who approves is what the token says, not what the body claims."""
    _, fee = asyncio.run(filled(store_url))
    ada, grace = {"x-name": "ada"}, {"x-name": "grace"}
    body = asked(fee, set={"amount": 4}, correctedBy=None)
    made = client.post("/v1/heal/proposals", json=body, headers=ada)
    assert 201 == made.status_code, made.text
    path = f"/v1/heal/proposals/{made.json()['id']}"
    assert [made.json()] == client.get("/v1/heal/proposals", headers=grace).json()["proposals"]
    assert 409 == client.post(f"{path}/approve", json={}, headers=ada).status_code
    claimed = client.post(f"{path}/approve", json={"by": "grace"}, headers=ada)
    assert 409 == claimed.status_code
    done = client.post(f"{path}/approve", json={}, headers=grace)
    assert 201 == done.status_code, done.text
    healing = done.json()["healing"]
    assert ("ada", "grace") == (healing["corrected_by"], healing["approved_by"])
    assert 409 == client.post(f"{path}/decline", json={}, headers=grace).status_code
    assert 409 == client.post("/v1/heal/proposals/x/approve", json={}, headers=ada).status_code
