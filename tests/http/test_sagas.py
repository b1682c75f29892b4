"""The routes of sagas: look, draw, steer; who may do what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from goldseam.http import create_app
from goldseam.http.auth import new_token, read_tokens
from tests.support.eventually import eventually
from tests.support.fulfilment import Called, OrderReceived, application

STEER = {"reason": "mended", "by": "ann"}


@pytest.fixture
def sagas(store_url: str) -> Iterator[TestClient]:
    """One saga completed, one parked; nobody runs them any more."""

    async def work() -> None:
        async with application(store_url) as app:
            await app.sagas.start(Called, OrderReceived("well"), key="well")
            stuck = OrderReceived("stuck", "charge:refuse,reserve/undo:refuse")
            await app.sagas.start(Called, stuck, key="stuck")

            async def settled() -> bool:
                counts = {status: n for _, _, status, n in await app.saga_list.counts()}
                return counts == {"completed": 1, "parked": 1}

            await eventually(settled)

    asyncio.run(work())
    app = create_app(application(store_url).steering())
    with TestClient(app, "http://localhost", raise_server_exceptions=False) as client:
        yield client


def test_list_and_show(sagas: TestClient) -> None:
    """The list with its counts, and one whole story."""
    found = sagas.get("/v1/sagas").json()
    assert {one["saga"] for one in found["sagas"]} == {"called/well", "called/stuck"}
    assert {one["status"]: one["count"] for one in found["counts"]} == {"completed": 1, "parked": 1}
    only = sagas.get("/v1/sagas", params={"status": "parked"}).json()
    assert [one["saga"] for one in only["sagas"]] == ["called/stuck"]
    story = sagas.get("/v1/sagas/called/stuck").json()
    assert story["happened"][-1]["fact"] == "SagaParked"


def test_pages(sagas: TestClient) -> None:
    """A full page says where the next one begins."""
    first = sagas.get("/v1/sagas", params={"limit": 1}).json()
    second = sagas.get("/v1/sagas", params={"limit": 1, "before": first["next"]}).json()
    assert {first["sagas"][0]["saga"], second["sagas"][0]["saga"]} == {
        "called/well",
        "called/stuck",
    }


def test_what_is_not_there(sagas: TestClient) -> None:
    """404 with a problem; 400 for a status that does not exist."""
    assert sagas.get("/v1/sagas/called/none").status_code == 404
    assert sagas.get("/v1/sagas/nothing/diagram").status_code == 404
    assert sagas.get("/v1/sagas", params={"status": "sleeping"}).status_code == 400
    assert sagas.post("/v1/sagas/called/none/retry", json=STEER).status_code == 404


def test_diagrams(sagas: TestClient) -> None:
    """Mermaid by default; SVG under a policy that runs nothing."""
    assert "flowchart" in sagas.get("/v1/sagas/called/diagram").text
    picture = sagas.get("/v1/sagas/called/stuck/diagram", params={"svg": True})
    assert picture.headers["content-type"].startswith("image/svg+xml")
    assert "sandbox" in picture.headers["content-security-policy"]


def test_steering(sagas: TestClient) -> None:
    """Retry and resume a parked one; a completed one is final."""
    assert sagas.post("/v1/sagas/called/well/compensate", json=STEER).status_code == 409
    done = sagas.post("/v1/sagas/called/stuck/resume", json=STEER)
    assert (done.status_code, done.json()["status"]) == (200, "compensated")
    assert sagas.post("/v1/sagas/called/stuck/retry", json=STEER).status_code == 409


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "x"}, {**STEER, "more": 1}])
def test_bad_bodies(sagas: TestClient, body: dict[str, object]) -> None:
    """Who and why are needed, and nothing else is taken."""
    assert sagas.post("/v1/sagas/called/stuck/retry", json=body).status_code == 422


def test_only_an_administrator_steers(store_url: str, tmp_path: object) -> None:
    """A writer may look; a token of one tenant may not even look."""
    lines, secrets = [], {}
    for name, role, tenant in (("w", "write", None), ("t", "admin", "acme"), ("a", "admin", None)):
        secrets[name], line = new_token(name, role, tenant)  # type: ignore[arg-type]
        lines.append(line)
    path = tmp_path / "tokens"  # type: ignore[operator]
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)
    app = create_app(application(store_url).steering(), tokens=read_tokens(path))
    with TestClient(app, "http://localhost", raise_server_exceptions=False) as client:

        def as_(name: str) -> dict[str, str]:
            return {"Authorization": f"Bearer {secrets[name]}"}

        reason = {"reason": "x"}
        assert client.get("/v1/sagas", headers=as_("w")).status_code == 200
        assert client.get("/v1/sagas", headers=as_("t")).status_code == 403
        retried = "/v1/sagas/called/x/retry"
        assert client.post(retried, json=reason, headers=as_("w")).status_code == 403
        assert client.post(retried, json=reason, headers=as_("a")).status_code == 404
