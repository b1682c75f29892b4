"""A full buffer at an HTTP door: 503, Retry-After, and nothing lost."""

from __future__ import annotations

from math import ceil

from fastapi import FastAPI, Request
from starlette.responses import Response

from goldseam.http.problems import problem
from goldseam.outbox.buffer.errors import BufferFull
from goldseam.resilience.errors import BreakerOpen


def busy_problem(error: BufferFull | BreakerOpen) -> Response:
    """The response for a record that was not taken; Retry-After in whole seconds, at least 1."""
    name = "buffer-full" if isinstance(error, BufferFull) else "breaker-open"
    seconds = max(ceil(error.retry_after_seconds), 1)
    return problem(503, name, str(error), headers={"Retry-After": str(seconds)})


def install_buffered(app: FastAPI) -> None:
    """Answer BufferFull and BreakerOpen in ``app``; works beside ``install_problems``."""

    async def busy(_: Request, error: Exception) -> Response:
        assert isinstance(error, BufferFull | BreakerOpen)
        return busy_problem(error)

    app.add_exception_handler(BufferFull, busy)
    app.add_exception_handler(BreakerOpen, busy)
