"""The shop without events: rows and facts agree, whichever library wrote them, over crashes too."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from examples.outbox_without_events.__main__ import PRICES, bill, main, sell
from examples.outbox_without_events.shop import (
    ORDERS,
    connected,
    engine,
    paid,
    pay_with_psycopg,
    pay_with_sqlalchemy,
    pay_with_sqlite3,
)
from goldseam.runtime.outbox import add
from goldseam.runtime.outbox_relay import OutboxRelay, prepare_outbox
from tests.crashes.outside import query

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def broker_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'broker.db'}"


@pytest.fixture
def invoices_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'invoices.db'}"


async def test_rows_facts_and_invoices_agree(
    store_url: str, broker_url: str, invoices_url: str
) -> None:
    """What was rolled back has no invoice; a second run relays and bills nothing again."""
    assert PRICES == await main(store_url, broker_url, invoices_url)
    async with OutboxRelay(store_url, broker_url, source="/shop") as relay:
        assert 0 == await relay.flush()
    assert [(sum(PRICES.values()),)] == query(invoices_url, "SELECT cents FROM turnover")


async def test_a_relay_that_forgot_sends_again_and_nothing_is_billed_twice(
    store_url: str, broker_url: str, invoices_url: str
) -> None:
    """As after a crash before its checkpoint: the ids are the same, so consumers know them."""
    await main(store_url, broker_url, invoices_url)
    query(store_url, "UPDATE goldseam_relay_checkpoints SET position = 0")
    async with OutboxRelay(store_url, broker_url, source="/shop") as relay:
        assert len(PRICES) == await relay.flush()
    await bill(broker_url, invoices_url, len(PRICES))
    assert [(sum(PRICES.values()),)] == query(invoices_url, "SELECT cents FROM turnover")


@pytest.mark.parametrize("library", ["driver", "sqlalchemy"])
async def test_the_row_and_the_fact_go_together(store_url: str, library: str) -> None:
    """A second payment of one order breaks the key: neither row nor fact is added."""
    await prepare_outbox(store_url)
    query(store_url, ORDERS)
    _pay(store_url, library)
    with pytest.raises(Exception, match=r"(?i)unique"):
        _pay(store_url, library)
    assert [(1,)] == query(store_url, "SELECT count(*) FROM orders")
    assert [(1,)] == query(store_url, "SELECT count(*) FROM goldseam_outbox")


def _pay(url: str, library: str) -> None:
    if library == "sqlalchemy":
        made = engine(url)
        try:
            with Session(made) as session:
                pay_with_sqlalchemy(session, "o-1", 5)
        finally:
            made.dispose()
        return
    with connected(url) as connection:
        if isinstance(connection, sqlite3.Connection):
            pay_with_sqlite3(connection, "o-1", 5)
        else:
            pay_with_psycopg(connection, "o-1", 5)


async def test_control_publishing_apart_tells_what_never_happened(
    store_url: str, broker_url: str, invoices_url: str
) -> None:
    """The damage: the fact in a transaction of its own outlives the row that was rolled back."""
    await prepare_outbox(store_url)
    rows = sell(store_url)
    with connected(store_url) as connection:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("BEGIN IMMEDIATE")
        add(connection, [paid("o-4", 99_999)])
        connection.commit()  # and then the program dies: there is no such order
    async with OutboxRelay(store_url, broker_url) as relay:
        await relay.flush()
    invoices = await bill(broker_url, invoices_url, rows + 1)
    assert (rows, rows + 1) == (len(PRICES), len(invoices))


def test_it_runs_as_its_readme_says() -> None:
    """``python -m examples.outbox_without_events`` needs nothing but itself."""
    done = subprocess.run(
        [sys.executable, "-m", "examples.outbox_without_events"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    assert "3 orders in the shop, 3 facts relayed" in done.stdout
    assert f"invoices: {PRICES}" in done.stdout
