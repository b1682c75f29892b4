"""The shop's HTTP door, and its four services behind it, in one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from examples.shop import inventory, payments, shipping
from examples.shop.orders.application import create
from examples.shop.orders.http import create_shop
from examples.shop.payments import DECLINED_CARD, NO_REFUND_CARD
from examples.shop.places import cleared, made
from examples.shop.settings import Settings
from examples.shop.shipping import NOWHERE

SECONDS = 60
WAIT = {"Prefer": "wait=30"}


@contextmanager
def opened(settings: Settings) -> Iterator[TestClient]:
    others = [one.create(settings) for one in (inventory, payments, shipping)]
    with TestClient(create_shop(create(settings), others), "http://localhost") as client:
        yield client


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(folder=tmp_path)


@pytest.fixture
def shop(settings: Settings) -> Iterator[TestClient]:
    with opened(settings) as client:
        yield client


@pytest.fixture(scope="module")
def open_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One shop for tests that only look."""
    with opened(Settings(folder=tmp_path_factory.mktemp("open"))) as client:
        yield client


@pytest.fixture
def on_postgresql(postgres_schema_url: str, tmp_path: Path) -> Iterator[Settings]:
    database, _, schema = postgres_schema_url.partition("?schema=")
    places = Settings(folder=tmp_path, database=database, prefix=f"{schema}_")
    made(places)
    yield places
    cleared(places)


def body(**changes: object) -> dict[str, Any]:
    return {
        "orderId": "17", "customerId": "0004", "title": "title 001", "quantity": 2,
        "cents": 2_933, "card": "card", "country": "US", **changes,
    }  # fmt: skip


def saga(shop: TestClient, order: str = "17") -> dict[str, Any]:
    reply = shop.get(f"/sagas/fulfilment/{order}")
    return {} if reply.status_code != 200 else reply.json()["row"]


def eventually(ready: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not ready():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def ends(shop: TestClient, status: str) -> None:
    eventually(lambda: saga(shop).get("status") in ("completed", "compensated", "parked"))
    assert status == saga(shop)["status"]


def test_an_order_is_placed_read_and_fulfilled(shop: TestClient) -> None:
    """201 with its position; a reader of it sees it; every service does its part, once."""
    placed = shop.post("/orders", json=body())
    seen = shop.get("/orders", params={"after": placed.json()["position"]}, headers=WAIT)
    ends(shop, "completed")
    eventually(lambda: shop.get("/orders/17").json()["status"] == "completed")
    story = shop.get("/sagas/fulfilment/17").json()

    assert 201 == placed.status_code
    assert placed.json()["position"] > 0
    assert ["17"] == [one["order_id"] for one in seen.json()["orders"]]
    assert ["order", "inventory", "payment", "shipment", "complete"] == story["steps"]
    facts = [one["fact"] for one in story["happened"]]
    for fact in ("InventoryReserved", "PaymentProcessed", "ShipmentCreated", "SagaCompleted"):
        assert 1 == facts.count(fact)


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"quantity": 21}, "compensated", ["InventoryRefused"]),
        ({"card": DECLINED_CARD}, "compensated", ["PaymentFailed", "InventoryReleased"]),
        (
            {"country": NOWHERE},
            "compensated",
            ["ShipmentRefused", "PaymentRefunded", "InventoryReleased"],
        ),
        (
            {"country": NOWHERE, "card": NO_REFUND_CARD},
            "parked",
            ["ShipmentRefused", "RefundRefused"],
        ),
    ],
)
def test_a_refusal_turns_the_order_back(
    shop: TestClient,
    changes: dict[str, object],
    status: str,
    said: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever took effect is undone in reverse; what cannot be undone calls for a human."""
    shop.post("/orders", json=body(**changes))
    ends(shop, status)
    facts = [one["fact"] for one in shop.get("/sagas/fulfilment/17").json()["happened"]]

    assert said == [one for one in facts if one in said]
    assert ("ALARM: saga" in caplog.text) == (status == "parked")
    wanted = "cancelled" if status == "compensated" else "placed"
    eventually(lambda: shop.get("/orders/17").json()["status"] == wanted)


def test_a_reader_is_told_to_come_back(shop: TestClient) -> None:
    """503 with Retry-After, position and target while the list stands still; then 200."""
    shop.post("/read-models/orders/pause")
    position = shop.post("/orders", json=body()).json()["position"]
    early = shop.get("/orders", params={"after": position})
    shop.post("/read-models/orders/resume")
    late = shop.get("/orders", params={"after": position}, headers=WAIT)
    never = shop.get("/orders", params={"after": -1})

    assert 503 == early.status_code
    assert int(early.headers["Retry-After"]) >= 1
    assert position == early.json()["target"] > early.json()["position"]
    assert (200, 400) == (late.status_code, never.status_code)


def test_a_key_makes_an_order_safe_to_repeat(shop: TestClient) -> None:
    """One order, whatever happens to its answer; another one under its key is refused."""
    key = {"Idempotency-Key": '"one"'}
    nameless = {name: value for name, value in body().items() if name != "orderId"}
    answers = [shop.post("/orders", json=nameless, headers=key).json() for _ in range(3)]
    other = shop.post("/orders", json={**nameless, "cents": 1}, headers=key)

    assert 1 == len({(one["position"], one["order"]) for one in answers})
    assert [False, True, True] == [one["replayed"] for one in answers]
    assert 422 == other.status_code


def test_what_makes_no_sense_is_refused(shop: TestClient) -> None:
    """With a problem that says why; nothing is written."""
    shop.post("/orders", json=body())
    wrong = [
        shop.post("/orders", json=one)
        for one in (
            body(quantity=0),
            body(cents=-1),
            body(tip=5),
            body(orderId="../../x"),
            body(country="Nowhere"),
            body(),
        )
    ]

    assert [422] * 5 + [409] == [one.status_code for one in wrong]
    assert 404 == shop.get("/orders/18").status_code


def test_a_customer_is_forgotten_and_the_orders_stay(shop: TestClient) -> None:
    """Their key is destroyed; what they bought still counts."""
    who = {"name": "Ann Example", "email": "ann@example.org"}
    position = shop.post("/customers/0004", json=who).json()["position"]
    known = shop.get("/customers/0004", params={"after": position}, headers=WAIT)
    shop.post("/orders", json=body())
    done = shop.post("/privacy/forget", json={"subjects": ["0004"], "reason": "asked for it"})
    eventually(lambda: shop.get("/customers/0004").json()["name"] == "[forgotten]")
    ends(shop, "completed")

    assert "Ann Example" == known.json()["name"]
    assert 200 == done.status_code
    assert shop.post("/customers/0004", json=who).status_code >= 400


def test_a_wrong_price_is_healed_and_given_back(shop: TestClient, settings: Settings) -> None:
    """The list shows the right price, and payments refunds the difference."""
    from examples.shop.books import facts

    shop.post("/orders", json=body(cents=29_330))
    ends(shop, "completed")
    event = shop.get("/store/streams/order-17").json()["events"][0]["id"]
    asked = {
        "eventId": event, "set": {"cents": 2_933}, "reason": "a zero too many",
        "ticket": "SHOP-12", "correctedBy": "clerk-7",
    }  # fmt: skip
    healed = shop.post("/heal", json=asked)
    eventually(lambda: shop.get("/orders/17").json()["cents"] == 2_933)

    def refunded() -> list[int]:
        found = facts(settings, "payments", "payment")
        return [one.data["cents"] for one in found if one.type == "PaymentRefunded"]

    eventually(refunded)
    assert 201 == healed.status_code
    assert [29_330 - 2_933] == refunded()


@pytest.mark.parametrize("page", ["", "/events", "/streams", "/sagas", "/dead-letters"])
def test_the_dashboard_is_open(open_shop: TestClient, page: str) -> None:
    """Its first pages, for whoever runs the shop."""
    reply = open_shop.get(f"/dashboard{page}")

    assert 200 == reply.status_code
    assert "<html" in reply.text


def test_the_same_services_on_postgresql(on_postgresql: Settings) -> None:
    """Each in a schema of its own: one order goes through, one is turned back."""
    with opened(on_postgresql) as shop:
        shop.post("/orders", json=body())
        shop.post("/orders", json=body(orderId="18", country=NOWHERE))
        eventually(lambda: saga(shop, "18").get("status") == "compensated")
        ends(shop, "completed")
        position = shop.get("/read-models").json()["head"]
        seen = shop.get("/orders", params={"after": position}, headers=WAIT).json()["orders"]

    assert {"17": "completed", "18": "cancelled"} == {
        one["order_id"]: one["status"] for one in seen
    }
