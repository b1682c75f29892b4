"""store/hostile-input: a clear error or the same bytes back, never a silent change."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from goldseam import ANY, EventStore, Goldseam, Metadata, NewEvent, Registry, open_store
from goldseam.errors import EventTooLarge, InvalidEvent, InvalidInput, InvalidName, UnreadableEvent
from goldseam.events.registry import Untyped
from goldseam.http import create_app
from tests.crashes.outside import query

registry = Registry()
anything = Registry(open_to_unknown=True)


@registry.event
class NoteWritten:
    """Holds whatever a client sends."""

    text: str = ""
    number: float = 0.0
    count: int = 0
    data: Any = None


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[EventStore]:
    async with await open_store(store_url, registry=registry) as opened:
        yield opened


def nested(depth: int) -> Any:
    found: Any = 1
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (NoteWritten(text="x" * 10_000_000), EventTooLarge),
        (NoteWritten(text="lone \ud800 surrogate"), InvalidEvent),
        (NoteWritten(number=math.nan), InvalidEvent),
        (NoteWritten(number=math.inf), InvalidEvent),
        (NoteWritten(data={"deep": [math.nan]}), InvalidEvent),
        (NoteWritten(data=nested(100_000)), InvalidEvent),
        (NoteWritten(data=object()), InvalidEvent),
        (NoteWritten(text=7), InvalidEvent),  # type: ignore[arg-type]
        (NoteWritten(count="many"), InvalidEvent),  # type: ignore[arg-type]
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_what_cannot_be_read_back_is_refused(
    store: EventStore, store_url: str, event: NoteWritten, error: type[InvalidInput]
) -> None:
    """Before anything is written, with an error that does not repeat the value."""
    with pytest.raises(error) as refused:
        await store.append("note-1", [event], expected=ANY)

    assert len(str(refused.value)) < 300
    assert [(0,)] == query(store_url, "SELECT count(*) FROM goldseam_events")


@pytest.mark.parametrize(
    "text",
    ["NUL \0 inside", "\u202e right to left", "' OR '1'='1", "<script>alert(1)</script>", "é\u0301",
     "\U0001f4a9" * 1000, "\r\nid: 5\r\n", "%s %(x)s :name $1 {0}", "\\x00\\u0000"],
)  # fmt: skip
async def test_odd_texts_come_back_as_they_were(store: EventStore, text: str) -> None:
    """In a payload, in metadata, byte for byte."""
    event = NewEvent(NoteWritten(text=text), metadata=Metadata(actor=text, extra={text: text}))
    await store.append("note-1", [event], expected=ANY)
    found = (await store.read_all())[0]

    assert NoteWritten(text=text) == found.data
    assert (text, {text: text}) == (found.metadata.actor, found.metadata.extra)


@pytest.mark.parametrize("name", ["", "a\0b", "a\nb", "\ud800", "x" * 256, "a\u202eb", 7, None])
async def test_names_that_no_log_could_show_are_refused(store: EventStore, name: Any) -> None:
    """Streams, tenants, keys, categories."""
    for attempt in (
        lambda: store.append(name, [NoteWritten()], expected=ANY),
        lambda: store.read_stream(name),
        lambda: store.append("note-1", [NoteWritten()], expected=ANY, key=name or "\n"),
    ):
        with pytest.raises(InvalidName):
            await attempt()
    with pytest.raises(InvalidName):
        store.for_tenant(name)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=10), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=json_values)
async def test_any_json_comes_back_equal(store: EventStore, data: Any) -> None:
    """Whatever JSON can say is stored and read back as it was."""
    done = await store.append("note-1", [NoteWritten(data=data)], expected=ANY)
    found = (await store.read_all(after=done.position - 1, limit=1))[0]

    assert data == found.data.data


@pytest.fixture
def served(store_url: str) -> Iterator[TestClient]:
    app = create_app(Goldseam(store_url, registry=anything))
    with TestClient(app, "http://localhost") as client:
        yield client


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"events": [{"type": "T", "data": {"x": "' + b"y" * 10_000_000 + b'"}}]}', 413),
        (b'{"events": [{"type": "T", "data": {"x": "\\ud800"}}], "expected": "any"}', 422),
        (b'{"events": [{"type": "T", "data": {"x": NaN}}], "expected": "any"}', 400),
        (b'{"events": [{"type": "T\\u0000", "data": {}}], "expected": "any"}', 400),
        (b'{"events": [{"type": "T", "data": {"x": 1e400}}], "expected": "any"}', 422),
        (b"[" * 500_000, 400),
        (b"\xff\xfe", 400),
        (b"", 422),
    ],
    ids=["10 MB", "surrogate", "NaN", "NUL name", "1e400", "deep", "not UTF-8", "empty"],
)
def test_over_http_too(served: TestClient, body: bytes, status: int) -> None:
    """A problem with a status of its own, never a 500, and nothing stored."""
    answer = served.post(
        "/v1/streams/note-1", content=body, headers={"Content-Type": "application/json"}
    )

    assert status == answer.status_code, answer.text[:300]
    assert 0 == served.get("/v1/head").json()["position"]


def test_a_nul_in_a_text_comes_back_over_http(served: TestClient) -> None:
    """JSON can say it, so it is stored."""
    data = {"x": "a\0b", "y": "<b>", "z": 2**64 - 1, "big": 10**40}
    body = {"events": [{"type": "T", "data": data}], "expected": "any"}
    assert 201 == served.post("/v1/streams/note-1", json=body).status_code

    assert data == served.get("/v1/events").json()["events"][0]["data"]


async def test_control_without_the_check_a_nan_becomes_null_and_poisons_the_stream(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Encoded as it is, the event is stored and no reader can decode it ever after."""
    kind = registry.by_name["NoteWritten", 1]
    monkeypatch.setattr(kind, "encode", msgspec.json.Encoder().encode)
    async with await open_store(store_url, registry=registry) as store:
        await store.append("note-1", [NoteWritten(number=math.nan)], expected=ANY)
        with pytest.raises(UnreadableEvent):
            await store.read_stream("note-1")

    stored = bytes(query(store_url, "SELECT payload FROM goldseam_events")[0][0])
    assert json.loads(stored)["number"] is None
    assert Untyped is not None
