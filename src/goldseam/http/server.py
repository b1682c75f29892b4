"""Run the application with uvicorn, and refuse to be reachable without tokens."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from socket import socket

import uvicorn
from fastapi import FastAPI

from goldseam.errors import Rejected
from goldseam.http.auth import Token, is_loopback
from goldseam.http.follow import Followers

GRACEFUL_SECONDS = 10
HEADER_BYTES_MAX = 64 * 1024
UNREACHABLE = 3
"""The exit code when the store or the port cannot be had."""


class RefusedToListen(Rejected):
    """Listening beyond this machine needs tokens."""


def serve(app: FastAPI, host: str, port: int, tokens: Sequence[Token]) -> None:
    """Serve ``app`` until told to stop; then ``app.state.followers``, if set, are ended first.

    Raises:
        RefusedToListen: ``host`` can be reached by others and there are no tokens.
    """
    check_listening(host, tokens)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        http="h11",  # the one whose headers are bounded
        h11_max_incomplete_event_size=HEADER_BYTES_MAX,
    )
    server = _Server(config, getattr(app.state, "followers", None))
    with suppress(KeyboardInterrupt):  # Ctrl-C is how it is stopped
        server.run()
    if not server.started:
        sys.exit(UNREACHABLE)


class _Server(uvicorn.Server):
    """Ends the followers first: their answers have no end that it could wait for."""

    def __init__(self, config: uvicorn.Config, followers: Followers | None) -> None:
        super().__init__(config)
        self._followers = followers

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        if self._followers is not None:
            self._followers.close()
        await super().shutdown(sockets)


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
