"""What does not fit its schema never reaches a topic: rows of the outbox are held to it too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from goldseam.broker.cloudevents import SCHEMA_ID_HEADER
from goldseam.broker.record import Partition
from goldseam.outbox import checkpoint
from goldseam.outbox.errors import CannotBePublished
from goldseam.outbox.relay import Relay
from goldseam.outbox.sources import OutboxSource
from goldseam.outbox.table import LANES
from goldseam.resilience.clock import SystemClock
from goldseam.runtime.brokers import open_broker
from goldseam.runtime.outbox import Message, add
from goldseam.runtime.wiring import open_database
from goldseam.versioning.json_schema import fingerprint
from goldseam.versioning.schema_ids import SchemaGuids, guid_of
from goldseam.versioning.schema_registry import SchemaRegistry
from tests.crashes.outside import query, transaction
from tests.support.relays import sender

CLOCK = SystemClock()
PAID: dict[str, Any] = {
    "type": "object", "required": ["cents"], "properties": {"cents": {"type": "integer"}},
}  # fmt: skip


@pytest.fixture
async def outbox_url(store_url: str) -> str:
    """An outbox whose registry knows version 1 of order-paid."""
    database = open_database(store_url)
    await database.transact(lambda c: checkpoint.apply_tables(c, CLOCK))
    await SchemaRegistry(database, CLOCK).register("order-paid", PAID)
    await database.close()
    return store_url


def put(url: str, *messages: Message) -> None:
    with transaction(url) as connection:
        add(connection, messages)


def paid(payload: object, version: int = 1, name: str = "order-paid") -> Message:
    return Message(topic="order", key="o-1", type=name, type_version=version, payload=payload)


def rows(url: str) -> int:
    return int(query(url, "SELECT count(*) FROM goldseam_outbox")[0][0])


@pytest.mark.parametrize("payload", [{"cents": "secret"}, {}, b'{"cents":1.5}', b"[1]"])
async def test_what_does_not_fit_is_refused_and_nothing_is_written(
    outbox_url: str, payload: object
) -> None:
    """The whole call is refused, with path and rule and without the value."""
    with pytest.raises(CannotBePublished, match="breaks the rule") as refused:
        put(outbox_url, paid({"cents": 5}), paid(payload))
    assert "secret" not in str(refused.value)
    assert 0 == rows(outbox_url)


async def test_a_version_that_nobody_registered_is_refused(outbox_url: str) -> None:
    """Readers could not know what it means; the versions there are are named."""
    with pytest.raises(CannotBePublished, match=r"version 2 .* registered are: 1"):
        put(outbox_url, paid({"cents": 5}, version=2))
    assert 0 == rows(outbox_url)


async def test_what_fits_and_what_has_no_schema_pass(outbox_url: str) -> None:
    """A registry is an offer: types without a schema are sent as before."""
    put(outbox_url, paid({"cents": 5, "more": True}), paid({"x": 1}, name="order-packed"))
    assert 2 == rows(outbox_url)


async def test_control_without_a_schema_the_misfit_is_on_its_way(store_url: str) -> None:
    """The damage: the same payload is accepted where nothing is registered."""
    database = open_database(store_url)
    await database.transact(lambda c: checkpoint.apply_tables(c, CLOCK))
    await database.close()
    put(store_url, paid({"cents": "secret"}))
    assert 1 == rows(store_url)


async def test_rows_travel_with_the_id_of_their_schema(outbox_url: str, tmp_path: Path) -> None:
    """On the topic the header names the schema that the row was held to."""
    put(outbox_url, paid({"cents": 5}))
    broker_url = f"sqlite:///{tmp_path / 'broker.db'}"
    database = open_database(outbox_url)
    ids = SchemaGuids(SchemaRegistry(database, CLOCK), CLOCK)
    async with sender(broker_url) as publisher:
        for lane in range(LANES):
            source = OutboxSource(database, "/orders", schema_ids=ids)
            await Relay(
                "outbox", source, publisher, database, CLOCK, holder="a", shard=lane, shards=LANES
            ).flush()
    await database.close()
    broker = open_broker(broker_url)
    admin = await broker.admin()
    seen = [
        one
        for place in await admin.spans("order")
        for one in await admin.read(Partition("order", place.number), 0, 10)
    ]
    await broker.close()
    expected = b"\x01" + guid_of(fingerprint(PAID)).bytes
    assert [expected] == [dict(one.headers)[SCHEMA_ID_HEADER] for one in seen]
