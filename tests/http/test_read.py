"""Reading over HTTP: pages, links, ETags, live events."""

from __future__ import annotations

import asyncio
import json
import uuid

import httpx2
import pytest
from starlette.testclient import TestClient

from goldseam import ANY, Goldseam, Registry, open_store
from goldseam.events.registry import Untyped
from goldseam.http import create_app
from goldseam.http.follow import Followers
from goldseam.http.problems import Refusal


def fill(served: TestClient, stream: str, count: int) -> None:
    events = [{"type": "Ticked", "data": {"n": n}} for n in range(count)]
    answer = served.post(f"/v1/streams/{stream}", json={"events": events, "expected": "any"})
    assert 201 == answer.status_code


def test_pages_are_linked_to_the_end(served: TestClient) -> None:
    """Following the links shows every event once, in order."""
    fill(served, "clock-1", 25)
    path, seen = "/v1/streams/clock-1?limit=10", []
    while path:
        page = served.get(path).json()
        seen += [event["version"] for event in page["events"]]
        path = page["next"]

    assert list(range(1, 26)) == seen


def test_backwards_pages_are_linked_too(served: TestClient) -> None:
    """Newest first, down to the first event."""
    fill(served, "clock-1", 25)
    path, seen = "/v1/events?before=1000&limit=10", []
    while path:
        page = served.get(path).json()
        seen += [event["position"] for event in page["events"]]
        path = page["next"]

    assert list(range(25, 0, -1)) == seen


def test_a_stream_has_an_etag(served: TestClient) -> None:
    """Unchanged is 304, changed is 200, not there is 404."""
    fill(served, "clock-1", 1)
    tag = served.get("/v1/streams/clock-1").headers["ETag"]

    assert 304 == served.get("/v1/streams/clock-1", headers={"If-None-Match": tag}).status_code
    fill(served, "clock-1", 1)
    assert 200 == served.get("/v1/streams/clock-1", headers={"If-None-Match": tag}).status_code
    assert 404 == served.get("/v1/streams/clock-2").status_code


@pytest.mark.parametrize("tags", ['"7", "2"', 'W/"2"', "*"])
def test_an_etag_is_recognised_however_it_is_sent(served: TestClient, tags: str) -> None:
    """In a list, weakened by a proxy, or as a star."""
    fill(served, "clock-1", 2)

    assert 304 == served.get("/v1/streams/clock-1", headers={"If-None-Match": tags}).status_code


def test_one_event_by_its_id(served: TestClient) -> None:
    """An event may be kept by a cache for ever: it never changes."""
    fill(served, "clock-1", 1)
    event = served.get("/v1/events").json()["events"][0]
    answer = served.get(f"/v1/events/{event['id']}")

    assert event == answer.json()
    assert "immutable" in answer.headers["Cache-Control"]
    assert 404 == served.get(f"/v1/events/{uuid.uuid4()}").status_code


def test_categories_and_streams(served: TestClient) -> None:
    """A category is the part of the name before the first hyphen."""
    fill(served, "clock-1", 2)
    fill(served, "clock-2-b", 1)
    fill(served, "door-1", 1)

    assert 3 == len(served.get("/v1/categories/clock").json()["events"])
    names = [one["stream"] for one in served.get("/v1/streams").json()["streams"]]
    assert ["clock-1", "clock-2-b", "door-1"] == names


@pytest.mark.parametrize("query", ["limit=0", "limit=100000", "after=-1", "before=0", "after=x"])
def test_bounds_of_pages_are_kept(served: TestClient, query: str) -> None:
    """What is not a page is refused, as a problem."""
    answer = served.get(f"/v1/events?{query}")

    assert 422 == answer.status_code
    assert "application/problem+json" == answer.headers["Content-Type"]


def test_followers_are_bounded() -> None:
    """One more than the limit gets 429 and is told when to come back."""
    followers = Followers(most=0)

    with pytest.raises(Refusal) as refused:
        followers.response(None, 0, None)  # type: ignore[arg-type]

    assert (429, "5") == (refused.value.status, refused.value.headers["Retry-After"])


def test_metrics_and_health(served: TestClient) -> None:
    """The counters are in the Prometheus format; the health checks answer."""
    fill(served, "clock-1", 3)
    metrics = served.get("/metrics").text

    assert "# TYPE goldseam_events_appended_total counter" in metrics
    assert {"status": "alive"} == served.get("/healthz").json()
    assert "ready" == served.get("/readyz").json()["status"]


def test_the_openapi_is_served_and_needs_nothing_from_elsewhere(served: TestClient) -> None:
    """OpenAPI 3.1, every operation with its problems, no page that loads foreign scripts."""
    schema = served.get("/openapi.json").json()

    assert schema["openapi"].startswith("3.1")
    assert "Problem" in schema["components"]["schemas"]
    assert "412" in schema["paths"]["/v1/streams/{stream}"]["post"]["responses"]
    assert 404 == served.get("/docs").status_code
    assert "https://cdn" not in json.dumps(schema)


def test_events_are_cloudevents_for_who_asks(served: TestClient) -> None:
    """CloudEvents 1.0 in JSON, with the request's trace as its extension."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    body = {"events": [{"type": "Ticked", "data": {"n": 1}}], "expected": "any"}
    served.post("/v1/streams/clock-1", json=body, headers={"traceparent": trace})
    served.post("/v1/streams/clock-1", json=body, headers={"traceparent": "nonsense"})
    batch = served.get("/v1/events", headers={"Accept": "application/cloudevents-batch+json"})
    first, second = batch.json()
    one = served.get(
        f"/v1/events/{first['id']}", headers={"Accept": "application/cloudevents+json"}
    )

    assert "application/cloudevents-batch+json" == batch.headers["Content-Type"]
    assert ("1.0", "Ticked", "clock-1", {"n": 1}) == tuple(
        first[name] for name in ("specversion", "type", "subject", "data")
    )
    assert (trace, None) == (first["traceparent"], second.get("traceparent"))
    assert first["sequence"] < second["sequence"]
    assert first == one.json()


async def test_a_slow_reader_is_waited_for(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that takes a frame later than the ping interval is not cut off; silence pings."""
    monkeypatch.setattr("goldseam.http.follow.PING_SECONDS", 0.01)
    async with await open_store(sqlite_url, registry=Registry(open_to_unknown=True)) as store:
        await store.append(
            "clock-1", [Untyped("Ticked", 1, {"n": n}) for n in (1, 2)], expected=ANY
        )
        body = Followers().response(store, 0, None).body_iterator  # type: ignore[attr-defined]
        frames: list[bytes] = []
        while len(frames) < 2:
            frame = await anext(body)
            await asyncio.sleep(0.05)  # far beyond the interval, as a stalled socket would
            if frame.startswith(b"id: "):
                frames.append(frame)
        ping = await anext(body)
        await body.aclose()

    assert [b"id: 1", b"id: 2"] == [frame.split(b"\n")[0] for frame in frames]
    assert b": ping\n\n" == ping


async def test_not_ready_says_what_but_no_details(sqlite_url: str) -> None:
    """The readiness check needs no token, so it names what is stuck and tells nothing more."""
    application = Goldseam(sqlite_url, registry=Registry(open_to_unknown=True))
    app = create_app(application)
    async with application:
        application._supervisor.failures["projection balances"] = "secret detail"
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answer = await client.get("/readyz")

    assert (503, "2") == (answer.status_code, answer.headers["Retry-After"])
    assert "projection balances" in answer.text
    assert "secret" not in answer.text
