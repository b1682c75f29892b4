"""What old versions and sealed fields cost: upcasting, appends and replays of personal events."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import msgspec

from benchmarks.measure import Run, Scenario
from benchmarks.postgres import WRITERS, appends
from goldseam import ANY, EventStore, Personal, Registry, open_store, open_vault, upcaster
from goldseam.events.registry import Untyped
from goldseam.privacy.vault import Vault
from goldseam.versioning.upcasting import add_field, drop_field, rename_field

EVENTS = 100_000
STREAMS = 100
CUSTOMERS = 1_000
VERSIONS = 5


STORES = ("newest", "mixed", "appends", "plain", "sealed")


class Order(msgspec.Struct, frozen=True):
    """The newest version of an order, and the plain customer."""

    customer: str
    total: int
    currency: str
    channel: str
    note: str = ""


class Customer(msgspec.Struct, frozen=True):
    """A customer as many systems still keep them."""

    customer_id: str
    name: str
    email: str
    plan: str
    visits: int


class SealedCustomer(msgspec.Struct, frozen=True):
    """The same customer with two personal fields."""

    customer_id: str
    name: Annotated[str, Personal("customer_id")]
    email: Annotated[str, Personal("customer_id")]
    plan: str
    visits: int


def _registry(version: int) -> Registry:
    """The classes of today, orders under ``version`` of their event type."""
    found = Registry()
    found.register(Order, name="OrderPlaced", version=version)
    found.register(Customer, name="CustomerMet")
    found.register(SealedCustomer, name="CustomerSealed")
    return found


def _with_upcasters() -> Registry:
    found = _registry(VERSIONS)
    upcaster("OrderPlaced", 1, registry=found)(add_field("currency", "USD"))
    upcaster("OrderPlaced", 2, registry=found)(rename_field("amount", "total"))
    upcaster("OrderPlaced", 3, registry=found)(drop_field("internal"))
    upcaster("OrderPlaced", 4, registry=found)(add_field("channel", "shop"))
    return found


class History:
    """One back-end: a store of its own for each scenario.

    Args:
        name: of the back-end, for the table.
        urls: of empty stores, by the names in :data:`STORES`.
        folder: for the key store and the epoch's key.
        seconds: how long appends run.
    """

    def __init__(self, name: str, urls: dict[str, str], folder: Path, seconds: float) -> None:
        self._name, self._urls, self._folder, self._seconds = name, urls, folder, seconds

    def scenarios(self) -> list[Scenario]:
        """Upcasting, sealing and opening, each beside the same without."""
        return [
            Scenario(
                f"{self._name}: replay of 100,000 events of versions 1 to 5",
                0.50,
                self._replay("mixed", _with_upcasters(), self._fill_mixed),
                {"all of the newest version": self._replay("newest", _registry(5), _fill_newest)},
            ),
            Scenario(
                f"{self._name}: 32 writers, two personal fields",
                0.60,
                self._appends(sealed=True),
                {"the same fields in clear": self._appends(sealed=False)},
            ),
            Scenario(
                f"{self._name}: replay with decryption, two personal fields",
                0.25,
                self._replay("sealed", _registry(5), _fill_customers(SealedCustomer)),
                {
                    "the same fields in clear": self._replay(
                        "plain", _registry(5), _fill_customers(Customer)
                    )
                },
            ),
        ]

    async def _vault(self) -> Vault:
        keys = f"sqlite:///{self._folder / 'keys.db'}"
        return await open_vault(keys, f"file://{self._folder.absolute() / 'epochs'}")

    def _replay(self, which: str, registry: Registry, fill: Any) -> Run:
        async def run() -> float:
            vault = await self._vault()
            try:
                store = await open_store(self._urls[which], registry=registry, vault=vault)
                async with store:
                    if not await store.head():
                        await fill(store)
                    start, count = perf_counter(), 0
                    async for _ in store.replay():
                        count += 1
                    assert count == EVENTS
                    return count / (perf_counter() - start)
            finally:
                await vault.close()

        return run

    async def _fill_mixed(self, _: EventStore) -> None:
        """Each version writes its part, as it would have years ago."""
        old = Registry(open_to_unknown=True)
        async with await open_store(self._urls["mixed"], registry=old) as store:
            for n in range(EVENTS // 100):
                events = [
                    Untyped("OrderPlaced", 1 + k % VERSIONS, _old_fields(1 + k % VERSIONS, k))
                    for k in range(100)
                ]
                await store.append(f"order-{n % STREAMS}", events, expected=ANY)

    def _appends(self, *, sealed: bool) -> Run:
        def customer(n: int) -> Any:
            kind = SealedCustomer if sealed else Customer
            return kind(f"c-{n % CUSTOMERS}", "Ann Example", "ann@example.org", "free", n)

        async def run() -> float:
            vault = await self._vault()
            try:
                await vault.sealing_keys("main", {f"c-{n}" for n in range(CUSTOMERS)})
                url = self._urls["appends"]
                async with await open_store(url, registry=_registry(5), vault=vault) as store:
                    return await appends(store, WRITERS, 1, self._seconds, customer)
            finally:
                await vault.close()

        return run


def _old_fields(version: int, n: int) -> dict[str, Any]:
    fields: dict[str, Any] = {"customer": f"c-{n}", "note": "as before"}
    fields["amount" if version < 3 else "total"] = 100 + n
    if version >= 2:
        fields["currency"] = "EUR"
    if version <= 3:
        fields["internal"] = 7
    if version >= 5:
        fields["channel"] = "web"
    return fields


async def _fill_newest(store: EventStore) -> None:
    for n in range(EVENTS // 100):
        events = [Order(f"c-{k}", 100 + k, "EUR", "web", "as before") for k in range(100)]
        await store.append(f"order-{n % STREAMS}", events, expected=ANY)


def _fill_customers(kind: Any) -> Any:
    async def fill(store: EventStore) -> None:
        for n in range(EVENTS // 100):
            events = [
                kind(f"c-{(n + k) % CUSTOMERS}", "Ann Example", "ann@example.org", "free", k)
                for k in range(100)
            ]
            await store.append(f"customer-{n % STREAMS}", events, expected=ANY)

    return fill
