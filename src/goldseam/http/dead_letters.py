"""The routes of dead letters: look, redrive in order, give up."""

# No "from __future__ import annotations": FastAPI reads these annotations when a route is made.

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, get_args

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from goldseam.consumers.dead_letters import actions, choice, redrive
from goldseam.consumers.dead_letters.actions import TEXT_LENGTH_MAX, Order
from goldseam.consumers.dead_letters.choice import PAGE_MAX, Choice
from goldseam.consumers.dead_letters.errors import (
    LetterGone,
    NoSuchLetter,
    NotTheFirst,
    Quarantined,
)
from goldseam.consumers.dead_letters.letter import Reason, State
from goldseam.consumers.dead_letters.plain import plain_letter
from goldseam.consumers.dead_letters.redrive import LETTERS_MAX, RATE_MAX
from goldseam.database.connection import Database
from goldseam.http.problems import Refusal, documented
from goldseam.resilience.clock import MICROSECONDS_PER_SECOND, Clock

NAME_MAX = 500
"""Longest text of a filter."""

LETTER_MAX = 2**63 - 1
IDS_MAX = 100
"""Letters named in one request; more by a filter."""

Said = Annotated[str, Field(min_length=1, max_length=TEXT_LENGTH_MAX)]
Text = Annotated[str | None, Query(max_length=NAME_MAX)]
Filter = Annotated[str | None, Field(max_length=NAME_MAX)]
Number = Annotated[int, Path(ge=1, le=LETTER_MAX)]
Ids = Annotated[list[Annotated[int, Field(ge=1, le=LETTER_MAX)]], Field(max_length=IDS_MAX)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class ChosenBody(_Strict):
    """Letters by number, or all that the filter means; who asks, and why."""

    consumer: Annotated[str, Field(min_length=1, max_length=NAME_MAX)]
    letters: Ids = []
    stream: Filter = None
    type: Filter = None
    error_class: Annotated[Filter, Field(alias="errorClass")] = None
    parked_for: Annotated[Reason | None, Field(alias="parkedFor")] = None
    group: Filter = None
    topic: Filter = None
    reason: Said
    by: Said | None = None
    maximum: Annotated[int, Field(ge=1, le=LETTERS_MAX, alias="max")] = LETTERS_MAX
    dry_run: Annotated[bool, Field(alias="dryRun")] = False

    def choice(self) -> Choice:
        """The filter."""
        return Choice(
            consumer=self.consumer, sequence=self.stream, type=self.type,
            error_class=self.error_class, reason=self.parked_for, fingerprint=self.group,
            topic=self.topic,
        )  # fmt: skip


class RedriveBody(ChosenBody):
    """``rate`` is in letters a second; ``force`` takes quarantined ones, too."""

    rate: Annotated[float | None, Field(gt=0, le=RATE_MAX, strict=False)] = None
    force: bool = False


def dead_letters_router(database: Callable[[], Database], clock: Clock) -> APIRouter:
    """The routes, to be mounted under any prefix. Looking needs a token that is
    bound to no tenant; changing, and payloads, the role admin.

    Args:
        database: the consumers' database, whose tables of dead letters are there.
    """
    router = APIRouter(tags=["dead letters"], dependencies=[Depends(_unbound)])
    _looking(router, database)
    _changing(router, database, clock)
    return router


def _looking(router: APIRouter, database: Callable[[], Database]) -> None:
    @router.get("/dead-letters", responses=documented())
    async def list_letters(
        wanted: Annotated[Choice, Depends(_choice)],
        after: Annotated[int, Query(ge=0, le=LETTER_MAX)] = 0,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    ) -> Response:
        """Letters above number ``after``; ``next`` is what to give as ``after`` then."""
        letters = await database().read(lambda c: choice.listed(c, wanted, after, limit))
        total = await database().read(lambda c: choice.count(c, wanted))
        following = letters[-1].id if len(letters) == limit else None
        plain = [plain_letter(one) for one in letters]
        return _json({"letters": plain, "total": total, "next": following})

    @router.get("/dead-letters/groups", responses=documented())
    async def list_groups(wanted: Annotated[Choice, Depends(_choice)]) -> Response:
        """Letters by cause, the most frequent first."""
        found = await database().read(lambda c: choice.groups(c, wanted))
        return _json({"groups": [msgspec.to_builtins(one) for one in found]})

    @router.get("/dead-letters/{letter}", responses=documented(404))
    async def show(request: Request, letter: Number, payload: bool = False) -> Response:
        """One letter and what was done with it. ``payload`` needs the role admin."""
        if payload:
            _administrators(request)
        try:
            found = await database().read(lambda c: choice.one(c, letter))
        except NoSuchLetter as missing:
            raise Refusal(404, "not-found", str(missing)) from None
        done = await database().read(lambda c: actions.of_letter(c, letter))
        shown = plain_letter(found, details=True, payload=payload)
        return _json({**shown, "actions": [msgspec.to_builtins(one) for one in done]})


def _changing(router: APIRouter, database: Callable[[], Database], clock: Clock) -> None:
    admin = [Depends(_administrators)]

    @router.post("/dead-letters/redrive", responses=documented(404, 409), dependencies=admin)
    async def ask(request: Request, body: RedriveBody) -> Response:
        """Let the consumer apply letters with today's code, in order; it does so by itself."""
        order = _order(request, body, clock)

        async def operation(connection: Any) -> list[redrive.Asked]:
            if not body.letters:
                asked = await redrive.redrive(
                    connection, body.choice(), order,
                    rate=body.rate, most=body.maximum, force=body.force, dry_run=body.dry_run,
                )  # fmt: skip
                return [asked]
            return [
                await redrive.redrive_letter(
                    connection, letter, order, force=body.force, dry_run=body.dry_run
                )
                for letter in body.letters
            ]

        with _Refused():
            asked = await database().transact(operation)
        return _json({"dry_run": body.dry_run, "asked": [msgspec.to_builtins(a) for a in asked]})

    @router.post("/dead-letters/discard", responses=documented(404, 409), dependencies=admin)
    async def give_up(request: Request, body: ChosenBody) -> Response:
        """Give letters up: they are never applied, and stay readable."""
        order, wanted = _order(request, body, clock), body.choice()
        if not body.letters and wanted == Choice(consumer=body.consumer):
            raise Refusal(422, "invalid-request", "name letters or a filter besides the consumer")
        with _Refused():
            done = await database().transact(
                lambda c: redrive.discard(
                    c, wanted, order,
                    letters=body.letters, most=body.maximum, dry_run=body.dry_run,
                )
            )  # fmt: skip
        return _json({"dry_run": body.dry_run, **msgspec.to_builtins(done)})


class _Refused:
    """Turns what the dead letters refuse into problems of HTTP."""

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, NoSuchLetter):
            raise Refusal(404, "not-found", str(error)) from None
        if isinstance(error, LetterGone | NotTheFirst | Quarantined):
            name = {LetterGone: "letter-gone", NotTheFirst: "not-the-first"}
            slug = name.get(type(error), "quarantined")
            raise Refusal(409, slug, str(error)) from None


def _choice(
    consumer: Text = None,
    stream: Text = None,
    type: Text = None,  # noqa: A002 (the name of the query parameter)
    error_class: Annotated[str | None, Query(alias="errorClass", max_length=NAME_MAX)] = None,
    parked_for: Annotated[Reason | None, Query(alias="parkedFor")] = None,
    group: Text = None,
    topic: Text = None,
    text: Text = None,
    since: datetime | None = None,
    until: datetime | None = None,
    state: Annotated[
        str, Query(pattern="^(" + "|".join(("open", "all", *get_args(State))) + ")$")
    ] = "open",
) -> Choice:
    return Choice(
        consumer=consumer, sequence=stream, type=type, error_class=error_class, reason=parked_for,
        fingerprint=group, topic=topic, contains=text, since_us=_us(since), until_us=_us(until),
        state=None if state == "all" else state,
    )  # fmt: skip


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * MICROSECONDS_PER_SECOND)


def _unbound(request: Request) -> None:
    """Letters of all tenants are in one place: a token of one tenant must not see them."""
    if request.scope.get("goldseam.tenant") is not None:
        raise Refusal(
            403, "forbidden", "the token is bound to a tenant; letters are of all tenants"
        )


def _administrators(request: Request) -> None:
    if request.scope.get("goldseam.role", "admin") != "admin":
        raise Refusal(403, "forbidden", "this needs the role admin")


def _order(request: Request, body: ChosenBody, clock: Clock) -> Order:
    """Whom the token names; without tokens, whom the request names."""
    name: str | None = request.scope.get("goldseam.name")
    if name is None and body.by is None:
        raise Refusal(422, "invalid-request", "say who asks: by")
    if name is not None and body.by not in (None, name):
        raise Refusal(409, "another-name", f"the token is {name!r}'s; leave by out")
    return Order(name or body.by or "", body.reason, clock.now_us())


def _json(body: object) -> Response:
    return Response(msgspec.json.encode(body), 200, media_type="application/json")
