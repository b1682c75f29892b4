"""The dashboard's routes: overview, events, streams, sagas, dead letters, and the way in."""

# No "from __future__ import annotations": FastAPI reads these annotations when a route is made.

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from goldseam.http.auth import Token, find_token
from goldseam.http.dashboard import views
from goldseam.http.dashboard.dead_letters import letter_routes
from goldseam.http.dashboard.forms import form_of
from goldseam.http.dashboard.pages import STATIC, page, static_text
from goldseam.http.dashboard.sagas import saga_routes
from goldseam.http.dashboard.sessions import (
    COOKIE,
    LOGIN,
    PREFIX,
    SESSION_SECONDS,
    DashboardSessions,
)
from goldseam.http.follow import Followers
from goldseam.runtime.application import Goldseam
from goldseam.store.read import POSITION_END

LIVE_SECONDS = 1.0
LIVE_MAX = 100
"""Browsers that may watch the overview at once."""

NAME_MAX = 255

Text = Annotated[str, Query(max_length=NAME_MAX)]
Position = Annotated[int, Query(ge=1, le=POSITION_END)]


def dashboard_router(
    application: Callable[[], Goldseam],
    tokens: Sequence[Token],
    sessions: DashboardSessions,
    followers: Followers,
) -> APIRouter:
    """The dashboard, under its own prefix. Looking needs the role read, steering admin."""
    router = APIRouter(prefix=PREFIX, include_in_schema=False)
    _entry_routes(router, tokens, sessions)
    _overview_routes(router, application, followers)
    _event_routes(router, application)
    _stream_routes(router, application)
    saga_routes(router, application)
    letter_routes(router, application)
    return router


def _entry_routes(router: APIRouter, tokens: Sequence[Token], sessions: DashboardSessions) -> None:
    @router.get("/static/{name}")
    async def static(name: str) -> Response:
        if name not in STATIC:
            return Response(status_code=404)
        headers = {"Cache-Control": "max-age=300"}
        return Response(static_text(name), media_type=STATIC[name], headers=headers)

    @router.get("/login")
    async def ask(request: Request) -> Response:
        return page(request, "login.html", wrong=False)

    @router.post("/login")
    async def log_in(request: Request) -> Response:
        secret = (await form_of(request)).get("token", "")
        token = find_token(secret, tokens)
        if token is None or token.tenant is not None:
            return page(request, "login.html", 401, wrong=True)
        answer = RedirectResponse(PREFIX, 303)
        answer.set_cookie(
            COOKIE,
            sessions.begin(token),
            max_age=SESSION_SECONDS,
            path=PREFIX,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    @router.post("/logout")
    async def log_out(request: Request) -> Response:
        sessions.end(request.scope)
        answer = RedirectResponse(LOGIN, 303)
        answer.delete_cookie(COOKIE, path=PREFIX)
        return answer


def _overview_routes(
    router: APIRouter, application: Callable[[], Goldseam], followers: Followers
) -> None:
    watching: set[object] = set()

    @router.get("")
    async def overview(request: Request) -> Response:
        return page(request, "overview.html", **await views.overview(application()))

    @router.get("/live")
    async def live() -> Response:
        if len(watching) >= LIVE_MAX:
            return Response(status_code=429, headers={"Retry-After": "5"})
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(numbers(), headers=headers, media_type="text/event-stream")

    async def numbers() -> AsyncIterator[bytes]:
        mine = object()
        watching.add(mine)
        try:
            going = True
            while going:
                found = await views.tiles(application())
                yield b"data: " + msgspec.json.encode(found) + b"\n\n"
                going = await followers.rest(LIVE_SECONDS)
        finally:
            watching.discard(mine)


def _event_routes(router: APIRouter, application: Callable[[], Goldseam]) -> None:
    @router.get("/events")
    async def events(
        request: Request, before: Position = POSITION_END, category: Text = ""
    ) -> Response:
        store = application().store.tolerant()
        limit = views.PAGE_ROWS
        if category:
            found = await store.read_category_backwards(category, before=before, limit=limit)
        else:
            found = await store.read_all_backwards(before=before, limit=limit)
        older = found[-1].position if found.full and found else None
        rows = [views.event_row(one) for one in found]
        return page(request, "events.html", rows=rows, older=older, category=category)

    @router.get("/events/{position}")
    async def event(
        request: Request, position: Annotated[int, Path(ge=1, le=POSITION_END)]
    ) -> Response:
        store = application().store.tolerant()
        found = await store.read_all(after=position - 1, limit=1)
        if not found or found[0].position != position:
            return page(request, "missing.html", 404, what=f"event at position {position}")
        return page(request, "event.html", event=views.event_row(found[0]))


def _stream_routes(router: APIRouter, application: Callable[[], Goldseam]) -> None:
    @router.get("/streams")
    async def streams(request: Request, after: Text = "") -> Response:
        found = await application().store.streams(after=after, limit=views.PAGE_ROWS)
        following = found[-1][0] if len(found) == views.PAGE_ROWS else None
        return page(request, "streams.html", rows=found, following=following, after=after)

    @router.get("/streams/{stream:path}")
    async def stream(
        request: Request, stream: str, after: Annotated[int, Query(ge=0, le=POSITION_END)] = 0
    ) -> Response:
        store = application().store.tolerant()
        found = await store.read_stream(stream, after=after, limit=views.PAGE_ROWS)
        if not found and after == 0:
            return page(request, "missing.html", 404, what=f"stream {stream}")
        rows = [views.event_row(one) for one in found]
        following = found[-1].version if found.full and found else None
        return page(request, "stream.html", stream=stream, rows=rows, following=following)
