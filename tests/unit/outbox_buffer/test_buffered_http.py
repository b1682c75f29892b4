"""A full buffer at an HTTP door is a 503 that says when to come back."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from goldseam.http.buffered import install_buffered
from goldseam.http.problems import install_problems
from goldseam.outbox.buffer.errors import BufferFull
from goldseam.resilience.errors import BreakerOpen


@pytest.mark.parametrize(
    ("error", "kind", "seconds"),
    [
        (BufferFull("b", "no room", 5.0), "buffer-full", "5"),
        (BreakerOpen("b", 0.2), "breaker-open", "1"),
    ],
)
def test_busy(error: Exception, kind: str, seconds: str) -> None:
    """Both answers have the status, a whole Retry-After and a stable name."""
    app = FastAPI()
    install_problems(app)
    install_buffered(app)

    @app.post("/readings")
    async def take() -> None:
        raise error

    answer = TestClient(app).post("/readings")
    assert (503, seconds) == (answer.status_code, answer.headers["Retry-After"])
    assert answer.json()["type"].endswith(kind)
