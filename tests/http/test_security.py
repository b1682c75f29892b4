"""Security by default: tokens, roles, loopback, limits, headers, hostile bodies."""

# No "from __future__ import annotations": msgspec reads the annotations of a local class.

from pathlib import Path
from typing import Literal

import pytest
from starlette.testclient import TestClient

from goldseam import Goldseam, Registry
from goldseam.errors import InvalidInput
from goldseam.http import create_app
from goldseam.http.auth import Token, new_token, read_tokens
from goldseam.http.server import RefusedToListen, check_listening

BODY = {"events": [{"type": "Ticked", "data": {}}], "expected": "any"}


def guarded(url: str, *tokens: Token) -> TestClient:
    app = create_app(Goldseam(url, registry=Registry(open_to_unknown=True)), tokens=tokens)
    return TestClient(app, "http://localhost", raise_server_exceptions=False)


def token(role: str, tenant: str | None = None) -> tuple[str, Token]:
    secret, line = new_token(role, role, tenant)  # type: ignore[arg-type]
    name, _, bound, digest = line.split()
    return secret, Token(name, role, None if bound == "*" else bound, digest)  # type: ignore[arg-type]


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_each_role_may_do_what_it_says(sqlite_url: str) -> None:
    """read reads, write appends too, admin steers too; nobody else gets in."""
    secrets, tokens = zip(*(token(role) for role in ("read", "write", "admin")), strict=True)
    with guarded(sqlite_url, *tokens) as client:
        got = [client.get("/v1/head", headers=bearer(s)).status_code for s in secrets]
        wrote = [
            client.post("/v1/streams/a-1", json=BODY, headers=bearer(s)).status_code
            for s in secrets
        ]
        steered = [
            client.post("/v1/read-models/x/pause", headers=bearer(s)).status_code for s in secrets
        ]
        nobody = client.get("/v1/head")
        wrong = client.get("/v1/head", headers=bearer("guess"))

    assert [200, 200, 200] == got
    assert [403, 201, 201] == wrote
    assert [403, 403, 404] == steered
    assert (401, 401) == (nobody.status_code, wrong.status_code)
    assert "Bearer" == nobody.headers["WWW-Authenticate"]


def test_a_token_of_one_tenant_stays_there(sqlite_url: str) -> None:
    """It sees its tenant without asking and no other even when it asks."""
    secret, one = token("write", "acme")
    with guarded(sqlite_url, one) as client:
        client.post("/v1/streams/a-1", json=BODY, headers=bearer(secret))
        elsewhere = client.get(
            "/v1/events", headers={**bearer(secret), "Goldseam-Tenant": "umbrella"}
        )
        mine = client.get("/v1/events", headers=bearer(secret)).json()["events"]

    assert 403 == elsewhere.status_code
    assert 1 == len(mine)


def test_a_token_of_one_tenant_does_not_reach_the_read_models_of_another(sqlite_url: str) -> None:
    """Read models hold the tenant of their application: a token of another one gets 403."""
    stranger, one = token("admin", "acme")
    own, two = token("admin", "main")
    with guarded(sqlite_url, one, two) as client:
        refused = [
            client.get("/v1/read-models", headers=bearer(stranger)).status_code,
            client.get("/v1/read-models/x/rows", headers=bearer(stranger)).status_code,
            client.post("/v1/read-models/x/rebuild", headers=bearer(stranger)).status_code,
        ]
        allowed = client.get("/v1/read-models", headers=bearer(own)).status_code

    assert ([403] * 3, 200) == (refused, allowed)


@pytest.mark.parametrize("name", ["two words", "a#b", "*"])
def test_a_token_whose_line_could_not_be_read_back_is_not_made(name: str) -> None:
    """A name or tenant with a space, a comment sign or a star would spoil its line."""
    with pytest.raises(InvalidInput, match="one word"):
        new_token(name, "read")
    with pytest.raises(InvalidInput, match="one word"):
        new_token("ann", "read", name)


def test_without_tokens_only_loopback_names_are_answered(sqlite_url: str) -> None:
    """A web page that points its own name at this machine gets nothing."""
    with guarded(sqlite_url) as client:
        rebound = client.get("/v1/head", headers={"Host": "evil.example:8400"})

        own = [
            client.get("/v1/head", headers={"Host": host}).status_code
            for host in ("localhost:8400", "127.0.0.1", "[::1]", "[::1]:8400")
        ]
        tricks = [
            client.get("/v1/head", headers={"Host": host}).status_code
            for host in ("127.0.0.1.evil.example", "testserver", "localhost.evil.example:80")
        ]

    assert 421 == rebound.status_code
    assert [200] * 4 == own
    assert [421] * 3 == tricks


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "bank.example"])
def test_listening_beyond_loopback_needs_tokens(host: str) -> None:
    """The server refuses to be reachable by others without them."""
    with pytest.raises(RefusedToListen, match="refusing to listen"):
        check_listening(host, [])
    check_listening(host, [token("read")[1]])


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    """On this machine alone it starts at once."""
    check_listening(host, [])


def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """As are lines that are no token, and a file without any."""
    path = tmp_path / "tokens"
    secret, line = new_token("ann", "write")
    path.write_text(f"# comment\n{line}\n")
    path.chmod(0o644)
    with pytest.raises(InvalidInput, match="chmod 600"):
        read_tokens(path)
    path.chmod(0o600)
    assert ["ann"] == [one.name for one in read_tokens(path)]
    assert secret not in path.read_text()
    path.write_text("ann root * abc\n")
    with pytest.raises(InvalidInput, match="line 1"):
        read_tokens(path)
    path.write_text(f"ann read * {'é' * 64}\n")
    with pytest.raises(InvalidInput, match="line 1"):
        read_tokens(path)
    path.write_text("\n")
    with pytest.raises(InvalidInput, match="no token"):
        read_tokens(path)


def test_every_answer_tells_a_browser_to_be_careful(served: TestClient) -> None:
    """Strict CSP, no sniffing, no caching, on problems too."""
    for path in ("/v1/head", "/nowhere", "/healthz"):
        headers = served.get(path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "nosniff" == headers["X-Content-Type-Options"]


def test_a_body_beyond_the_limit_is_413_and_stores_nothing(served: TestClient) -> None:
    """Declared or streamed, it is refused before it is worked on."""
    big = b'{"events": [{"type": "T", "data": {"x": "' + b"y" * 3_000_000 + b'"}}]}'
    kind = {"Content-Type": "application/json"}
    declared = served.post("/v1/streams/a-1", content=big, headers=kind)
    streamed = served.post("/v1/streams/a-1", content=iter([big]), headers=kind)

    assert (413, 413) == (declared.status_code, streamed.status_code)
    assert 0 == served.get("/v1/head").json()["position"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"events": NaN}',
        b'{"a": 1, "a": 2}',
        b'{"a": "\xff"}',
        b"[" * 100_000,
        b'{"a":' * 200 + b"1" + b"}" * 200,
    ],
)
def test_json_that_two_readers_read_differently_is_400(served: TestClient, body: bytes) -> None:
    """Broken, NaN, a name twice, not UTF-8, nested beyond reason."""
    answer = served.post(
        "/v1/streams/a-1", content=body, headers={"Content-Type": "application/json"}
    )

    assert 400 == answer.status_code
    assert "application/problem+json" == answer.headers["Content-Type"]


def test_brackets_inside_a_text_are_not_nesting(served: TestClient) -> None:
    """A text may hold as many as it likes, with escaped quotes between them."""
    text = '[{"\\' * 200
    body = {"events": [{"type": "T", "data": {"x": text}}], "expected": "any"}

    assert 201 == served.post("/v1/streams/a-1", json=body).status_code
    assert text == served.get("/v1/events").json()["events"][0]["data"]["x"]


def test_what_is_not_json_is_415(served: TestClient) -> None:
    """A form is not an append."""
    answer = served.post("/v1/streams/a-1", data={"a": "b"})

    assert 415 == answer.status_code


def test_problems_do_not_repeat_payloads(served: TestClient) -> None:
    """What a person typed does not come back in an error text, and so in no log."""
    secret = "4111-1111-1111-1111"
    body = {"events": [{"type": "T", "data": secret}], "expected": "any"}
    answer = served.post("/v1/streams/a-1", json=body)

    assert 422 == answer.status_code
    assert secret not in answer.text


def test_problems_of_typed_events_do_not_repeat_payloads_either(sqlite_url: str) -> None:
    """What fits no choice of its class is named by its place, 422, and not repeated."""
    types = Registry()

    @types.event
    class CardChosen:
        kind: Literal["debit", "credit"]

    secret = "4111-1111-1111-1111"
    app = create_app(Goldseam(sqlite_url, registry=types))
    with TestClient(app, "http://localhost") as client:
        body = {"events": [{"type": "CardChosen", "data": {"kind": secret}}], "expected": "any"}
        wrong = client.post("/v1/streams/card-1", json=body)
        body["events"] = [{"type": "CardBurnt", "data": {}}]
        unknown = client.post("/v1/streams/card-1", json=body)

    assert (422, 422) == (wrong.status_code, unknown.status_code)
    assert "$.kind" in wrong.json()["detail"]
    assert secret not in wrong.text
    assert "urn:goldseam:problem:unknown-event-type" == unknown.json()["type"]
