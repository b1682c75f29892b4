"""Read your own writes over HTTP: ``?after=``, ``Goldseam-Min-Position``, ``Prefer: wait=N``.

From the guide, "Eventual Consistency: The Hiding Technique".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import Header, Query
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from goldseam.database.connection import Parameters, Row
from goldseam.errors import GoldseamError, ReadModelBehind
from goldseam.http.headers import wait_seconds
from goldseam.http.problems import problem_of
from goldseam.reads.read_model import ReadModel
from goldseam.reads.standing import Standing

After = Annotated[
    str | None,
    Query(description="The position or token of a write: the answer shows it, or says when."),
]
MinPosition = Annotated[str | None, Header(alias="Goldseam-Min-Position")]
Prefer = Annotated[str | None, Header(description="wait=N: wait up to N seconds, at most 30.")]


class Reads:
    """A read model with the request's position applied to every read."""

    def __init__(self, read_model: ReadModel, after: str | None, wait: float) -> None:
        self.read_model, self.after, self.wait = read_model, after, wait

    async def fetch(
        self, sql: str, parameters: Parameters = {}, *, sequence: str | None = None
    ) -> list[Row]:
        """Run one reading statement on rows that show the request's position.

        Raises:
            ReadModelBehind, InvalidPosition: answered as 503 and 400 by ``install_problems``.
        """
        return await self.read_model.fetch(
            sql, parameters, after=self.after, wait=self.wait, sequence=sequence
        )


def read_after(read_model: Callable[[], ReadModel]) -> Callable[..., Awaitable[Reads]]:
    """A FastAPI dependency: ``reads: Annotated[Reads, Depends(read_after(lambda: balances))]``.

    Args:
        read_model: called for each request, so the application may be opened later.
    """

    async def dependency(
        after: After = None, min_position: MinPosition = None, prefer: Prefer = None
    ) -> Reads:
        wanted = min_position if after is None else after
        return Reads(read_model(), wanted, wait_seconds(prefer))

    return dependency


class ReadYourWrites:
    """Plain ASGI middleware: any framework's answers, held to the position the reader names.

    The read model is asked before the application runs and again when its answer begins: within
    one generation positions never go back, so an answer given in the same generation shows what
    was asked for. If the projection was reset or swapped in between, the answer is 503 instead.
    An application that reads on while it streams its answer must use :func:`read_after` for it.

    Args:
        app: the application.
        read_model: whose rows it answers from; called for each request.
        paths: only requests whose path begins with one of these.
    """

    def __init__(
        self, app: ASGIApp, read_model: Callable[[], ReadModel], paths: Sequence[str] = ("/",)
    ) -> None:
        self._app, self._read_model, self._paths = app, read_model, tuple(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        after, wait = _asked(scope, self._paths)
        if after is None:
            await self._app(scope, receive, send)
            return
        read_model = self._read_model()
        try:
            before = await read_model.require(after, wait=wait)
        except GoldseamError as error:
            await problem_of(error)(scope, receive, send)
            return
        held: list[Message] = []

        async def check_then_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                error = await _moved(read_model, before)
                if error is not None:
                    held.append(message)
                    await problem_of(error)(scope, receive, send)
            if not held:
                await send(message)

        await self._app(scope, receive, check_then_send)


async def _moved(read_model: ReadModel, before: Standing) -> GoldseamError | None:
    """Why the answer must not go out: another generation, or nobody can say which."""
    try:
        now = await read_model.standing()
    except GoldseamError as error:
        return error
    if now.generation == before.generation:
        return None
    why = "it was rebuilt or reset meanwhile"
    return ReadModelBehind(read_model.name, now.position, before.position, 1, why)


def _asked(scope: Scope, paths: tuple[str, ...]) -> tuple[str | None, float]:
    if scope["type"] != "http" or not scope["path"].startswith(paths):
        return None, 0.0
    if scope["method"] not in ("GET", "HEAD"):
        return None, 0.0
    headers = Headers(scope=scope)
    query: dict[str, list[Any]] = parse_qs(
        scope["query_string"].decode("latin-1"), keep_blank_values=True
    )
    after = query.get("after", [headers.get("goldseam-min-position")])[-1]
    return after, wait_seconds(headers.get("prefer"))
