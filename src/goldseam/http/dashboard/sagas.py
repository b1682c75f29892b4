"""The pages of sagas and choreographed flows."""

# No "from __future__ import annotations": FastAPI reads these annotations when a route is made.

from collections.abc import Callable
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from goldseam.http.dashboard.forms import order_of
from goldseam.http.dashboard.pages import page
from goldseam.http.dashboard.sessions import PREFIX
from goldseam.http.dashboard.views import PAGE_ROWS
from goldseam.runtime.application import Goldseam
from goldseam.sagas.board import ALL_STATUSES
from goldseam.sagas.errors import SagaConflict, UnknownDefinition, UnknownSaga
from goldseam.sagas.flows import FlowStory
from goldseam.sagas.listing import TIME_MAX_US

NAME_MAX = 255
Text = Annotated[str, Query(max_length=NAME_MAX)]
VERBS = ("retry", "compensate", "resume")


def saga_routes(router: APIRouter, application: Callable[[], Goldseam]) -> None:
    """List, one saga with its picture, and the three ways to steer it."""
    _list(router, application)
    _one(router, application)


def _list(router: APIRouter, application: Callable[[], Goldseam]) -> None:
    @router.get("/sagas")
    async def sagas(
        request: Request,
        status: Text = "",
        definition: Text = "",
        before: Annotated[int, Query(ge=0, le=TIME_MAX_US)] = TIME_MAX_US,
    ) -> Response:
        board = application().saga_list
        wanted = status if status in ALL_STATUSES else ""
        found = await board.find(
            status=wanted, definition=definition, limit=PAGE_ROWS, before_us=before
        )
        older = found[-1].updated_us - 1 if len(found) == PAGE_ROWS else None
        return page(
            request,
            "sagas.html",
            rows=found,
            counts=await board.counts(),
            definitions=board.definitions,
            statuses=ALL_STATUSES,
            status=wanted,
            definition=definition,
            older=older,
        )


def _one(router: APIRouter, application: Callable[[], Goldseam]) -> None:
    @router.get("/sagas/{saga:path}")
    async def saga(request: Request, saga: str, said: Text = "") -> Response:
        board = application().saga_list
        try:
            story = await board.show(saga)
        except UnknownSaga:
            return page(request, "missing.html", 404, what=f"saga {saga}")
        try:
            picture = await board.diagram(saga, as_svg=True)
        except (UnknownSaga, UnknownDefinition):
            picture = ""
        template = "flow.html" if isinstance(story, FlowStory) else "saga.html"
        return page(request, template, story=story, picture=picture, said=said)

    @router.post("/sagas/{saga:path}/{verb}")
    async def steer(request: Request, saga: str, verb: str) -> Response:
        if verb not in VERBS:
            return page(request, "missing.html", 404, what=f"way to steer a saga: {verb}")
        who, why = await order_of(request)
        try:
            await getattr(application().sagas, verb)(saga, by=who, reason=why)
            said = "done"
        except UnknownSaga:
            return page(request, "missing.html", 404, what=f"saga {saga}")
        except SagaConflict as conflict:
            said = str(conflict)
        where = f"{PREFIX}/sagas/{quote(saga)}?said={quote(said[:NAME_MAX])}"
        return RedirectResponse(where, 303)
