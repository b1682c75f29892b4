"""Appending over HTTP: preconditions, idempotency, fences, several streams."""

from __future__ import annotations

import uuid
from typing import Any

from starlette.testclient import TestClient

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
