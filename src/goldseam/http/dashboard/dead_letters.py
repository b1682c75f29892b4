"""The pages of dead letters: by cause, one by one, redriven or given up."""

# No "from __future__ import annotations": FastAPI reads these annotations when a route is made.

from collections.abc import Callable
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import RedirectResponse, Response

from goldseam.consumers.dead_letters import actions, redrive
from goldseam.consumers.dead_letters.actions import Order
from goldseam.consumers.dead_letters.choice import Choice
from goldseam.consumers.dead_letters.errors import (
    LetterGone,
    NoSuchLetter,
    NotTheFirst,
    Quarantined,
)
from goldseam.consumers.dead_letters.plain import plain_letter
from goldseam.database.connection import Connection
from goldseam.http.dashboard import views
from goldseam.http.dashboard.forms import order_of
from goldseam.http.dashboard.pages import page
from goldseam.http.dashboard.sessions import PREFIX
from goldseam.runtime.application import Goldseam

NAME_MAX = 255
LETTER_MAX = 2**63 - 1
Text = Annotated[str, Query(max_length=NAME_MAX)]
Number = Annotated[int, Path(ge=1, le=LETTER_MAX)]
_CANNOT = (LetterGone, NotTheFirst, Quarantined)


def letter_routes(router: APIRouter, application: Callable[[], Goldseam]) -> None:
    """Groups and letters, one letter, and what may be done with it."""
    _looking(router, application)
    _steering(router, application)


def _looking(router: APIRouter, application: Callable[[], Goldseam]) -> None:
    @router.get("/dead-letters")
    async def dead_letters(
        request: Request,
        consumer: Text = "",
        group: Text = "",
        after: Annotated[int, Query(ge=0, le=LETTER_MAX)] = 0,
    ) -> Response:
        app = application()
        wanted = Choice(consumer=consumer or None, fingerprint=group or None)
        found = await views.letter_list(app, wanted, after)
        following = found[-1].id if len(found) == views.PAGE_ROWS else None
        return page(
            request,
            "dead_letters.html",
            groups=await views.letter_groups(app),
            rows=found,
            consumer=consumer,
            group=group,
            following=following,
        )

    @router.get("/dead-letters/{consumer}/{number}")
    async def letter(request: Request, consumer: str, number: Number, said: Text = "") -> Response:
        try:
            database, found = await views.letter_of(application(), consumer, number)
        except NoSuchLetter:
            return page(request, "missing.html", 404, what=f"letter {number} of {consumer}")
        done = await database.read(lambda c: actions.of_letter(c, number))
        is_admin = request.scope.get("goldseam.role", "admin") == "admin"
        shown = plain_letter(found, details=True, payload=is_admin)
        return page(request, "dead_letter.html", letter=shown, actions=done, said=said)


def _steering(router: APIRouter, application: Callable[[], Goldseam]) -> None:
    @router.post("/dead-letters/{consumer}/{number}/{verb}")
    async def steer(request: Request, consumer: str, number: Number, verb: str) -> Response:
        if verb not in ("redrive", "discard"):
            return page(request, "missing.html", 404, what=f"way to treat a letter: {verb}")
        who, why = await order_of(request)
        app = application()
        order = Order(who, why, app.clock.now_us())
        try:
            database, _ = await views.letter_of(app, consumer, number)
        except NoSuchLetter:
            return page(request, "missing.html", 404, what=f"letter {number} of {consumer}")

        async def act(connection: Connection) -> None:
            if verb == "redrive":
                await redrive.redrive_letter(connection, number, order)
            else:
                wanted = Choice(consumer=consumer)
                await redrive.discard(connection, wanted, order, letters=[number])

        try:
            await database.transact(act)
            said = "asked for: the consumer does it" if verb == "redrive" else "discarded"
        except _CANNOT as refused:
            said = str(refused)
        where = f"{PREFIX}/dead-letters/{quote(consumer)}/{number}?said={quote(said[:NAME_MAX])}"
        return RedirectResponse(where, 303)
