"""The HTTP door of the orders service: order, look, cancel; and what operators need."""

# No "from __future__ import annotations": FastAPI reads these annotations when a route is made.

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated
from uuid import NAMESPACE_URL, uuid4, uuid5

import msgspec
from fastapi import Depends, FastAPI, Header, Path, Request
from starlette.responses import JSONResponse, Response

from examples.shop.messages import CustomerRegistered
from examples.shop.orders.order import OrderRefused, PlaceOrder, order
from goldseam import ANY, Goldseam
from goldseam.errors import InvalidEvent
from goldseam.http import Reads, install_problems, read_after, read_model_router, store_router
from goldseam.http.app import SecurityHeaders
from goldseam.http.auth import Authentication
from goldseam.http.dashboard import DashboardSessions, dashboard_router
from goldseam.http.dashboard.sessions import PREFIX
from goldseam.http.dead_letters import dead_letters_router
from goldseam.http.follow import Followers
from goldseam.http.headers import idempotency_key
from goldseam.http.healing import healing_router
from goldseam.http.limits import Limits
from goldseam.http.privacy import privacy_router
from goldseam.http.problems import problem
from goldseam.http.sagas import sagas_router

PAGE_ROWS = 100
COLUMNS = ("order_id", "customer_id", "title", "quantity", "cents", "status")

OrderId = Annotated[str, Path(pattern="^[0-9A-Za-z-]{1,50}$")]
CustomerId = Annotated[str, Path(pattern="^[0-9A-Za-z]{1,50}$")]


class Wanted(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """What a customer orders; the shop makes up an ``order_id`` unless one is given."""

    customer_id: Annotated[str, msgspec.Meta(pattern="^[0-9A-Za-z]{1,50}$")]
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    quantity: Annotated[int, msgspec.Meta(ge=1, le=1_000)]
    cents: Annotated[int, msgspec.Meta(ge=0, le=100_000_000)]
    card: Annotated[str, msgspec.Meta(min_length=1, max_length=50)]
    country: Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$")] = "US"
    order_id: Annotated[str, msgspec.Meta(pattern="^[0-9A-Za-z-]{1,50}$")] | None = None


class Introduction(msgspec.Struct, forbid_unknown_fields=True):
    """Who a customer is."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    email: Annotated[str, msgspec.Meta(min_length=3, max_length=200)]


_wanted, _introduction = msgspec.json.Decoder(Wanted), msgspec.json.Decoder(Introduction)


def create_shop(service: Goldseam, others: Sequence[Goldseam] = ()) -> FastAPI:
    """The door of ``service``; it is opened with it, and so are ``others`` of this process."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for one in (service, *others):
                await stack.enter_async_context(one)
            yield

    app = FastAPI(title="The shop", lifespan=lifespan, docs_url=None, redoc_url=None)
    install_problems(app)

    @app.exception_handler(OrderRefused)
    async def refused(_: Request, why: OrderRefused) -> Response:
        return problem(409, "order-refused", str(why))

    _writes(app, service)
    _reads(app, service)
    app.include_router(read_model_router(lambda: service))
    app.include_router(store_router(lambda: service.store), prefix="/store")
    app.include_router(healing_router(lambda: service, aggregates=(order,)))
    app.include_router(privacy_router(lambda: service))
    app.include_router(sagas_router(lambda: service))
    app.include_router(dead_letters_router(service.target, service.clock))
    sessions = DashboardSessions(service.clock, needed=False)
    app.state.followers = Followers()
    app.include_router(dashboard_router(lambda: service, (), sessions, app.state.followers))
    app.add_middleware(Limits, forms=f"{PREFIX}/")
    app.add_middleware(Authentication, browsers=sessions)
    app.add_middleware(SecurityHeaders)
    return app


def _writes(app: FastAPI, service: Goldseam) -> None:
    @app.post("/orders", status_code=201)
    async def place(
        request: Request, key: Annotated[str | None, Header(alias="Idempotency-Key")] = None
    ) -> Response:
        """Order something; the answer's position is what a reader may ask for."""
        asked = idempotency_key(key)
        command = _command(await request.body(), asked)
        name = command.order_id
        done = await service.handle(order, f"order-{name}", command, key=asked)
        answer = {
            "position": done.position,
            "token": done.token,
            "order": name,
            "replayed": done.replayed,
        }
        return JSONResponse(answer, 201, {"Location": f"/orders/{name}"})

    @app.post("/customers/{customer}", status_code=201)
    async def register(customer: CustomerId, request: Request) -> Response:
        """Write down who a customer is."""
        try:
            who = _introduction.decode(await request.body())
        except msgspec.MsgspecError as error:
            raise InvalidEvent("Introduction", type(error).__name__) from None
        fact = CustomerRegistered(customer, who.name, who.email)
        done = await service.store.append(f"customer-{customer}", [fact], expected=ANY)
        return JSONResponse({"position": done.position, "token": done.token}, 201)

    @app.get("/healthz")
    async def alive() -> dict[str, str]:
        """The shop answers."""
        return {"status": "alive"}


def _reads(app: FastAPI, service: Goldseam) -> None:
    orders = Depends(read_after(lambda: service.read_model("orders")))
    customers = Depends(read_after(lambda: service.read_model("customers")))
    columns = ", ".join(COLUMNS)

    @app.get("/orders")
    async def newest(reads: Annotated[Reads, orders]) -> Response:
        """The newest orders, a hundred at most."""
        sql = f"SELECT {columns} FROM orders ORDER BY placed_position DESC LIMIT {PAGE_ROWS}"
        return JSONResponse({"orders": [_row(one) for one in await reads.fetch(sql)]})

    @app.get("/orders/{name}")
    async def one(name: OrderId, reads: Annotated[Reads, orders]) -> Response:
        """One order."""
        sql = f"SELECT {columns} FROM orders WHERE order_id = :name"
        rows = await reads.fetch(sql, {"name": name}, sequence=f"order-{name}")
        if not rows:
            return problem(404, "not-found", f"there is no order {name!r}")
        return JSONResponse(_row(rows[0]))

    @app.get("/customers/{name}")
    async def customer(name: CustomerId, reads: Annotated[Reads, customers]) -> Response:
        """One customer as the read model shows them."""
        sql = "SELECT customer_id, name, email FROM customers WHERE customer_id = :name"
        rows = await reads.fetch(sql, {"name": name}, sequence=f"customer-{name}")
        if not rows:
            return problem(404, "not-found", f"there is no customer {name!r}")
        found = dict(zip(("customer", "name", "email"), rows[0], strict=True))
        return JSONResponse(found)


def _row(row: tuple[object, ...]) -> dict[str, object]:
    return dict(zip(COLUMNS, row, strict=True))


def _command(body: bytes, key: str | None) -> PlaceOrder:
    try:
        wanted = _wanted.decode(body)
    except msgspec.MsgspecError as error:
        raise InvalidEvent("Order", str(error)) from None
    return PlaceOrder(
        wanted.order_id or _order_id(key),
        wanted.customer_id,
        wanted.title,
        wanted.quantity,
        wanted.cents,
        wanted.card,
        wanted.country,
    )


def _order_id(key: str | None) -> str:
    """A new order's id; the same for the same key, so that a retry finds what it began."""
    return str(uuid4() if key is None else uuid5(NAMESPACE_URL, f"shop-order:{key}"))
