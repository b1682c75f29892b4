"""The bank's own FastAPI application: its commands, its balances, one page for a browser."""

# No "from __future__ import annotations": FastAPI reads these annotations when a route is made.

import html
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import Annotated

import msgspec
from fastapi import Depends, FastAPI, Header, Path, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from examples.bank.account import (
    BankRefused,
    CloseAccount,
    Command,
    Deposit,
    OpenAccount,
    Withdraw,
    account,
)
from examples.bank.balances import Balances, Customers
from examples.bank.events import CustomerIntroduced
from goldseam import ANY, Goldseam
from goldseam.errors import InvalidEvent
from goldseam.http import (
    Reads,
    install_problems,
    read_after,
    read_model_router,
    store_router,
)
from goldseam.http.auth import Authentication
from goldseam.http.headers import etag, idempotency_key, version_of
from goldseam.http.healing import healing_router
from goldseam.http.limits import Limits
from goldseam.http.privacy import privacy_router
from goldseam.http.problems import problem


class Introduction(msgspec.Struct, forbid_unknown_fields=True):
    """Who somebody is."""

    name: str
    born: date


COMMANDS: dict[str, type[Command]] = {
    "open": OpenAccount,
    "deposit": Deposit,
    "withdraw": Withdraw,
    "close": CloseAccount,
}
PAGE_ROWS = 100

AccountName = Annotated[str, Path(pattern="^account-[0-9A-Za-z]{1,50}$")]
CustomerName = Annotated[str, Path(pattern="^customer-[0-9A-Za-z]{1,50}$")]
PAGE_POLICY = "default-src 'none'; style-src 'sha256-{}'; frame-ancestors 'none'"


def create_bank(
    store_url: str, keys: str | None = None, key_provider: str | None = None
) -> FastAPI:
    """The bank on the store behind ``store_url``; it knows customers only with their keys."""
    bank = Goldseam(store_url, [Balances(), Customers()], keys=keys, key_provider=key_provider)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with bank:
            yield

    app = FastAPI(title="The bank", lifespan=lifespan, docs_url=None, redoc_url=None)
    install_problems(app)

    @app.exception_handler(BankRefused)
    async def refused(_: Request, why: BankRefused) -> Response:
        return problem(409, "bank-refused", str(why))

    _writes(app, bank)
    _reads(app, bank)
    _page(app, bank)
    app.include_router(read_model_router(lambda: bank))
    app.include_router(store_router(lambda: bank.store), prefix="/store")
    app.include_router(healing_router(lambda: bank, aggregates=(account,)))
    if bank.has_keys:
        app.include_router(privacy_router(lambda: bank))
    app.add_middleware(Limits)
    app.add_middleware(Authentication)
    return app


def _writes(app: FastAPI, bank: Goldseam) -> None:
    @app.post("/accounts/{name}/{verb}", status_code=201)
    async def command(
        name: AccountName,
        verb: str,
        request: Request,
        if_match: Annotated[str | None, Header()] = None,
        key: Annotated[str | None, Header(alias="Idempotency-Key")] = None,
    ) -> Response:
        """Open, deposit, withdraw, close."""
        kind = COMMANDS.get(verb)
        if kind is None:
            return problem(404, "not-found", f"an account cannot {verb[:50]!r}")
        body = await request.body()
        try:
            wanted = msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError as error:
            raise InvalidEvent(kind.__name__, str(error)) from None
        done = await bank.handle(
            account,
            name,
            wanted,
            key=idempotency_key(key),
            expected=None if if_match is None else version_of(if_match),
        )
        answer = {
            "position": done.position,
            "token": done.token,
            "version": done.version,
            "replayed": done.replayed,
        }
        return JSONResponse(answer, 201, {"ETag": etag(done.version)})

    @app.post("/customers/{name}", status_code=201)
    async def introduce(name: CustomerName, request: Request) -> Response:
        """Write down who a customer is."""
        try:
            who = msgspec.json.decode(await request.body(), type=Introduction)
        except msgspec.MsgspecError as error:
            raise InvalidEvent("Introduction", type(error).__name__) from None
        fact = CustomerIntroduced(name, who.name, who.born)
        done = await bank.store.append(name, [fact], expected=ANY)
        return JSONResponse({"position": done.position, "token": done.token}, 201)


def _reads(app: FastAPI, bank: Goldseam) -> None:
    customers = Depends(read_after(lambda: bank.read_model("customers")))

    @app.get("/customers/{name}")
    async def customer(name: CustomerName, reads: Annotated[Reads, customers]) -> Response:
        """One customer as the read model shows them."""
        sql = "SELECT customer, name, born FROM customers WHERE customer = :name"
        rows = await reads.fetch(sql, {"name": name}, sequence=name)
        if not rows:
            return problem(404, "not-found", f"there is no customer {name!r}")
        return JSONResponse(dict(zip(("customer", "name", "born"), rows[0], strict=True)))

    balances = Depends(read_after(lambda: bank.read_model("balances")))

    @app.get("/accounts/{name}")
    async def one(name: AccountName, reads: Annotated[Reads, balances]) -> Response:
        """One account as the read model shows it."""
        sql = (
            "SELECT account, owner, balance, movements, closed FROM balances WHERE account = :name"
        )
        rows = await reads.fetch(sql, {"name": name}, sequence=name)
        if not rows:
            return problem(404, "not-found", f"there is no account {name!r}")
        return JSONResponse(_row(rows[0]))

    @app.get("/accounts")
    async def every(reads: Annotated[Reads, balances]) -> Response:
        """All accounts, a hundred at most."""
        return JSONResponse({"accounts": [_row(row) for row in await _accounts(reads)]})


def _page(app: FastAPI, bank: Goldseam) -> None:
    balances = Depends(read_after(lambda: bank.read_model("balances")))

    @app.get("/")
    async def page(reads: Annotated[Reads, balances]) -> Response:
        """The balances and the newest events, for a person."""
        events = await bank.store.read_all_backwards(limit=20)
        accounts = [_row(row) for row in await _accounts(reads)]
        lines = [
            (
                str(e.position),
                e.stream,
                str(e.version),
                e.type,
                msgspec.json.encode(e.data).decode(),
            )
            for e in events
        ]
        body = _PAGE.format(
            style=_STYLE,
            accounts=_table([tuple(str(value) for value in one.values()) for one in accounts]),
            events=_table(lines),
            head=await bank.store.head(),
        )
        return HTMLResponse(body, headers={"Content-Security-Policy": _POLICY})

    @app.get("/healthz")
    async def alive() -> dict[str, str]:
        """The bank answers."""
        return {"status": "alive"}


async def _accounts(reads: Reads) -> list[tuple[object, ...]]:
    sql = "SELECT account, owner, balance, movements, closed FROM balances ORDER BY account"
    return await reads.fetch(f"{sql} LIMIT {PAGE_ROWS}")


def _row(row: tuple[object, ...]) -> dict[str, object]:
    return dict(zip(("account", "owner", "balance", "movements", "closed"), row, strict=True))


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows as HTML; whatever is in them is shown as text."""
    return "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
       color-scheme: light dark; }
h1 { border-bottom: 3px solid goldenrod; }
table { border-collapse: collapse; width: 100%; margin-bottom: 2rem; }
td, th { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8884; }
td { overflow-wrap: anywhere; }
"""
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>The bank</title><style>{style}</style>
<h1>The bank</h1>
<h2>Balances, in cents</h2>
<table><thead><tr><th>account<th>owner<th>balance<th>movements<th>closed</thead>{accounts}</table>
<h2>The newest events (position {head})</h2>
<table><thead><tr><th>position<th>stream<th>version<th>event<th>data</thead>{events}</table>
</html>
"""


def _style_hash() -> str:
    from base64 import b64encode
    from hashlib import sha256

    return b64encode(sha256(_STYLE.encode()).digest()).decode()


_POLICY = PAGE_POLICY.format(_style_hash())
