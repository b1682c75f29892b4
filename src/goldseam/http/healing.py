"""The routes that correct events: look first, append, approve, report."""

# No "from __future__ import annotations": FastAPI reads these annotations when a route is made.

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Header, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from goldseam.healing import approval
from goldseam.healing.errors import ApprovalNeeded, OriginalMissing
from goldseam.healing.heal import heal, healed_before
from goldseam.healing.plan import plan
from goldseam.healing.preview import Affects, Kind, Preview, preview
from goldseam.healing.projecting import request_reprojections
from goldseam.healing.report import Healing, healings
from goldseam.healing.request import TEXT_LENGTH_MAX, checked
from goldseam.healing.request import Request as Asked
from goldseam.http import headers
from goldseam.http.problems import Refusal, documented
from goldseam.runtime.application import Goldseam
from goldseam.store.read import POSITION_END

REPORT_MAX = 1_000
"""Largest page of the report."""

FIELDS_MAX = 100
"""Most fields of one correction."""

Said = Annotated[str, Field(min_length=1, max_length=TEXT_LENGTH_MAX)]
Key = Annotated[str | None, Header(alias="Idempotency-Key")]
ProposalId = Annotated[str, Path(min_length=1, max_length=100)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class ProposalBody(_Strict):
    """A correction that waits for a second person."""

    event_id: Annotated[UUID, Field(strict=False, alias="eventId")]
    changes: Annotated[dict[str, Any], Field(alias="set", min_length=1, max_length=FIELDS_MAX)]
    reason: Said
    ticket: Said
    corrected_by: Annotated[Said | None, Field(alias="correctedBy")] = None


class HealBody(ProposalBody):
    """A correction; ``dryRun`` shows what would change and appends nothing."""

    dry_run: Annotated[bool, Field(alias="dryRun")] = False


class DecisionBody(_Strict):
    """Who decides; only where no token says it."""

    by: Said | None = None


def healing_router(
    application: Callable[[], Goldseam],
    *,
    aggregates: tuple[Kind, ...] = (),
    affects: tuple[Affects, ...] = (),
) -> APIRouter:
    """The healing routes, to be mounted under any prefix; all of them need the role admin.

    Args:
        aggregates: whose states a preview shows.
        affects: sagas and topics that a preview asks.
    """

    def administrators(request: Request) -> None:
        if request.scope.get("goldseam.role", "admin") != "admin":
            raise Refusal(403, "forbidden", "healing needs the role admin")
        bound = request.scope.get("goldseam.tenant")
        if bound not in (None, application().store.tenant):
            raise Refusal(403, "forbidden", "the token is bound to a tenant not served here")

    router = APIRouter(tags=["healing"], dependencies=[Depends(administrators)])
    _heal_route(router, application, aggregates, affects)
    _report_route(router, application)
    _proposal_routes(router, application)
    return router


def _heal_route(
    router: APIRouter,
    application: Callable[[], Goldseam],
    aggregates: tuple[Kind, ...],
    affects: tuple[Affects, ...],
) -> None:
    @router.post("/heal", status_code=201, responses=documented(404, 409))
    async def correct(request: Request, body: HealBody, key: Key = None) -> Response:
        """Append the correction of an event. 200 with a preview where ``dryRun`` is true."""
        app = application()
        asked = _asked(request, body, headers.idempotency_key(key))
        try:
            if body.dry_run:
                return _json(_shown(await _preview(app, asked, aggregates, affects)), 200)
            done = await heal(
                app.store, asked.event_id, asked.changes, reason=asked.reason,
                ticket=asked.ticket, corrected_by=asked.corrected_by, key=asked.key,
            )  # fmt: skip
        except OriginalMissing as missing:
            raise Refusal(404, "not-found", str(missing)) from None
        except ApprovalNeeded as needed:
            raise Refusal(409, "approval-needed", str(needed)) from None
        return await _healed(app, done)


async def _preview(
    app: Goldseam, asked: Asked, aggregates: tuple[Kind, ...], affects: tuple[Affects, ...]
) -> Preview | Healing:
    """What would change; or what this very request has changed already."""
    done = await healed_before(app.store, asked)
    if done is not None:
        return done
    return await preview(
        app.store,
        await plan(app.store, asked),
        aggregates=aggregates,
        projections=list(app.projections.values()),
        affects=affects,
    )


def _shown(found: Preview | Healing) -> dict[str, Any]:
    if isinstance(found, Healing):
        return {"healing": _plain(found)}
    return {"preview": _plain(found)}


async def _healed(app: Goldseam, done: Healing) -> Response:
    rebuilt = await request_reprojections(app.store, app.projections.values())
    token = app.store.token(done.position)
    more = {"Goldseam-Position": token}
    if done.replayed:
        more["Idempotency-Replayed"] = "true"
    body = {"position": done.position, "token": token, "healing": _plain(done)}
    return _json({**body, "reprojecting": rebuilt}, 201, more)


def _report_route(router: APIRouter, application: Callable[[], Goldseam]) -> None:
    @router.get("/heal/report", responses=documented())
    async def report(
        after: Annotated[int, Query(ge=0, le=POSITION_END)] = 0,
        limit: Annotated[int, Query(ge=1, le=REPORT_MAX)] = 100,
    ) -> Response:
        """Corrections above position ``after``; ``next`` is what to give as ``after`` then."""
        found: list[Healing] = []
        async for one in healings(application().store, after=after):
            found.append(one)
            if len(found) == limit:
                break
        following = found[-1].position if len(found) == limit else None
        return _json({"healings": [_plain(one) for one in found], "next": following}, 200)


def _proposal_routes(router: APIRouter, application: Callable[[], Goldseam]) -> None:
    @router.post("/heal/proposals", status_code=201, responses=documented(404, 409))
    async def propose(request: Request, body: ProposalBody) -> Response:
        """Ask a second person to approve a correction."""
        try:
            found = await approval.propose(application().store, _asked(request, body, None))
        except OriginalMissing as missing:
            raise Refusal(404, "not-found", str(missing)) from None
        return _json(_plain(found), 201)

    @router.get("/heal/proposals", responses=documented())
    async def pending() -> Response:
        """The proposals that wait for a second person, oldest first."""
        found = await approval.pending(application().store)
        return _json({"proposals": [_plain(one) for one in found]}, 200)

    @router.post(
        "/heal/proposals/{proposal_id}/approve", status_code=201, responses=documented(404, 409)
    )
    async def approve(request: Request, proposal_id: ProposalId, body: DecisionBody) -> Response:
        """Append what was proposed, as a second person."""
        app, who = application(), _who(request, body.by)
        done = await approval.approve(app.store, proposal_id, approved_by=who)
        return await _healed(app, done)

    @router.post("/heal/proposals/{proposal_id}/decline", responses=documented(404, 409))
    async def decline(request: Request, proposal_id: ProposalId, body: DecisionBody) -> Response:
        """Take a proposal away; nothing is appended."""
        who = _who(request, body.by)
        found = await approval.decline(application().store, proposal_id, declined_by=who)
        return _json(_plain(found), 200)


def _asked(request: Request, body: ProposalBody, key: str | None) -> Asked:
    who = _who(request, body.corrected_by)
    return checked(Asked(body.event_id, body.changes, body.reason, body.ticket, who, key))


def _who(request: Request, said: str | None) -> str:
    """Whom the token names; without tokens, whom the request names.

    A request must not speak for somebody else: four eyes would be two.
    """
    name: str | None = request.scope.get("goldseam.name")
    if name is None and said is None:
        raise Refusal(422, "invalid-request", "say who corrects: correctedBy or by")
    if name is not None and said not in (None, name):
        raise Refusal(409, "another-name", f"the token is {name!r}'s; leave correctedBy and by out")
    return name or said or ""


def _plain(value: object) -> Any:
    return msgspec.to_builtins(value, enc_hook=str)


def _json(body: object, status: int, more: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), status, headers=more, media_type="application/json")
