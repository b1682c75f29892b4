"""A client of the shop as any script would write it: the standard library, and no goldseam."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException
from time import monotonic, sleep
from typing import Any, NamedTuple

GIVE_UP_SECONDS = 60.0
"""How long a client repeats a request that got no answer."""

PAUSE_SECONDS = 0.05


class Reply(NamedTuple):
    """Status, headers and JSON body of an answer."""

    status: int
    headers: dict[str, str]
    body: Any


class ShopClient:
    """Speaks to the shop on ``port``; repeats a write with its key until it is answered."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection: HTTPConnection | None = None
        self.repeated = 0

    def get(self, path: str, **headers: str) -> Reply:
        """Read."""
        return self._until_answered("GET", path, None, headers)

    def post(self, path: str, body: dict[str, Any] | None = None, **headers: str) -> Reply:
        """Write; safe to repeat only with an idempotency key."""
        return self._until_answered("POST", path, body or {}, headers)

    def post_and_lose_the_answer(self, path: str, body: dict[str, Any], **headers: str) -> None:
        """Write; the answer gets lost on its way, so nobody knows whether it was taken."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", path, json.dumps(body), _named(headers))
            connection.getresponse().close()
        except (OSError, HTTPException):
            self.repeated += 1
        finally:
            connection.close()

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _until_answered(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> Reply:
        deadline = monotonic() + GIVE_UP_SECONDS
        while True:
            try:
                reply = self._once(method, path, body, headers)
            except (OSError, HTTPException):
                self.close()
                if monotonic() > deadline:
                    raise
                self.repeated += 1
            else:
                if reply.status != 503 or path.partition("?")[2]:
                    return reply
                if monotonic() > deadline:
                    return reply
            sleep(PAUSE_SECONDS)

    def _once(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> Reply:
        if self._connection is None:
            self._connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        content = None if body is None else json.dumps(body)
        self._connection.request(method, path, content, _named(headers))
        response = self._connection.getresponse()
        raw = response.read()
        received = {name.lower(): value for name, value in response.getheaders()}
        is_json = "json" in received.get("content-type", "")
        return Reply(response.status, received, json.loads(raw) if raw and is_json else None)


def _named(headers: dict[str, str]) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {**named, "Content-Type": "application/json"}
