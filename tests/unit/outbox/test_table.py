"""The outbox table in a caller's own transaction."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldseam.errors import StoreReadOnly
from goldseam.outbox import checkpoint
from goldseam.outbox.errors import CannotBePublished
from goldseam.outbox.prune import prune_outbox
from goldseam.outbox.relay import Relay
from goldseam.outbox.sources import OutboxSource
from goldseam.outbox.table import LANES, PAYLOAD_BYTES_MAX
from goldseam.resilience.clock import SystemClock
from goldseam.runtime.outbox import Message, add
from goldseam.runtime.wiring import open_database
from tests.crashes.outside import connect, execute, query, transaction
from tests.support.relays import delivered, sender

CLOCK = SystemClock()


@pytest.fixture
async def outbox_url(store_url: str) -> str:
    """A database with the tables of the outbox and a table of the caller's."""
    database = open_database(store_url)
    await database.transact(lambda c: checkpoint.apply_tables(c, CLOCK))
    await database.close()
    query(store_url, "CREATE TABLE orders (id TEXT PRIMARY KEY)")
    return store_url


def message(key: str, n: int) -> Message:
    return Message(topic="order", key=key, type="order-paid", payload={"n": n})


async def _relayed(url: str, broker_url: str) -> None:
    database = open_database(url)
    async with sender(broker_url) as publisher:
        for lane in range(LANES):
            source = OutboxSource(database, "/orders")
            relay = Relay(
                "outbox", source, publisher, database, CLOCK, holder="a", shard=lane, shards=LANES
            )
            await relay.flush()
    await database.close()


async def test_rows_commit_with_the_callers_own_and_are_relayed_in_order(
    outbox_url: str, tmp_path: Path
) -> None:
    """What was rolled back is on no topic; what was committed is, in the order of its key."""
    broker_url = f"sqlite:///{tmp_path / 'broker.db'}"
    ids = []
    for n in range(5):
        with transaction(outbox_url) as connection:
            execute(connection, "INSERT INTO orders VALUES (?)", f"o-{n}")
            ids += add(connection, [message("o", n), message(f"other-{n}", n)])[:1]
    connection = connect(outbox_url)
    execute(connection, "BEGIN")
    add(connection, [message("o", 99)])
    connection.rollback()
    connection.close()
    await _relayed(outbox_url, broker_url)
    found = delivered(broker_url)
    assert [str(one) for one in ids] == [f.event_id for f in found if f.stream == "o"]
    assert 10 == len(found)
    assert 5 == query(outbox_url, "SELECT count(*) FROM orders")[0][0]


async def test_only_what_is_relayed_is_pruned(outbox_url: str, tmp_path: Path) -> None:
    """A row that waits stays, whatever its age."""
    with transaction(outbox_url) as connection:
        add(connection, [message("a", 1), message("b", 1)])
    database = open_database(outbox_url)
    try:
        assert 0 == await prune_outbox(database, "outbox", CLOCK, keep_seconds=0)
        await _relayed(outbox_url, f"sqlite:///{tmp_path / 'broker.db'}")
        assert 0 == await prune_outbox(database, "outbox", CLOCK)
        assert 2 == await prune_outbox(database, "outbox", CLOCK, keep_seconds=-1)
        assert 0 == query(outbox_url, "SELECT count(*) FROM goldseam_outbox")[0][0]
    finally:
        await database.close()


@pytest.mark.parametrize("payload", [b"{not json", object(), "x" * PAYLOAD_BYTES_MAX])
def test_what_cannot_be_published_is_refused_before_it_is_written(
    outbox_url: str, payload: object
) -> None:
    """The transaction goes on without it."""
    with transaction(outbox_url) as connection:
        bad = Message(topic="order", key="o", type="order-paid", payload=payload)
        with pytest.raises(CannotBePublished):
            add(connection, [message("o", 1), bad])
    assert 0 == query(outbox_url, "SELECT count(*) FROM goldseam_outbox")[0][0]


def test_a_connection_outside_of_a_transaction_is_refused(outbox_url: str) -> None:
    """Otherwise the row would not commit with the caller's own."""
    connection = connect(outbox_url)
    try:
        if hasattr(connection, "autocommit") and "psycopg" in type(connection).__module__:
            connection.autocommit = True
        with pytest.raises(StoreReadOnly):
            add(connection, [message("o", 1)])
    finally:
        connection.close()
