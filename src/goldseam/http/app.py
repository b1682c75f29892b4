"""The application that ``goldseam serve`` runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from goldseam.errors import GoldseamError
from goldseam.http.auth import Authentication, Token
from goldseam.http.bodies import Problem
from goldseam.http.buffered import install_buffered
from goldseam.http.dashboard import DashboardSessions, dashboard_router
from goldseam.http.dashboard.sessions import PREFIX
from goldseam.http.dead_letters import dead_letters_router
from goldseam.http.follow import Followers
from goldseam.http.healing import healing_router
from goldseam.http.limits import BODY_BYTES_MAX, Limits
from goldseam.http.problems import documented, install_problems, problem
from goldseam.http.read_models import read_model_router
from goldseam.http.sagas import sagas_router
from goldseam.http.schema_registry import schema_registry_router
from goldseam.http.streams import store_router
from goldseam.runtime.application import Goldseam
from goldseam.telemetry.signals import signals
from goldseam.versioning.schema_registry import SchemaRegistry

_SECURITY = {
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
}
_NOT_READY: dict[int | str, dict[str, Any]] = {503: documented()[503]}
_OPEN: dict[str, Any] = {"security": []}
"""Needs no token: who watches the process has none."""


def create_app(
    application: Goldseam,
    *,
    tokens: Sequence[Token] = (),
    body_bytes_max: int = BODY_BYTES_MAX,
) -> FastAPI:
    """The store, its read models, its health and its metrics over HTTP.

    Args:
        application: opened when the server starts, closed when it ends.
        tokens: who may do what; without any, only this machine is answered.
        body_bytes_max: largest body, in bytes.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with application:
            known.clear()  # the application may have been opened before
            await schemas().prepare()
            yield

    known: list[SchemaRegistry] = []

    def schemas() -> SchemaRegistry:
        if not known:
            store = application.store
            known.append(SchemaRegistry(store.database, store.clock))
        return known[0]

    app = FastAPI(
        title="goldseam",
        summary="An event store, its read models, and positions that can be trusted",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
    )
    install_problems(app)
    install_buffered(app)
    app.state.followers = Followers()
    _routes(app, application, schemas)
    sessions = DashboardSessions(application.clock, needed=bool(tokens))
    pages = dashboard_router(lambda: application, tokens, sessions, app.state.followers)
    app.include_router(pages)
    _health(app, application)
    _document(app, secured=bool(tokens))
    app.add_middleware(Limits, body_bytes_max=body_bytes_max, forms=f"{PREFIX}/")
    app.add_middleware(Authentication, tokens=tokens, browsers=sessions)
    app.add_middleware(SecurityHeaders)
    return app


def _routes(app: FastAPI, application: Goldseam, schemas: Callable[[], SchemaRegistry]) -> None:
    store = store_router(lambda: application.store, followers=app.state.followers)
    app.include_router(store, prefix="/v1")
    app.include_router(read_model_router(lambda: application), prefix="/v1")
    app.include_router(healing_router(lambda: application), prefix="/v1")
    app.include_router(sagas_router(lambda: application), prefix="/v1")
    app.include_router(schema_registry_router(schemas), prefix="/v1/schemas")
    if len(application.target_urls) == 1:
        letters = dead_letters_router(application.target, application.clock)
        app.include_router(letters, prefix="/v1")
    if application.has_keys:
        from goldseam.http.privacy import privacy_router  # needs the extra "privacy"

        app.include_router(privacy_router(lambda: application), prefix="/v1")


def _health(app: FastAPI, application: Goldseam) -> None:
    @app.get("/healthz", tags=["health"], openapi_extra=_OPEN)
    async def alive() -> Response:
        """The process answers."""
        return JSONResponse({"status": "alive"})

    @app.get("/readyz", tags=["health"], responses=_NOT_READY, openapi_extra=_OPEN)
    async def ready() -> Response:
        """The store can be reached and nothing is stuck."""
        try:
            head = await application.store.head()
        except GoldseamError as error:
            what = f"the store cannot be read ({type(error).__name__})"
            return problem(503, "not-ready", what, headers={"Retry-After": "2"})
        if application.failures:  # names only: this answer needs no token
            what = "not going well: " + ", ".join(sorted(application.failures))
            return problem(503, "not-ready", what, headers={"Retry-After": "2"})
        return JSONResponse({"status": "ready", "head": head})

    @app.get("/metrics", tags=["health"], response_class=PlainTextResponse, responses=documented())
    async def metrics() -> Response:
        """Counters and gauges in the Prometheus text format."""
        return PlainTextResponse(signals.exposition())


def _document(app: FastAPI, *, secured: bool) -> None:
    """Complete the OpenAPI: the problem schema, and the tokens where they are needed."""
    original = app.openapi

    def openapi() -> dict[str, Any]:
        schema = original()
        schemas = schema.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = Problem.model_json_schema()
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        if secured:
            bearer = {"type": "http", "scheme": "bearer"}
            schema["components"]["securitySchemes"] = {"bearer": bearer}
            schema["security"] = [{"bearer": []}]
        return schema

    app.openapi = openapi  # type: ignore[method-assign]


class SecurityHeaders:
    """ASGI middleware: what every answer says to a browser."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                extra = [pair for pair in _SECURITY.items() if pair[0] not in present]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        await self._app(scope, receive, with_headers)
