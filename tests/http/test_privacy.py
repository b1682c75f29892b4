"""Forgetting over HTTP: for the role admin alone, and no name in any address."""

# No "from __future__ import annotations": the registry reads the annotations of a local class.

import json
from pathlib import Path

from fastapi import FastAPI
from starlette.testclient import TestClient

from goldseam import NEW, Goldseam
from goldseam.http import create_app
from goldseam.http.privacy import privacy_router
from tests.forgetting.people import CustomerRegistered, Customers, office, people
from tests.http.test_security import bearer, token

NAME = "Ann Marker-88b2"


async def served(url: str, folder: Path, *tokens) -> FastAPI:  # type: ignore[no-untyped-def]
    """A server with keys and one customer."""
    async with office(url, folder, projections=()) as opened:
        await opened.store.append("customer-1", [CustomerRegistered("c-1", NAME)], expected=NEW)
    keys, provider = f"sqlite:///{folder}/keys.db", f"file://{folder}/epochs"
    app = Goldseam(url, [Customers()], registry=people, keys=keys, key_provider=provider)
    made = create_app(app, tokens=tokens)
    if not any("privacy" in getattr(route, "path", "") for route in made.routes):
        made.include_router(privacy_router(lambda: app), prefix="/v1")
    return made


async def test_export_forget_status(sqlite_url: str, tmp_path: Path) -> None:
    """What is known, then that it is forgotten, then what is known."""
    app = await served(sqlite_url, tmp_path)
    with TestClient(app, "http://localhost", raise_server_exceptions=False) as client:
        before = client.post("/v1/privacy/export", json={"subject": "c-1"})
        assert [NAME] == [json.loads(x)["fields"]["name"] for x in before.text.splitlines()]
        erase = {"subjects": ["c-1"], "reason": "asked", "actor": "clerk-7"}
        done = client.post("/v1/privacy/forget", json=erase)
        assert (200, 1) == (done.status_code, done.json()["subjects"]), done.text
        status = client.post("/v1/privacy/status", json={"subject": "c-1"}).json()
        assert ("forgotten", "done") == (status["state"], status["erasure"])
        after = client.post("/v1/privacy/export", json={"subject": "c-1"})
        assert NAME not in after.text
        assert "unknown" == client.post("/v1/privacy/status", json={"subject": "x"}).json()["state"]
        assert 0 == client.post("/v1/privacy/resume").json()["subjects"]
        assert "" == client.post("/v1/privacy/export", json={"subject": "nobody"}).text
        assert 400 == client.post("/v1/privacy/export", json={"subject": "a\0"}).status_code
        assert 422 == client.post("/v1/privacy/forget", json={"subjects": []}).status_code


async def test_only_an_admin_of_the_tenant(sqlite_url: str, tmp_path: Path) -> None:
    """Reading what is known of somebody is not for everybody who may read."""
    made = [token("read"), token("write"), token("admin", "other"), token("admin")]
    app = await served(sqlite_url, tmp_path, *(one for _, one in made))
    with TestClient(app, "http://localhost", raise_server_exceptions=False) as client:
        for path, body in (
            ("export", {"subject": "c-1"}),
            ("status", {"subject": "c-1"}),
            ("forget", {"subjects": ["c-1"], "reason": "asked"}),
        ):
            got = [
                client.post(f"/v1/privacy/{path}", json=body, headers=bearer(s)).status_code
                for s, _ in made
            ]
            assert [403, 403, 403, 200] == got, path
