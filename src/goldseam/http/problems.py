"""Errors as application/problem+json (RFC 9457): what, which values, when to come back."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from goldseam import errors
from goldseam.privacy.errors import ErasureIncomplete

MEDIA_TYPE = "application/problem+json"
URN = "urn:goldseam:problem:"
RETRY_AFTER_SECONDS = 2

_log = logging.getLogger("goldseam.http")

_KINDS: Mapping[type[errors.GoldseamError], tuple[int, str]] = {
    errors.EventTooLarge: (413, "event-too-large"),
    errors.InvalidEvent: (422, "invalid-event"),
    errors.UnknownEventType: (422, "unknown-event-type"),
    errors.InvalidPosition: (400, "invalid-position"),
    errors.InvalidInput: (400, "invalid-input"),
    errors.VersionConflict: (412, "wrong-expected-version"),
    errors.Fenced: (409, "fenced"),
    errors.IdempotencyMismatch: (422, "idempotency-conflict"),
    errors.Rejected: (409, "rejected"),
    errors.CommitUnknown: (503, "commit-unknown"),
    errors.StoreFull: (507, "store-full"),
    errors.StoreUnavailable: (503, "store-unavailable"),
    errors.ReadModelBehind: (503, "not-yet-projected"),
    errors.Corrupt: (500, "corrupt"),
    errors.UnreadableEvent: (500, "unreadable-event"),
    ErasureIncomplete: (503, "erasure-incomplete"),
    errors.ProjectionError: (409, "projection"),
    errors.SchemaError: (500, "schema"),
}
"""The status and the stable name of each error; the first base class that is listed counts."""

_FIELDS: Mapping[str, tuple[str, ...]] = {
    "wrong-expected-version": ("stream", "expected", "actual"),
    "fenced": ("token", "current"),
    "not-yet-projected": ("projection", "position", "target"),
    "event-too-large": ("size_bytes", "limit_bytes"),
    "commit-unknown": ("event_ids",),
    "erasure-incomplete": ("done", "failed"),
}


class Refusal(Exception):
    """An answer of this door that no error of the store stands for."""

    def __init__(self, status: int, name: str, detail: str, **headers: str) -> None:
        self.status, self.name, self.detail = status, name, detail
        self.headers = {key.replace("_", "-"): value for key, value in headers.items()}
        super().__init__(detail)


def problem(
    status: int,
    name: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> Response:
    """One problem as a response."""
    body = {
        "type": URN + name,
        "title": name.replace("-", " "),
        "status": status,
        "detail": detail,
        **members,
    }
    return Response(
        msgspec.json.encode(body), status, headers=dict(headers or {}), media_type=MEDIA_TYPE
    )


def problem_of(error: errors.GoldseamError) -> Response:
    """The response for an error of goldseam."""
    status, name = next(
        (_KINDS[kind] for kind in type(error).__mro__ if kind in _KINDS), (500, "internal")
    )
    members = {field: getattr(error, field) for field in _FIELDS.get(name, ())}
    headers = {}
    if isinstance(error, errors.ReadModelBehind):
        headers["Retry-After"] = str(error.retry_after_seconds)
    elif status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return problem(status, name, str(error), headers=headers, **members)


def install_problems(app: FastAPI) -> None:
    """Answer every error of goldseam, of validation and of routing as a problem."""

    async def ours(_: Request, error: Exception) -> Response:
        assert isinstance(error, errors.GoldseamError)
        return problem_of(error)

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return problem(error.status, error.name, error.detail, headers=error.headers)

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        found = [{"at": _place(one["loc"]), "why": str(one["msg"])} for one in error.errors()]
        what = "; ".join(f"{one['at']}: {one['why']}" for one in found[:5])
        return problem(422, "invalid-request", what, errors=found[:20])

    async def routed(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        name = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "http")
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_allowed(request))
        return problem(error.status_code, name, str(error.detail), headers=headers)

    async def unexpected(request: Request, error: Exception) -> Response:
        _log.error("%s %s failed: %s", request.method, request.url.path, type(error).__name__)
        return problem(
            500, "internal", "something went wrong here; the log of the server says what"
        )

    app.add_exception_handler(errors.GoldseamError, ours)
    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, routed)
    app.add_exception_handler(Exception, unexpected)


def _allowed(request: Request) -> list[str]:
    """The methods of every route at this path: the router itself names those of the first."""
    paths = request.app.openapi()["paths"]
    found: set[str] = set()
    for template, operations in paths.items():
        pattern = re.sub(r"\\\{(stream|category)\\\}", ".+", re.escape(template))
        pattern = re.sub(r"\\\{[^/]+?\\\}", "[^/]+", pattern)
        if re.fullmatch(pattern, request.url.path):
            found |= {method.upper() for method in operations}
    return sorted(found)


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems a route may answer, for its OpenAPI entry."""
    texts = {
        400: "Malformed, or a position this store never gave out",
        401: "No valid bearer token",
        403: "The token's role does not allow it",
        404: "Not there",
        409: "Refused: fenced, or in progress",
        412: "The stream is not at the expected version",
        413: "Too large",
        415: "Not JSON",
        421: "The Host header is not of this server",
        422: "Does not fit the schema, or the key was used for another request",
        428: "Say which version you expect",
        429: "Too many followers",
        500: "Broken here",
        503: "Not yet: Retry-After says when",
        507: "The store's disk is full",
    }
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    always = (400, 401, 403, 413, 421, 422, 500, 503)
    return {
        status: {"description": texts[status], "content": content}
        for status in sorted({*always, *statuses})
    }
