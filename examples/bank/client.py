"""A client of the bank as any script would write it: the standard library and HTTP, no goldseam."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException
from time import monotonic, sleep
from typing import Any, NamedTuple

GIVE_UP_SECONDS = 30.0
"""How long a client repeats a request that got no answer."""


class Reply(NamedTuple):
    """Status, headers and JSON body of an answer."""

    status: int
    headers: dict[str, str]
    body: Any


class BankClient:
    """Speaks to a bank on ``port``; repeats a write with the same key until it is answered."""

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

    def _until_answered(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> Reply:
        deadline = monotonic() + GIVE_UP_SECONDS
        while True:
            try:
                reply = self._once(method, path, body, headers)
            except (OSError, HTTPException):
                self._connection = None
                if monotonic() > deadline:
                    raise
                self.repeated += 1
                sleep(0.05)
                continue
            return reply

    def _once(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> Reply:
        if self._connection is None:
            self._connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = None if body is None else json.dumps(body)
        named["Content-Type"] = "application/json"
        self._connection.request(method, path, content, named)
        response = self._connection.getresponse()
        raw = response.read()
        received = {name.lower(): value for name, value in response.getheaders()}
        is_json = "json" in received.get("content-type", "")
        return Reply(response.status, received, json.loads(raw) if raw and is_json else None)
