"""The routes about people: forget, status, export. The role admin, and no name in any address.

Subjects are in the body: addresses end in access logs.
"""

# No "from __future__ import annotations": FastAPI reads these annotations when a route is made.

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from goldseam.forgetting.export import Exporter
from goldseam.forgetting.forget import Forgetting
from goldseam.http.problems import Refusal, documented
from goldseam.privacy.envelope import SUBJECT_BYTES_MAX, checked_subject
from goldseam.privacy.vault import REASON_LENGTH_MAX, Vault
from goldseam.runtime.application import Goldseam

SUBJECTS_MAX = 1_000
"""People forgotten in one request: one rotation is enough for all of them."""

NDJSON = "application/x-ndjson"

Subject = Annotated[str, Field(min_length=1, max_length=SUBJECT_BYTES_MAX)]


class Ask(BaseModel):
    """Whom it is about."""

    model_config = ConfigDict(extra="forbid")
    subject: Subject


class Erase(BaseModel):
    """Who is to be forgotten, why, and who asked for it."""

    model_config = ConfigDict(extra="forbid")
    subjects: list[Subject] = Field(min_length=1, max_length=SUBJECTS_MAX)
    reason: str = Field(min_length=1, max_length=REASON_LENGTH_MAX)
    actor: str | None = Field(default=None, max_length=200)


def privacy_router(application: Callable[[], Goldseam]) -> APIRouter:
    """The routes about people, to be mounted under any prefix."""

    def admin_of_the_tenant(request: Request) -> None:
        # Reading what is known of somebody needs it as much as forgetting them.
        if request.scope.get("goldseam.role") != "admin":
            raise Refusal(403, "forbidden", "this needs the role admin")
        if request.scope.get("goldseam.tenant") not in (None, application().store.tenant):
            raise Refusal(403, "forbidden", "the token is bound to a tenant that is not served")

    router = APIRouter(tags=["privacy"], dependencies=[Depends(admin_of_the_tenant)])

    @router.post("/privacy/forget", responses=documented(404, 409))
    async def forget(erase: Erase) -> Response:
        """Forget people; answered when it is complete, or with what is left to do."""
        app = application()
        forgetting = Forgetting(app.store, _vault(app), app.projections)
        report = await forgetting.forget(erase.subjects, erase.reason, actor=erase.actor)
        return _json(report._asdict())

    @router.post("/privacy/resume", responses=documented(404, 409))
    async def resume() -> Response:
        """Finish the erasures that are recorded and not complete."""
        app = application()
        report = await Forgetting(app.store, _vault(app), app.projections).resume()
        return _json(report._asdict())

    @router.post("/privacy/status", responses=documented(404))
    async def status(ask: Ask) -> Response:
        """Where somebody stands: active, forgotten, re-admitted; unknown if nothing is sealed."""
        app = application()
        found = await _vault(app).subject(app.store.tenant, checked_subject(ask.subject))
        state = "unknown" if found is None else found.state
        erasure = "" if found is None else found.steps
        return _json({"subject": ask.subject, "state": state, "erasure": erasure})

    _export_route(router, application)
    return router


def _export_route(router: APIRouter, application: Callable[[], Goldseam]) -> None:
    @router.post("/privacy/export", responses=documented(404))
    async def export(ask: Ask) -> Response:
        """Every event that names somebody, oldest first, one line of JSON for each."""
        app = application()
        exporter = Exporter(app.store, _vault(app))
        events = exporter.events(checked_subject(ask.subject))
        # The first one before the answer begins: what is refused is refused with its status.
        first = [one async for one in _at_most_one(events)]

        async def lines() -> AsyncIterator[bytes]:
            for event in first:
                yield msgspec.json.encode(event) + b"\n"
            async for event in events:
                yield msgspec.json.encode(event) + b"\n"

        return StreamingResponse(lines(), media_type=NDJSON)


async def _at_most_one(events: AsyncIterator[Any]) -> AsyncIterator[Any]:
    try:
        yield await anext(events)
    except StopAsyncIteration:
        return


def _vault(app: Goldseam) -> Vault:
    if app.vault is None:
        raise Refusal(404, "not-found", "this server was started without keys of personal data")
    return app.vault


def _json(body: object) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")
