"""What a request may cost: its body is bounded before it is read, its JSON before it is used."""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from goldseam.http.problems import Refusal, problem

BODY_BYTES_MAX = 2 * 1024 * 1024
"""Largest body unless the server is told otherwise."""

JSON_DEPTH_MAX = 64
"""Deepest nesting of a body: far beyond any event, far below the parser's own limit."""


class Limits:
    """ASGI middleware: bodies beyond the limit get 413 before they are read; bad JSON gets 400.

    Args:
        forms: where the paths begin to which browsers send forms; only there a body is no JSON.
    """

    def __init__(
        self, app: ASGIApp, body_bytes_max: int = BODY_BYTES_MAX, forms: str | None = None
    ) -> None:
        self._app, self._body_bytes_max, self._forms = app, body_bytes_max, forms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        try:
            body = await self._whole_body(scope, receive)
            if body and not self._is_form(scope):
                checked_json(scope, body)
        except Refusal as refusal:
            answer = problem(refusal.status, refusal.name, refusal.detail)
            await answer(scope, receive, send)
            return

        sent = False

        async def replay() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, send)

    def _is_form(self, scope: Scope) -> bool:
        return self._forms is not None and scope["path"].startswith(self._forms)

    async def _whole_body(self, scope: Scope, receive: Receive) -> bytes:
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdecimal() and int(declared) > self._body_bytes_max:
            raise self._too_large()
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise Refusal(400, "invalid-input", "the request ended in the middle of its body")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._body_bytes_max:
                raise self._too_large()
            more = message.get("more_body", False)
        return b"".join(parts)

    def _too_large(self) -> Refusal:
        return Refusal(413, "body-too-large", f"a body has at most {self._body_bytes_max} bytes")


def checked_json(scope: Scope, body: bytes) -> None:
    """Refuse a body that is not strict JSON of a sane depth.

    Raises:
        Refusal: 415 for another media type, 400 for JSON that two readers could read differently.
    """
    media = Headers(scope=scope).get("content-type", "").split(";")[0].strip().lower()
    if media != "application/json" and not media.endswith("+json"):
        raise Refusal(415, "not-json", "send the body as application/json")
    if _depth(body) > JSON_DEPTH_MAX and _depth(_TEXTS.sub(b"", body)) > JSON_DEPTH_MAX:
        raise Refusal(400, "invalid-json", f"nested deeper than {JSON_DEPTH_MAX}")
    try:
        json.loads(body.decode(), object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise Refusal(400, "invalid-json", "the body is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "invalid-json", str(error).split(":")[0]) from None


def _depth(body: bytes) -> int:
    """An upper bound of the nesting: brackets inside texts count too."""
    deepest = depth = 0
    for byte in body.translate(None, _NOT_BRACKETS):
        depth += 1 if byte in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


_TEXTS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
