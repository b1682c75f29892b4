"""The schema registry over HTTP: the part of Confluent's REST interface that its clients use."""

# No "from __future__ import annotations": FastAPI reads these annotations when a route is made.

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from goldseam.errors import GoldseamError, InvalidName, StoreUnavailable
from goldseam.versioning.compatibility import Finding
from goldseam.versioning.errors import InvalidSchema, SchemaIncompatible, SchemaNotFound
from goldseam.versioning.json_schema import fingerprint
from goldseam.versioning.schema_ids import guid_of, schema_by_guid
from goldseam.versioning.schema_registry import Registered, SchemaRegistry

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"

_NOT_FOUND = {
    "subject": 40401, "version": 40402, "schema": 40403, "schema id": 40403, "schema GUID": 40403,
}  # fmt: skip
_UNPROCESSABLE, _BAD_LEVEL, _BAD_MODE, _READ_ONLY = 42201, 42203, 42204, 42205
_NO_OWN_LEVEL, _NO_OWN_MODE = 40408, 40409

Handler = Callable[..., Awaitable[Response]]


def schema_registry_router(registry: Callable[[], SchemaRegistry]) -> APIRouter:
    """The registry's routes, to be mounted under any prefix; give that to a client as its URL."""
    router = APIRouter(tags=["schemas"], include_in_schema=False)
    _subject_routes(router, registry)
    _version_routes(router, registry)
    _id_routes(router, registry)
    _setting_routes(router, registry, "config", "compatibility")
    _setting_routes(router, registry, "mode", "mode")
    return router


def _subject_routes(router: APIRouter, registry: Callable[[], SchemaRegistry]) -> None:
    @router.get("/subjects")
    @_answering
    async def subjects(request: Request) -> Any:
        return await registry().subjects(deleted=_flag(request, "deleted"))

    @router.post("/subjects/{subject}")
    @_answering
    async def lookup(subject: str, request: Request) -> Any:
        schema, _ = await _schema(request)
        found = await registry().lookup(subject, schema, deleted=_flag(request, "deleted"))
        return _shown(found)

    @router.delete("/subjects/{subject}")
    @_answering
    async def delete(subject: str, request: Request) -> Any:
        return await registry().delete(subject, permanent=_flag(request, "permanent"))

    @router.get("/subjects/{subject}/versions")
    @_answering
    async def versions(subject: str, request: Request) -> Any:
        found = await registry().versions(subject, deleted=_flag(request, "deleted"))
        return [one.version for one in found]

    @router.post("/subjects/{subject}/versions")
    @_answering
    async def register(subject: str, request: Request) -> Any:
        schema, schema_type = await _schema(request)
        if await registry().mode(subject) == "READONLY":
            raise _Refused(422, _READ_ONLY, f"subject {subject!r} is in read-only mode")
        done = await registry().register(subject, schema, schema_type)
        return {"id": done.id, "version": done.version, "guid": _guid(done.schema)}


def _version_routes(router: APIRouter, registry: Callable[[], SchemaRegistry]) -> None:
    @router.get("/subjects/{subject}/versions/{version}")
    @_answering
    async def one(subject: str, version: str, request: Request) -> Any:
        deleted = _flag(request, "deleted")
        return _shown(await registry().get(subject, _number(version), deleted=deleted))

    @router.get("/subjects/{subject}/versions/{version}/schema")
    @_answering
    async def body(subject: str, version: str) -> Any:
        return (await registry().get(subject, _number(version))).schema

    @router.delete("/subjects/{subject}/versions/{version}")
    @_answering
    async def delete(subject: str, version: str, request: Request) -> Any:
        permanent = _flag(request, "permanent")
        return (await registry().delete(subject, _number(version), permanent=permanent))[0]

    @router.post("/compatibility/subjects/{subject}/versions/{version}")
    @_answering
    async def compatible(subject: str, version: str, request: Request) -> Any:
        schema, _ = await _schema(request)
        return _verdict(await registry().test(subject, schema, _number(version)), request)

    @router.post("/compatibility/subjects/{subject}/versions")
    @_answering
    async def compatible_with_all(subject: str, request: Request) -> Any:
        schema, _ = await _schema(request)
        return _verdict(await registry().test(subject, schema), request)


def _id_routes(router: APIRouter, registry: Callable[[], SchemaRegistry]) -> None:
    @router.get("/schemas/types")
    @_answering
    async def types() -> Any:
        return ["JSON"]

    @router.get("/schemas/ids/{schema_id}")
    @_answering
    async def by_id(schema_id: int) -> Any:
        schema_type, schema = await registry().by_id(schema_id)
        text = msgspec.json.encode(schema).decode()
        return {"schemaType": schema_type, "schema": text, "guid": _guid(schema)}

    @router.get("/schemas/guids/{guid}")
    @_answering
    async def by_guid(guid: str) -> Any:
        number = await schema_by_guid(registry(), _uuid(guid))
        schema_type, schema = await registry().by_id(number)
        text = msgspec.json.encode(schema).decode()
        return {"schemaType": schema_type, "schema": text, "id": number, "guid": _guid(schema)}

    @router.get("/schemas/ids/{schema_id}/schema")
    @_answering
    async def body(schema_id: int) -> Any:
        return (await registry().by_id(schema_id))[1]

    @router.get("/schemas/ids/{schema_id}/versions")
    @_answering
    async def uses(schema_id: int) -> Any:
        found = await registry().uses_of(schema_id)
        return [{"subject": subject, "version": version} for subject, version in found]

    @router.get("/schemas/ids/{schema_id}/subjects")
    @_answering
    async def users(schema_id: int) -> Any:
        return sorted({subject for subject, _ in await registry().uses_of(schema_id)})


def _setting_routes(
    router: APIRouter, registry: Callable[[], SchemaRegistry], what: str, field: str
) -> None:
    """``/config`` and ``/mode``: for all subjects, and for one."""

    async def value(subject: str | None) -> str:
        one = registry()
        return await (one.level(subject) if what == "config" else one.mode(subject))

    async def change(given: str | None, subject: str | None) -> None:
        one = registry()
        await (one.set_level(given, subject) if what == "config" else one.set_mode(given, subject))

    answer = "compatibilityLevel" if what == "config" else "mode"

    @router.get(f"/{what}")
    @_answering
    async def everybody() -> Any:
        return {answer: await value(None)}

    @router.get(f"/{what}/{{subject}}")
    @_answering
    async def one(subject: str, request: Request) -> Any:
        own = await registry().own_setting(subject, "level" if what == "config" else "mode")
        if own is None and not _flag(request, "defaultToGlobal"):
            code = _NO_OWN_LEVEL if what == "config" else _NO_OWN_MODE
            raise _Refused(404, code, f"subject {subject!r} has no {what} of its own")
        return {answer: await value(subject)}

    @router.put(f"/{what}")
    @_answering
    async def set_everybody(request: Request) -> Any:
        given = await _word(request, field)
        await change(given, None)
        return {field: given}

    @router.put(f"/{what}/{{subject}}")
    @_answering
    async def set_one(subject: str, request: Request) -> Any:
        given = await _word(request, field)
        await change(given, subject)
        return {field: given}

    @router.delete(f"/{what}/{{subject}}")
    @_answering
    async def unset_one(subject: str) -> Any:
        before = await value(subject)
        await change(None, subject)
        return {answer: before}


class _Refused(Exception):
    def __init__(self, status: int, code: int, message: str) -> None:
        self.status, self.code, self.message = status, code, message
        super().__init__(message)


def _answering(handler: Callable[..., Awaitable[Any]]) -> Handler:
    """Answers and errors in the words of Confluent's registry."""

    @wraps(handler)
    async def answered(*args: Any, **kwargs: Any) -> Response:
        try:
            return _response(200, await handler(*args, **kwargs))
        except _Refused as refused:
            return _failed(refused.status, refused.code, refused.message)
        except SchemaNotFound as missing:
            return _failed(404, _NOT_FOUND[missing.what], str(missing))
        except SchemaIncompatible as findings:
            return _failed(409, 409, str(findings))
        except InvalidSchema as invalid:
            return _failed(422, _UNPROCESSABLE, str(invalid))
        except InvalidName as wrong:
            code = _BAD_MODE if wrong.what == "mode" else _BAD_LEVEL
            return _failed(422, code, str(wrong))
        except StoreUnavailable as away:
            return _failed(500, 50001, str(away))
        except GoldseamError as error:
            return _failed(422, _UNPROCESSABLE, str(error))

    answered.__annotations__ = {**handler.__annotations__, "return": Response}
    return answered


def _failed(status: int, code: int, message: str) -> Response:
    return _response(status, {"error_code": code, "message": message})


def _response(status: int, body: Any) -> Response:
    return Response(msgspec.json.encode(body), status, media_type=MEDIA_TYPE)


def _shown(one: Registered) -> dict[str, Any]:
    return {
        "subject": one.subject,
        "version": one.version,
        "id": one.id,
        "guid": _guid(one.schema),
        "schemaType": one.schema_type,
        "schema": msgspec.json.encode(one.schema).decode(),
    }


def _guid(schema: dict[str, Any]) -> str:
    return str(guid_of(fingerprint(schema)))


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise SchemaNotFound("schema GUID", text[:40]) from None


def _verdict(findings: list[Finding], request: Request) -> dict[str, Any]:
    verdict: dict[str, Any] = {"is_compatible": not findings}
    if _flag(request, "verbose"):
        verdict["messages"] = [f"{one.path}: {one.reason} ({one.direction})" for one in findings]
    return verdict


def _number(version: str) -> int | str:
    if version == "latest":
        return version
    if version.lstrip("-").isdigit() and (version == "-1" or int(version) >= 1):
        return int(version)
    raise _Refused(422, 42202, f"version {version[:20]!r} is not valid: 1 or more, or latest")


def _flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "false").lower() == "true"


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(await request.body())
    except msgspec.DecodeError:
        raise _Refused(422, _UNPROCESSABLE, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise _Refused(422, _UNPROCESSABLE, "the body must be an object")
    return body


async def _schema(request: Request) -> tuple[dict[str, Any], str]:
    body = await _body(request)
    text, schema_type = body.get("schema"), body.get("schemaType") or "AVRO"
    if schema_type != "JSON":
        raise InvalidSchema(f"schemas of type {schema_type!r} are not kept here, only JSON")
    if body.get("references"):
        raise InvalidSchema("references to other subjects are not kept here; write them out")
    try:
        schema = msgspec.json.decode(text) if isinstance(text, str) else None
    except msgspec.DecodeError:
        schema = None
    if not isinstance(schema, dict):
        raise InvalidSchema("a JSON Schema is an object, given as a text")
    return schema, schema_type


async def _word(request: Request, field: str) -> str:
    body = await _body(request)
    found = body.get(field, body.get("compatibilityLevel"))
    if not isinstance(found, str):
        raise _Refused(422, _UNPROCESSABLE, f"the body needs a {field!r}")
    return found
