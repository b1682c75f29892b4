"""A registry that others run (Confluent, Karapace, Apicurio): the same few calls, over HTTP.

The standard library's client in a thread: four short requests need no dependency.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections import OrderedDict
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import msgspec

from goldseam.errors import InvalidName
from goldseam.versioning.errors import (
    InvalidSchema,
    RegistryUnavailable,
    SchemaNotFound,
    SchemaRefused,
)
from goldseam.versioning.schema_registry import REMEMBERED_MAX, Registered

TIMEOUT_SECONDS = 5.0
ANSWER_BYTES_MAX = 4 * 1_048_576

_CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
_NOT_FOUND, _CONFLICT, _UNPROCESSABLE = 404, 409, 422


class _Answer(msgspec.Struct):
    """What any of the calls may answer; the rest is passed over."""

    id: int = 0
    version: int = 0
    subject: str = ""
    schema: str = "{}"
    schemaType: str = "AVRO"  # noqa: N815 -- the name on the wire
    is_compatible: bool = False
    message: str = ""


class OutsideRegistry:
    """A registry behind ``http(s)://user:secret@host/prefix``.

    What was fetched once serves on while the registry is down: a schema never changes.

    Raises:
        InvalidName: the URL is not of http or https.
    """

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._parts, self._timeout = urlsplit(url), timeout_seconds
        if self._parts.scheme not in ("http", "https") or not self._parts.hostname:
            raise InvalidName("registry URL", f"{self._parts.scheme}://...", "give http(s)://host")
        self._known: OrderedDict[object, Any] = OrderedDict()

    async def register(self, subject: str, schema: dict[str, Any]) -> int:
        """Register ``schema`` under ``subject``; its id.

        Raises:
            SchemaRefused: it is incompatible, or the registry does not take it.
            RegistryUnavailable: the registry is down, and the schema is not known here.
        """
        key = subject, msgspec.json.encode(schema, order="deterministic")
        if key not in self._known:
            path = f"/subjects/{quote(subject, safe='')}/versions"
            found = await self._ask("POST", path, schema)
            self._remember(key, found.id)
            self._remember(found.id, ("JSON", schema))
        return int(self._known[key])

    async def by_id(self, schema_id: int) -> tuple[str, dict[str, Any]]:
        """The type and the body of a schema.

        Raises:
            SchemaNotFound: no schema has this id.
            RegistryUnavailable: the registry is down, and the schema is not known here.
        """
        if schema_id not in self._known:
            found = await self._ask("GET", f"/schemas/ids/{schema_id}")
            self._remember(schema_id, (found.schemaType, _body(found)))
        known: tuple[str, dict[str, Any]] = self._known[schema_id]
        return known

    async def latest(self, subject: str) -> Registered:
        """The newest version of ``subject``; the one last seen while the registry is down."""
        try:
            found = await self._ask("GET", f"/subjects/{quote(subject, safe='')}/versions/latest")
        except RegistryUnavailable:
            if ("latest", subject) in self._known:
                seen: Registered = self._known["latest", subject]
                return seen
            raise
        one = Registered(subject, found.version, found.id, found.schemaType, _body(found))
        self._remember(("latest", subject), one)
        return one

    async def test(self, subject: str, schema: dict[str, Any]) -> bool:
        """Whether ``schema`` could be registered as the next version."""
        path = f"/compatibility/subjects/{quote(subject, safe='')}/versions/latest"
        return (await self._ask("POST", path, schema)).is_compatible

    async def _ask(self, method: str, path: str, schema: dict[str, Any] | None = None) -> _Answer:
        try:
            status, answer = await asyncio.to_thread(self._send, method, path, schema)
            found = msgspec.json.decode(answer, type=_Answer)
        except (OSError, HTTPException) as error:
            raise RegistryUnavailable(f"the schema registry: {type(error).__name__}") from error
        except msgspec.DecodeError:
            raise RegistryUnavailable("the schema registry answers what is no JSON") from None
        if status == _NOT_FOUND:
            raise SchemaNotFound("subject, version or schema", path)
        if status in (_CONFLICT, _UNPROCESSABLE):
            raise SchemaRefused(found.message)
        if status >= 300:
            raise RegistryUnavailable(f"the schema registry answers {status}")
        return found

    def _send(self, method: str, path: str, schema: dict[str, Any] | None) -> tuple[int, bytes]:
        parts = self._parts
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self._timeout)
        body = None
        if schema is not None:
            text = msgspec.json.encode(schema).decode()
            body = msgspec.json.encode({"schema": text, "schemaType": "JSON"})
        try:
            connection.request(method, parts.path.rstrip("/") + path, body, self._headers())
            reply = connection.getresponse()
            return reply.status, reply.read(ANSWER_BYTES_MAX)
        finally:
            connection.close()

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": _CONTENT_TYPE, "Accept": f"{_CONTENT_TYPE}, application/json"}
        if self._parts.username is not None:
            pair = f"{unquote(self._parts.username)}:{unquote(self._parts.password or '')}"
            headers["Authorization"] = "Basic " + b64encode(pair.encode()).decode()
        return headers

    def _remember(self, key: object, value: object) -> None:
        self._known[key] = value
        if len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)


def _body(found: _Answer) -> dict[str, Any]:
    try:
        schema = msgspec.json.decode(found.schema)
    except msgspec.DecodeError:
        schema = None
    if not isinstance(schema, dict):
        raise InvalidSchema("what the registry gave is no JSON Schema")
    return schema
