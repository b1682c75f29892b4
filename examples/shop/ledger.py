"""The proof: what the file says must have happened, beside what the four databases say happened."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from examples.shop.books import SERVICES, Fact, facts, holes, rows
from examples.shop.purchases import Expected, Purchase, expected
from examples.shop.settings import Settings

ONCE = frozenset({
    "OrderPlaced", "OrderCompleted", "OrderCancelled",
    "InventoryReserved", "InventoryRefused", "InventoryReleased",
    "PaymentProcessed", "PaymentFailed",
    "ShipmentCreated", "ShipmentRefused", "ShipmentCancelled",
})  # fmt: skip
"""What may stand in the stream of an order at most once; of a refund, one for each reason."""

PLACES = (
    ("orders", "order"),
    ("inventory", "inventory"),
    ("payments", "payment"),
    ("shipping", "shipment"),
)
COMMANDS = ("inventory_commands", "payment_commands", "shipment_commands")


class Ledger(NamedTuple):
    """The figures, and what is wrong with them."""

    orders_in: int
    outcomes: Counter[str]
    cents_in: int
    cents_kept: int
    cents_refunded: int
    events: int
    lost: int
    doubled: int
    problems: list[str]

    @property
    def balances(self) -> bool:
        """Whether everything agrees."""
        return not self.problems and not self.lost and not self.doubled


class Found(NamedTuple):
    """What the databases say of all orders."""

    by_order: Mapping[str, list[Fact]]
    sagas: Mapping[str, str]
    commands: list[Fact]

    def cents(self, order: str, kind: str) -> int:
        """The sum of an order's facts of this kind."""
        return sum(one.data["cents"] for one in self.by_order[order] if one.type == kind)


def balance(
    settings: Settings, purchases: Sequence[Purchase], acknowledged: Mapping[str, int], wrong: str
) -> Ledger:
    """Compare order by order.

    Args:
        acknowledged: what customers were promised: each order with its position.
        wrong: the order that was charged ten times its price, and healed.
    """
    found = look(settings)
    wanted = {one.order_id: expected(one) for one in purchases}
    problems = [*_orders(found, wanted, wrong), *sums(settings, found)]
    lost = _lost(settings, found, acknowledged)
    placed = [name for name, of in found.by_order.items() if _has(of, "OrderPlaced")]
    cents_in = sum(found.cents(name, "PaymentProcessed") for name in placed)
    refunded = sum(found.cents(name, "PaymentRefunded") for name in placed)
    outcomes = Counter(_outcome(found, name) for name in placed)
    kept = cents_in - refunded
    must_keep = sum(one.cents_kept for one in wanted.values())
    if kept != must_keep:
        problems.append(f"money kept is {kept} cents, the file says {must_keep}")
    return Ledger(
        len(placed),
        outcomes,
        cents_in,
        kept,
        refunded,
        sum(_events(settings, service) for service in SERVICES),
        len(lost),
        sum(_doubled(of) for of in found.by_order.values()),
        [*lost, *problems],
    )


def look(settings: Settings) -> Found:
    """Read all four databases."""
    by_order: dict[str, list[Fact]] = defaultdict(list)
    for service, category in PLACES:
        for fact in facts(settings, service, category):
            by_order[fact.stream.partition("-")[2]].append(fact)
    found = rows(settings, "orders", "SELECT saga, status FROM saga_index")
    sagas = {str(saga).partition("/")[2]: str(status) for saga, status in found}
    commands = [one for category in COMMANDS for one in facts(settings, "orders", category)]
    return Found(by_order, sagas, commands)


def _orders(found: Found, wanted: Mapping[str, Expected], wrong: str) -> list[str]:
    problems = []
    for name, must in wanted.items():
        paid = found.cents(name, "PaymentProcessed")
        kept = paid - found.cents(name, "PaymentRefunded")
        is_ = Expected(_outcome(found, name), paid, kept)  # type: ignore[arg-type]
        asked = must._replace(cents_in=must.cents_in * 10) if name == wrong else must
        if is_ != asked:
            problems.append(f"order {name}: {is_}, the file says {asked}")
    problems += [f"order {name}: nobody sent it" for name in found.by_order.keys() - wanted.keys()]
    return problems


def _outcome(found: Found, name: str) -> str:
    """How an order ended, its own stream and its saga agreeing; else what each says."""
    ends = {"OrderCompleted": "completed", "OrderCancelled": "compensated"}
    own = [ends[one.type] for one in found.by_order[name] if one.type in ends]
    saga = found.sagas.get(name, "none")
    if own == [saga] or (not own and saga == "parked"):
        return saga
    return f"saga {saga}, order {own or 'open'}"


def sums(settings: Settings, found: Found) -> list[str]:
    """What each service counts by itself, beside its facts."""
    everything = [one for of in found.by_order.values() for one in of]
    kinds = Counter(one.type for one in everything)
    cents = Counter[str]()
    for one in everything:
        cents[one.type] += one.data.get("cents", 0)
    takings = rows(settings, "payments", "SELECT cents_in, cents_back FROM takings")
    parcels = rows(settings, "shipping", "SELECT coalesce(sum(parcels), 0) FROM carriers")
    shelf = rows(settings, "inventory", "SELECT count(*) FROM shelf")
    shown = rows(settings, "orders", "SELECT count(*) FROM orders")
    given_back = sum(one.type == "InventoryReleased" and one.data["quantity"] > 0
                     for one in everything)  # fmt: skip
    pairs = {
        "takings": (tuple(takings[0]) if takings else (0, 0),
                    (cents["PaymentProcessed"], cents["PaymentRefunded"])),
        "parcels": (int(parcels[0][0]), kinds["ShipmentCreated"]),
        "shelf": (int(shelf[0][0]), kinds["InventoryReserved"] - given_back),
        "orders shown": (int(shown[0][0]), kinds["OrderPlaced"]),
    }  # fmt: skip
    return [
        f"{name}: counted {counted}, stored {stored}"
        for name, (counted, stored) in pairs.items()
        if tuple_of(counted) != tuple_of(stored)
    ]


def tuple_of(value: object) -> tuple[int, ...]:
    """Numbers of any driver, as plain integers."""
    return tuple(int(one) for one in (value if isinstance(value, tuple) else (value,)))


def _lost(settings: Settings, found: Found, acknowledged: Mapping[str, int]) -> list[str]:
    """Promised and not stored; a hole in a log; a command that nobody ever answered."""
    lost = [
        f"order {name} was acknowledged at {position} and is not there"
        for name, position in acknowledged.items()
        if not any(one.type == "OrderPlaced" and one.position == position
                   for one in found.by_order[name])
    ]  # fmt: skip
    missing = {service: holes(settings, service) for service in SERVICES}
    lost += [f"{n} positions are missing in the log of {name}" for name, n in missing.items() if n]
    causes = {one.cause for of in found.by_order.values() for one in of}
    lost += [
        f"{one.type} of {one.stream} was never answered"
        for one in found.commands
        if one.id not in causes
    ]
    return lost


def _doubled(of: list[Fact]) -> int:
    counted = Counter(
        (one.type, one.data.get("reason") if one.type == "PaymentRefunded" else None)
        for one in of
        if one.type in ONCE or one.type == "PaymentRefunded"
    )
    return sum(n - 1 for n in counted.values())


def _events(settings: Settings, service: str) -> int:
    return int(rows(settings, service, "SELECT count(*) FROM goldseam_events")[0][0])


def _has(of: list[Fact], kind: str) -> bool:
    return any(one.type == kind for one in of)
