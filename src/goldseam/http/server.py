"""Run the application with uvicorn, and refuse to be reachable without tokens."""

from __future__ import annotations

from collections.abc import Sequence

import uvicorn
from fastapi import FastAPI

from goldseam.errors import Rejected
from goldseam.http.auth import Token, is_loopback

GRACEFUL_SECONDS = 10
HEADER_COUNT_LIMIT_BYTES = 64 * 1024


class RefusedToListen(Rejected):
    """Listening beyond this machine needs tokens."""


def serve(app: FastAPI, host: str, port: int, tokens: Sequence[Token]) -> None:
    """Serve ``app`` until told to stop.

    Raises:
        RefusedToListen: ``host`` can be reached by others and there are no tokens.
    """
    check_listening(host, tokens)
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        h11_max_incomplete_event_size=HEADER_COUNT_LIMIT_BYTES,
    )


def check_listening(host: str, tokens: Sequence[Token]) -> None:
    """Whether it is safe to listen on ``host``.

    Raises:
        RefusedToListen: it is not.
    """
    if not tokens and not is_loopback(host):
        raise RefusedToListen(
            f"refusing to listen on {host} without tokens: others could read and write; "
            "make one with `goldseam serve --new-token NAME --role write` and give --tokens FILE"
        )
