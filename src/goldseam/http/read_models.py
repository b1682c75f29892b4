"""The read models' routes: status, rows that honour a position, steering."""

# No "from __future__ import annotations": FastAPI reads these annotations when a route is made.

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from goldseam.http.headers import wait_seconds
from goldseam.http.problems import Refusal, documented
from goldseam.http.read_your_writes import After, MinPosition, Prefer
from goldseam.http.streams import PAGE_MAX
from goldseam.projections.hosted import HostedProjection
from goldseam.reads.read_model import ReadConnection
from goldseam.runtime.application import Goldseam

Name = Annotated[str, Path(min_length=1, max_length=100)]

_NOT_COLUMNS = {"after", "limit", "table"}


def read_model_router(application: Callable[[], Goldseam]) -> APIRouter:
    """The read models' routes, to be mounted under any prefix."""

    def own_tenant(request: Request) -> None:
        bound = request.scope.get("goldseam.tenant")
        if bound not in (None, application().store.tenant):
            detail = "the token is bound to a tenant whose read models are not served here"
            raise Refusal(403, "forbidden", detail)

    router = APIRouter(tags=["read models"], dependencies=[Depends(own_tenant)])
    _status_routes(router, application)
    _rows_route(router, application)
    _steering_routes(router, application)
    return router


def _status_routes(router: APIRouter, application: Callable[[], Goldseam]) -> None:
    @router.get("/read-models", responses=documented())
    async def statuses() -> Response:
        """Where each projection stands, how far it is behind, whether it is being rebuilt."""
        app = application()
        found: dict[str, Any] = {"head": await app.store.head()}
        for name, hosted in app.projections.items():
            found[name] = await _status(hosted)
        return _json(found)

    @router.get("/read-models/{name}", responses=documented(404))
    async def status(name: Name) -> Response:
        """Where one projection stands."""
        return _json(await _status(_hosted(application(), name)))


async def _status(hosted: HostedProjection) -> Mapping[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(await hosted.status())
    return {**found, "rebuilding": found["building_position"] is not None}


def _rows_route(router: APIRouter, application: Callable[[], Goldseam]) -> None:
    @router.get("/read-models/{name}/rows", responses=documented(404))
    async def rows(
        request: Request,
        name: Name,
        table: Annotated[str | None, Query(max_length=100)] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
        after: After = None,
        min_position: MinPosition = None,
        prefer: Prefer = None,
    ) -> Response:
        """Rows of a read model's table; any other query parameter is a column that must equal it.

        With ``after`` the rows show that write, or the answer is 503 and says when to come back.
        """
        app = application()
        _hosted(app, name)
        model = app.read_model(name)
        chosen = _table(model.projection.tables_for("sqlite").names, table)
        wanted = {k: v for k, v in request.query_params.items() if k not in _NOT_COLUMNS}
        if any("\0" in value for value in wanted.values()):
            raise Refusal(400, "invalid-input", "a value has the character NUL, which no row has")

        async def read(connection: ReadConnection) -> tuple[list[str], list[Any], int]:
            columns = await _columns(connection, chosen)
            unknown = sorted(set(wanted) - set(columns))
            if unknown:
                raise Refusal(400, "invalid-input", f"{chosen} has no column {unknown[0][:100]!r}")
            where = " AND ".join(f'CAST("{column}" AS text) = :c_{n}' for n, column in _at(wanted))
            sql = f'SELECT {_quoted(columns)} FROM "{chosen}"'  # noqa: S608 -- checked names
            sql += f" WHERE {where}" if where else ""
            values: dict[str, object] = {f"c_{n}": wanted[column] for n, column in _at(wanted)}
            found = await connection.fetch(f"{sql} LIMIT {limit}", values)
            return columns, found, connection.standing.position

        asked = min_position if after is None else after
        columns, found, position = await model.read(read, after=asked, wait=wait_seconds(prefer))
        body = [dict(zip(columns, row, strict=True)) for row in found]
        return _json({"position": position, "rows": body})


def _at(wanted: Mapping[str, str]) -> list[tuple[int, str]]:
    return list(enumerate(sorted(wanted)))


def _quoted(columns: list[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def _table(names: Any, asked: str | None) -> str:
    known = sorted(names)
    chosen = asked or (known[0] if len(known) == 1 else "")
    if chosen not in known:
        raise Refusal(404, "not-found", f"say which table with ?table=: {', '.join(known)}")
    return chosen


async def _columns(connection: ReadConnection, table: str) -> list[str]:
    if connection.dialect == "sqlite":
        sql = "SELECT name FROM pragma_table_info(:table)"
    else:
        sql = (
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(quote_ident(:table))"
            " AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        )
    return [str(row[0]) for row in await connection.fetch(sql, {"table": table})]


def _steering_routes(router: APIRouter, application: Callable[[], Goldseam]) -> None:
    @router.post("/read-models/{name}/pause", responses=documented(404, 409))
    async def pause(name: Name) -> Response:
        """Let the projection stand still; reads go on."""
        hosted = _hosted(application(), name)
        await hosted.pause()
        return _json(await _status(hosted))

    @router.post("/read-models/{name}/resume", responses=documented(404, 409))
    async def resume(name: Name) -> Response:
        """Let it go on."""
        hosted = _hosted(application(), name)
        await hosted.resume()
        return _json(await _status(hosted))

    @router.post("/read-models/{name}/rebuild", status_code=202, responses=documented(404, 409))
    async def rebuild(name: Name) -> Response:
        """Build its rows anew beside the live ones; they are swapped when they are as new."""
        hosted = _hosted(application(), name)
        await hosted.begin_rebuild()
        return _json(await _status(hosted), 202)


def _hosted(app: Goldseam, name: str) -> HostedProjection:
    found = app.projections.get(name)
    if found is None:
        raise Refusal(404, "not-found", f"there is no read model {name!r}")
    return found


def _json(body: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body, enc_hook=str), status, media_type="application/json")
