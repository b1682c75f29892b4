"""The routes of sagas: look at them, draw them, steer those that need a human."""

# No "from __future__ import annotations": FastAPI reads these annotations when a route is made.

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from goldseam.http.problems import Refusal, documented
from goldseam.runtime.application import Goldseam
from goldseam.sagas.desk import Instance
from goldseam.sagas.errors import SagaConflict, UnknownDefinition, UnknownSaga
from goldseam.sagas.listing import LIST_MAX, TIME_MAX_US

NAME_MAX = 255
TEXT_MAX = 1_000
SVG_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"

Text = Annotated[str, Query(max_length=NAME_MAX)]
Said = Annotated[str, Field(min_length=1, max_length=TEXT_MAX)]


class SteerBody(BaseModel):
    """Why, and who asks (whom the token names, unless there are no tokens)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: Said
    by: Said | None = None


def sagas_router(application: Callable[[], Goldseam]) -> APIRouter:
    """The routes, to be mounted under any prefix. Looking needs a token that is bound to no
    tenant; steering the role admin.
    """
    router = APIRouter(tags=["sagas"], dependencies=[Depends(_unbound)])
    _looking(router, application)
    _steering(router, application)
    return router


def _looking(router: APIRouter, application: Callable[[], Goldseam]) -> None:
    @router.get("/sagas", responses=documented())
    async def list_sagas(
        status: Text = "",
        definition: Text = "",
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 100,
        before: Annotated[int, Query(ge=0, le=TIME_MAX_US)] = TIME_MAX_US,
    ) -> Response:
        """Sagas and flows by their last change; ``next`` is what to give as ``before`` then."""
        board = application().saga_list
        found = await board.find(
            status=status, definition=definition, limit=limit, before_us=before
        )
        counts = [
            {"definition": d, "version": v, "status": s, "count": n}
            for d, v, s, n in await board.counts()
        ]
        following = found[-1].updated_us - 1 if len(found) == limit else None
        return _json({"sagas": found, "counts": counts, "next": following})

    @router.get("/sagas/{saga:path}/diagram", responses=documented(404))
    async def draw(saga: str, svg: bool = False) -> Response:
        """A definition by its name or a saga by its id: Mermaid text, or SVG."""
        with _Refused():
            text = await application().saga_list.diagram(saga, as_svg=svg)
        if not svg:
            return Response(text, media_type="text/vnd.mermaid")
        headers = {"Content-Security-Policy": SVG_POLICY}
        return Response(text, media_type="image/svg+xml", headers=headers)

    @router.get("/sagas/{saga:path}", responses=documented(404))
    async def show(saga: str) -> Response:
        """One saga or flow, with everything that has happened to it."""
        with _Refused():
            return _json(await application().saga_list.show(saga))


def _steering(router: APIRouter, application: Callable[[], Goldseam]) -> None:
    admin = [Depends(_administrators)]
    answers = documented(404, 409)

    @router.post("/sagas/{saga:path}/retry", responses=answers, dependencies=admin)
    async def retry(request: Request, saga: str, body: SteerBody) -> Response:
        """Try again what has failed: at once, with all its attempts."""
        with _Refused():
            desk = application().sagas
            return _steered(await desk.retry(saga, by=_who(request, body), reason=body.reason))

    @router.post("/sagas/{saga:path}/compensate", responses=answers, dependencies=admin)
    async def compensate(request: Request, saga: str, body: SteerBody) -> Response:
        """Turn a running saga back."""
        with _Refused():
            desk = application().sagas
            return _steered(await desk.compensate(saga, by=_who(request, body), reason=body.reason))

    @router.post("/sagas/{saga:path}/resume", responses=answers, dependencies=admin)
    async def resume(request: Request, saga: str, body: SteerBody) -> Response:
        """Go on with a parked saga, after what could not be undone was undone by hand."""
        with _Refused():
            desk = application().sagas
            return _steered(await desk.resume(saga, by=_who(request, body), reason=body.reason))


class _Refused:
    """Turns what sagas refuse into problems of HTTP."""

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, UnknownSaga):
            raise Refusal(404, "not-found", str(error)) from None
        if isinstance(error, SagaConflict):
            raise Refusal(409, "saga-conflict", str(error)) from None
        if isinstance(error, UnknownDefinition):
            raise Refusal(409, "unknown-definition", str(error)) from None


def _steered(instance: Instance) -> Response:
    state = instance.state
    step = state.doing(instance.saga)
    return _json({"saga": instance.id, "status": state.status, "step": step})


def _who(request: Request, body: SteerBody) -> str:
    """Whom the token names; without tokens, whom the request names."""
    name: str | None = request.scope.get("goldseam.name")
    if name is None and body.by is None:
        raise Refusal(422, "invalid-request", "say who asks: by")
    if name is not None and body.by not in (None, name):
        raise Refusal(409, "another-name", f"the token is {name!r}'s; leave by out")
    return name or body.by or ""


def _unbound(request: Request) -> None:
    """Sagas of all callers are in one place: a token of one tenant must not see them."""
    if request.scope.get("goldseam.tenant") is not None:
        raise Refusal(403, "forbidden", "the token is bound to a tenant; sagas are not")


def _administrators(request: Request) -> None:
    if request.scope.get("goldseam.role", "admin") != "admin":
        raise Refusal(403, "forbidden", "this needs the role admin")


def _json(body: Any) -> Response:
    return Response(msgspec.json.encode(body), 200, media_type="application/json")
