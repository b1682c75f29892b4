"""The store's routes: append, read, list, follow."""

# No "from __future__ import annotations": FastAPI reads these annotations when a route is made.

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

import msgspec
from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response

from goldseam.events.names import DEFAULT_TENANT, NAME_LENGTH_MAX
from goldseam.http import cloudevents, headers
from goldseam.http.bodies import (
    TRACEPARENT,
    AppendAllBody,
    AppendBody,
    AppendedBody,
    PageBody,
    RecordedBody,
    new_event,
    shown,
)
from goldseam.http.follow import Followers
from goldseam.http.problems import Refusal, documented
from goldseam.store.batch import Appended
from goldseam.store.event_store import EventStore, StreamEvents
from goldseam.store.expected import ANY, EXISTS, NEW
from goldseam.store.read import POSITION_END

PAGE_MAX = 1_000
"""Largest page a reader may ask for."""

Tenant = Annotated[
    str | None, Header(alias="Goldseam-Tenant", min_length=1, max_length=NAME_LENGTH_MAX)
]
IfMatch = Annotated[str | None, Header(alias="If-Match")]
IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match")]
Key = Annotated[str | None, Header(alias="Idempotency-Key")]
FenceHeader = Annotated[str | None, Header(alias="Goldseam-Fence")]
Trace = Annotated[str | None, Header(description="W3C trace context, kept with the events.")]
StreamPath = Annotated[str, Path(min_length=1, max_length=NAME_LENGTH_MAX)]
Place = Annotated[int, Query(ge=0, le=POSITION_END)]
Before = Annotated[int | None, Query(ge=1, le=POSITION_END)]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]

_PAGE_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": PageBody, "content": {cloudevents.BATCH: {"schema": {"type": "array"}}}}
}

_EVENT_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": RecordedBody, "content": {cloudevents.ONE: {"schema": {"type": "object"}}}}
}

_WORDS = {"any": ANY, "exists": EXISTS, "new": NEW}


class _Stores:
    """The store, seen by the request's tenant; and the keys that are in progress."""

    def __init__(self, store: Callable[[], EventStore]) -> None:
        self._store = store
        self.in_progress: set[tuple[str, str]] = set()

    def of(self, request: Request, tenant: str | None) -> EventStore:
        bound = request.scope.get("goldseam.tenant")
        store = self._store()
        if store.tenant != DEFAULT_TENANT and tenant not in (None, store.tenant):
            raise Refusal(403, "forbidden", "this store is bound to another tenant")
        name = bound or tenant or store.tenant
        return store if name == store.tenant else store.for_tenant(name)


def store_router(
    store: Callable[[], EventStore], *, followers: Followers | None = None
) -> APIRouter:
    """The store's routes, to be mounted under any prefix.

    Args:
        store: called for each request, so the store may be opened later.
        followers: bounds how many clients follow live at once.
    """
    router = APIRouter(tags=["store"])
    stores = _Stores(store)
    _append_route(router, stores)
    _append_all_route(router, stores)
    _names_route(router, stores)
    _stream_route(router, stores)
    _log_routes(router, stores)
    _event_routes(router, stores)
    _follow_route(router, stores, followers or Followers())
    return router


_CREATED: dict[int | str, dict[str, Any]] = {201: {"model": AppendedBody}}


def _append_route(router: APIRouter, stores: _Stores) -> None:
    @router.post(
        "/streams/{stream:path}",
        status_code=201,
        responses={**documented(409, 412, 415, 428, 507), **_CREATED},
    )
    async def append(
        request: Request,
        stream: StreamPath,
        body: AppendBody,
        if_match: IfMatch = None,
        if_none_match: IfNoneMatch = None,
        key: Key = None,
        fence: FenceHeader = None,
        traceparent: Trace = None,
        tenant: Tenant = None,
    ) -> Response:
        """Append events to one stream, at the version it is expected to have."""
        chosen = stores.of(request, tenant)
        expected = headers.expected_version(if_match, if_none_match, body.expected)
        events = [new_event(event, chosen.registry, _trace(traceparent)) for event in body.events]
        done = await _once(stores, chosen, [(stream, expected, events)], key, fence)
        return _created(done, {"Location": _path(request), "ETag": headers.etag(done.version)})


def _append_all_route(router: APIRouter, stores: _Stores) -> None:
    @router.post(
        "/append", status_code=201, responses={**documented(409, 412, 415, 507), **_CREATED}
    )
    async def append_all(
        request: Request,
        body: AppendAllBody,
        key: Key = None,
        fence: FenceHeader = None,
        traceparent: Trace = None,
        tenant: Tenant = None,
    ) -> Response:
        """Append to several streams: all of it is stored, or nothing."""
        chosen, trace = stores.of(request, tenant), _trace(traceparent)
        writes: list[StreamEvents] = [
            (
                one.stream,
                one.expected if isinstance(one.expected, int) else _WORDS[one.expected],
                [new_event(event, chosen.registry, trace) for event in one.events],
            )
            for one in body.streams
        ]
        return _created(await _once(stores, chosen, writes, key, fence), {})


async def _once(
    stores: _Stores,
    store: EventStore,
    writes: Sequence[StreamEvents],
    key_header: str | None,
    fence_header: str | None,
) -> Appended:
    key, fence = headers.idempotency_key(key_header), headers.fence(fence_header)
    if key is None:
        return await store.append_all(writes, fence=fence)
    claim = (store.tenant, key)
    if claim in stores.in_progress:
        detail = "a request with this Idempotency-Key is being worked on; ask again"
        raise Refusal(409, "idempotency-in-progress", detail, Retry_After="1")
    stores.in_progress.add(claim)
    try:
        return await store.append_all(writes, key=key, fence=fence)
    finally:
        stores.in_progress.discard(claim)


def _created(done: Appended, more: dict[str, str]) -> Response:
    answer = {
        "position": done.position,
        "first_position": done.first_position,
        "token": done.token,
        "versions": done.versions,
        "version": done.version,
        "replayed": done.replayed,
    }
    said = {"Goldseam-Position": done.token, **more}
    if done.replayed:
        said["Idempotency-Replayed"] = "true"
    return _json(answer, 201, said)


def _names_route(router: APIRouter, stores: _Stores) -> None:
    @router.get("/streams", responses=documented())
    async def streams(
        request: Request,
        after: Annotated[str, Query(max_length=NAME_LENGTH_MAX)] = "",
        limit: Limit = 100,
        tenant: Tenant = None,
    ) -> Response:
        """Stream names above ``after``, with their versions."""
        found = await stores.of(request, tenant).streams(after=after, limit=limit)
        rows = [{"stream": name, "version": version} for name, version in found]
        following = _next(request, found[-1][0], limit) if len(found) == limit else None
        return _json({"streams": rows, "next": following})


def _stream_route(router: APIRouter, stores: _Stores) -> None:
    page = _PAGE_ANSWERS

    @router.get(
        "/streams/{stream:path}",
        responses={**documented(404), **page, 304: {"description": "Not changed"}},
    )
    async def stream(
        request: Request,
        stream: StreamPath,
        after: Place = 0,
        before: Before = None,
        limit: Limit = 100,
        if_none_match: IfNoneMatch = None,
        tenant: Tenant = None,
    ) -> Response:
        """Events of one stream by version: oldest first, or newest first below ``before``."""
        chosen = stores.of(request, tenant)
        version = await chosen.stream_version(stream)
        if version == 0:
            raise Refusal(404, "not-found", f"stream {stream!r} has no events")
        tag = headers.etag(version)
        if headers.names_version(if_none_match, version):
            return Response(status_code=304, headers={"ETag": tag})
        if before is not None:
            events = await chosen.read_stream_backwards(stream, before=before, limit=limit)
        else:
            events = await chosen.read_stream(stream, after=after, limit=limit)
        at = [event.version for event in events]
        return _page(
            request, chosen, events, at, limit, {"ETag": tag}, backwards=before is not None
        )


def _log_routes(router: APIRouter, stores: _Stores) -> None:
    page = _PAGE_ANSWERS

    @router.get("/categories/{category:path}", responses={**documented(), **page})
    async def category(
        request: Request,
        category: StreamPath,
        after: Place = 0,
        before: Before = None,
        limit: Limit = 100,
        tenant: Tenant = None,
    ) -> Response:
        """Events of all streams of a category, by position."""
        chosen = stores.of(request, tenant)
        if before is not None:
            events = await chosen.read_category_backwards(category, before=before, limit=limit)
        else:
            events = await chosen.read_category(category, after=after, limit=limit)
        at = [event.position for event in events]
        return _page(request, chosen, events, at, limit, {}, backwards=before is not None)

    @router.get("/events", responses={**documented(), **page})
    async def events(
        request: Request,
        after: Place = 0,
        before: Before = None,
        limit: Limit = 100,
        tenant: Tenant = None,
    ) -> Response:
        """The whole log, by position."""
        chosen = stores.of(request, tenant)
        if before is not None:
            found = await chosen.read_all_backwards(before=before, limit=limit)
        else:
            found = await chosen.read_all(after=after, limit=limit)
        at = [event.position for event in found]
        return _page(request, chosen, found, at, limit, {}, backwards=before is not None)


def _event_routes(router: APIRouter, stores: _Stores) -> None:
    @router.get("/events/{event_id}", responses={**documented(404), **_EVENT_ANSWERS})
    async def event(request: Request, event_id: UUID, tenant: Tenant = None) -> Response:
        """One event by its id."""
        chosen = stores.of(request, tenant)
        found = await chosen.read_event(event_id)
        if found is None:
            raise Refusal(404, "not-found", f"there is no event {event_id}")
        forever = {"Cache-Control": "private, max-age=31536000, immutable", "Vary": "Accept"}
        if cloudevents.wants(request.headers.get("accept"), cloudevents.ONE):
            one = cloudevents.cloud_event(found, _source(chosen))
            return _json(one, 200, forever, cloudevents.ONE)
        return _json(shown(found), 200, forever)

    @router.get("/head", responses=documented())
    async def head(request: Request, tenant: Tenant = None) -> Response:
        """The newest position of the store, as a number and as a token."""
        chosen = stores.of(request, tenant)
        position = await chosen.head()
        return _json({"position": position, "token": chosen.token(position)})


def _follow_route(router: APIRouter, stores: _Stores, followers: Followers) -> None:
    stream: dict[int | str, dict[str, Any]] = {
        200: {"description": "Server-Sent Events", "content": {"text/event-stream": {}}}
    }

    @router.get("/follow", responses={**documented(429), **stream})
    async def follow(
        request: Request,
        after: Place | None = None,
        category: Annotated[str | None, Query(min_length=1, max_length=NAME_LENGTH_MAX)] = None,
        last_event_id: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
        tenant: Tenant = None,
    ) -> Response:
        """Follow the log live as Server-Sent Events; ``id:`` is the position to resume after."""
        chosen = stores.of(request, tenant)
        start = after or 0
        if last_event_id is not None:
            start = await chosen.position_of(last_event_id)
        return followers.response(chosen, start, category)


def _page(
    request: Request,
    store: EventStore,
    events: Sequence[Any],
    at: Sequence[int],
    limit: int,
    more: dict[str, str],
    *,
    backwards: bool,
) -> Response:
    following = None
    if len(events) == limit and not (backwards and at[-1] <= 1):
        following = _next(request, at[-1], limit, "before" if backwards else "after")
    if following is not None:
        more = {**more, "Link": f'<{following}>; rel="next"'}
    if cloudevents.wants(request.headers.get("accept"), cloudevents.BATCH):
        batch = [cloudevents.cloud_event(event, _source(store)) for event in events]
        return _json(batch, 200, more, cloudevents.BATCH)
    return _json({"events": [shown(event) for event in events], "next": following}, 200, more)


def _source(store: EventStore) -> str:
    """The CloudEvents source: with the event's id it names the event for ever."""
    return f"/goldseam/{store.store_id}"


def _trace(header: str | None) -> str | None:
    """The request's trace; a malformed one is ignored, as the W3C asks."""
    return header if header is not None and re.fullmatch(TRACEPARENT, header) else None


def _path(request: Request) -> str:
    """The path as a header can carry it, whatever the stream is called."""
    return quote(request.scope["path"], safe="/")


def _next(request: Request, after: object, limit: int, name: str = "after") -> str:
    return f"{_path(request)}?{name}={quote(str(after), safe='')}&limit={limit}"


def _json(
    body: object,
    status: int = 200,
    more: dict[str, str] | None = None,
    media_type: str = "application/json",
) -> Response:
    return Response(msgspec.json.encode(body), status, headers=more, media_type=media_type)
