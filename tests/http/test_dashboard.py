"""The dashboard as a browser meets it: every page, hostile payloads, roles, foreign forms."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from goldseam import NEW, Goldseam, Metadata, Registry
from goldseam.events.registry import Untyped
from goldseam.http import create_app
from goldseam.http.auth import Token, new_token, read_tokens
from goldseam.http.dashboard.pages import POLICY
from goldseam.http.dashboard.sessions import COOKIE, DashboardSessions
from goldseam.resilience.clock import SystemClock
from tests.support.eventually import eventually
from tests.support.fulfilment import Called, OrderReceived, application

HOSTILE = "<script>alert('1')</script><img src=x onerror=alert(2)>"
PAGES = ("", "/events", "/streams", "/sagas", "/dead-letters")
HERE = {"Origin": "http://localhost"}


@pytest.fixture
def browser(store_url: str) -> Iterator[TestClient]:
    """An application with a completed and a parked saga; nobody runs them any more."""

    async def work() -> None:
        async with application(store_url) as app:
            await app.sagas.start(Called, OrderReceived("well"), key="well")
            stuck = OrderReceived("stuck", "charge:refuse,reserve/undo:refuse")
            await app.sagas.start(Called, stuck, key="stuck")

            async def settled() -> bool:
                return {s: n for _, _, s, n in await app.saga_list.counts()} == {
                    "completed": 1,
                    "parked": 1,
                }

            await eventually(settled)

    asyncio.run(work())
    app = create_app(application(store_url).steering())
    with TestClient(app, "http://localhost", raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_there(browser: TestClient, path: str) -> None:
    """Under a policy that runs nothing inline and loads nothing from elsewhere."""
    answer = browser.get(f"/dashboard{path}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert not re.search(
        r"<script(?![^>]* src=)|\son\w+=|\sstyle=|https?://(?!www\.w3\.org)", answer.text
    )


def test_the_overview_says_what_asks_for_help(browser: TestClient) -> None:
    """The parked saga is marked; the numbers can be followed live."""
    text = browser.get("/dashboard").text
    assert re.search(r'id="tile-parked" class="bad">1<', text)
    assert "sagas" in text


def test_events_streams_and_their_pages(browser: TestClient) -> None:
    """From the list to one event, from there to its stream."""
    assert "test.OrderReceived" in browser.get("/dashboard/events").text
    assert "well" in browser.get("/dashboard/events/2").text
    assert "saga-called/well" in browser.get("/dashboard/streams").text
    assert "SagaStarted" in browser.get("/dashboard/streams/saga-called/well").text
    older = browser.get("/dashboard/events", params={"before": 2}).text
    assert "OrderReceived" not in older


def test_what_is_not_there(browser: TestClient) -> None:
    """Not found, and said what; bounds are bounds."""
    for path in ("/events/99", "/streams/none", "/sagas/called/none", "/dead-letters/c/1"):
        answer = browser.get(f"/dashboard{path}")
        assert answer.status_code == 404, path
        assert "There is no" in answer.text
    assert browser.get("/dashboard/events/0").status_code == 422
    assert browser.get("/dashboard/static/..%2fpages.py").status_code == 404


def test_a_saga_is_shown_drawn_and_steered(browser: TestClient) -> None:
    """Resume it with a reason: it goes on, and the page says so."""
    text = browser.get("/dashboard/sagas/called/stuck").text
    assert "<svg" in text
    assert "SagaParked" in text
    path = "/dashboard/sagas/called/stuck/resume"
    assert browser.post(path, data={"reason": ""}, headers=HERE).status_code == 400
    done = browser.post(path, data={"reason": "by hand"}, headers=HERE)
    assert "done" in done.text
    assert "compensated" in done.text
    again = browser.post(path, data={"reason": "by hand"}, headers=HERE)
    assert "only what parks a saga" in again.text


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_form_of_another_site_is_refused(browser: TestClient, headers: dict[str, str]) -> None:
    """And changes nothing."""
    path = "/dashboard/sagas/called/stuck/resume"
    assert browser.post(path, data={"reason": "x"}, headers=headers).status_code == 403
    assert "parked" in browser.get("/dashboard/sagas/called/stuck").text


def test_hostile_payloads_are_text(store_url: str) -> None:
    """In data, type, stream, metadata: on every page that shows them."""
    registry = Registry(open_to_unknown=True)

    async def work() -> None:
        async with Goldseam(store_url, registry=registry) as app:
            event = Untyped(HOSTILE, 1, {"note": HOSTILE})
            metadata = Metadata(actor=HOSTILE)
            await app.store.append(f"x-{HOSTILE}", [event], expected=NEW, metadata=metadata)

    asyncio.run(work())
    app = create_app(Goldseam(store_url, registry=registry))
    with TestClient(app, "http://localhost", raise_server_exceptions=False) as client:
        for path in ("/events", "/events/1", "/streams", "/sagas", f"/streams/x-{HOSTILE}"):
            text = client.get(f"/dashboard{path}").text
            assert "<script>alert" not in text, path
            assert "<img" not in text, path
        assert "&lt;script&gt;" in client.get("/dashboard/events/1").text


@pytest.fixture
def guarded(store_url: str, tmp_path: Path) -> Iterator[tuple[TestClient, dict[str, str]]]:
    """A server with tokens, and the secrets by name."""
    lines, secrets = [], {}
    for name, role, tenant in (("r", "read", None), ("a", "admin", None), ("t", "admin", "acme")):
        secrets[name], line = new_token(name, role, tenant)  # type: ignore[arg-type]
        lines.append(line)
    path = tmp_path / "tokens"
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)
    app = create_app(application(store_url).steering(), tokens=read_tokens(path))
    with TestClient(app, "http://localhost", raise_server_exceptions=False) as client:
        yield client, secrets


def _log_in(client: TestClient, secret: str) -> int:
    answer = client.post("/dashboard/login", data={"token": secret}, headers=HERE)
    return answer.status_code


def test_a_browser_logs_in_with_a_token(guarded: tuple[TestClient, dict[str, str]]) -> None:
    """Led to the login, let in by a cookie that scripts cannot read, and out again."""
    client, secrets = guarded
    led = client.get("/dashboard", follow_redirects=False)
    assert (led.status_code, led.headers["location"]) == (303, "/dashboard/login")
    assert _log_in(client, "wrong") == 401
    first = client.post(
        "/dashboard/login", data={"token": secrets["r"]}, headers=HERE, follow_redirects=False
    )
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert secrets["r"] not in cookie
    assert client.get("/dashboard").status_code == 200
    client.post("/dashboard/logout", headers=HERE)
    assert client.get("/dashboard", follow_redirects=False).status_code == 303


def test_a_readers_cookie_changes_nothing(guarded: tuple[TestClient, dict[str, str]]) -> None:
    """Steering needs the role admin, and the cookie is worth nothing to the API."""
    client, secrets = guarded
    _log_in(client, secrets["r"])
    path = "/dashboard/sagas/called/x/resume"
    assert client.post(path, data={"reason": "x"}, headers=HERE).status_code == 403
    assert client.get("/v1/sagas").status_code == 401


def test_an_administrator_may_steer(guarded: tuple[TestClient, dict[str, str]]) -> None:
    """There is no such saga, but that is another answer."""
    client, secrets = guarded
    _log_in(client, secrets["a"])
    path = "/dashboard/sagas/called/x/resume"
    assert client.post(path, data={"reason": "x"}, headers=HERE).status_code == 404


def test_a_token_of_one_tenant_sees_nothing(guarded: tuple[TestClient, dict[str, str]]) -> None:
    """The dashboard shows all tenants."""
    client, secrets = guarded
    assert _log_in(client, secrets["t"]) == 401


def test_a_made_up_cookie_is_nobody(guarded: tuple[TestClient, dict[str, str]]) -> None:
    """Forged, and unreadable."""
    client, _ = guarded
    for value in ("guess", '"; x'):
        answer = client.get(
            "/dashboard", headers={"Cookie": f"{COOKIE}={value}"}, follow_redirects=False
        )
        assert answer.status_code == 303


def test_sessions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """In number: the oldest goes first."""
    monkeypatch.setattr("goldseam.http.dashboard.sessions.SESSIONS_MAX", 2)
    sessions = DashboardSessions(SystemClock(), needed=True)
    token = Token("r", "read", None, "0" * 64)
    cookies = [sessions.begin(token) for _ in range(3)]
    known = [sessions.find(_scope(one)) for one in cookies]
    assert known == [None, token, token]


def _scope(cookie: str) -> dict[str, object]:
    headers = [(b"cookie", f"{COOKIE}={cookie}".encode())]
    return {"type": "http", "method": "GET", "path": "/dashboard", "headers": headers}
