"""``goldseam outbox``: what waits, sending it by hand, and the table of a system without events."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from goldseam.cli.console import PROBLEMS, REFUSED, UNREACHABLE, USAGE
from goldseam.runtime.outbox import Message, add
from tests.acceptance.commands import APP, Place, places

ORDERS = 12
STORE = ("--store", "sqlite:///shop.db")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, "sqlite:///broker.db")


@pytest.fixture(params=["embedded", "kafka"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    yield from places(request, tmp_path)


def pay(place: Place, *orders: str) -> None:
    """A plain program's own transaction: its row and the fact, with its own connection."""
    with closing(sqlite3.connect(place.folder / "shop.db", isolation_level=None)) as mine:
        mine.execute("BEGIN IMMEDIATE")
        mine.execute("CREATE TABLE IF NOT EXISTS paid (id TEXT PRIMARY KEY)")
        for order in orders:
            mine.execute("INSERT INTO paid VALUES (?)", (order,))
            fact = {"topic": place.topic, "key": order, "type": "order-paid"}
            add(mine, [Message(payload={"order": order}, **fact)])
        mine.execute("COMMIT")


def test_what_waits_is_said_and_flushed_as_the_application_would(anywhere: Place) -> None:
    """Before: all of it, exit code 1 on request. After: nothing, and `run` sends none again."""
    place = anywhere
    place.order(ORDERS)
    (before,) = place("outbox", "status", "--app", APP, "--json").json
    assert (0, ORDERS, None) == (before["position"], before["pending"], before["holder"])
    place("outbox", "status", *STORE, "--max-pending", str(ORDERS - 1), code=PROBLEMS)
    place("outbox", "status", *STORE, "--max-pending", str(ORDERS))
    flushed = place("outbox", "flush", "--app", APP, "--json").json
    assert {"relay": "main", "positions": [ORDERS]} == flushed
    (after,) = place("outbox", "status", *STORE, "--json").json
    assert (ORDERS, 0) == (after["position"], after["pending"])
    place("run", APP, "--once")
    assert ORDERS == place.count("invoices")
    account = place("ledger", APP, "--json").json["accounts"]
    assert (ORDERS, 0) == (account["on_topics"], account["resent"])


def test_flush_stands_back_while_the_application_relays(place: Place) -> None:
    """Exit code 4 and who relays; nothing is sent twice."""
    place.order(ORDERS)
    with place.start("run", APP) as process:
        place.until(lambda: place.count("invoices") == ORDERS, process)
        refused = place("outbox", "flush", "--app", APP, code=REFUSED)
        assert "another process leads" in refused.err
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert place("ledger", APP, "--json").json["balanced"]


def test_reshard_keeps_the_place_and_names_it(place: Place) -> None:
    """The new shards begin where the old one stood; a relay of another number is refused."""
    place.order(ORDERS)
    place("outbox", "flush", "--app", APP)
    done = place("outbox", "reshard", *STORE, "--shards", "4", "--json").json
    assert {"relay": "main", "shards": 4, "position": ORDERS} == done
    assert 4 == len(place("outbox", "status", *STORE, "--json").json)
    refused = place("outbox", "flush", "--app", APP, code=USAGE)
    assert "4" in refused.err


def test_what_a_topic_lost_is_sent_again(place: Place) -> None:
    """The ledger names it, rewind sends it under the same ids, nothing is billed twice."""
    place.order(ORDERS)
    place("run", APP, "--once")
    place.sql("DELETE FROM goldseam_records", file="broker.db")
    assert ORDERS == place("ledger", APP, "--json", code=PROBLEMS).json["accounts"]["missing"]
    done = place("outbox", "rewind", *STORE, "--to", "0", "--json").json
    assert {"relay": "main", "positions": [0]} == done
    place("run", APP, "--once")
    assert place("ledger", APP, "--json").json["balanced"]
    assert ORDERS == place.count("invoices")


def test_a_table_without_events_is_relayed_until_told_to_stop(anywhere: Place) -> None:
    """prepare, write in your own transaction, run, SIGTERM, status, prune."""
    place = anywhere
    place("outbox", "prepare", *STORE)
    pay(place, "o-1", "o-2", "o-3")
    waiting = place("outbox", "status", "--table", *STORE, "--json").json
    assert 3 == sum(one["pending"] for one in waiting)
    place("outbox", "status", "--table", *STORE, "--max-pending", "2", code=PROBLEMS)
    relaying = ("outbox", "run", *STORE, "--broker", place.broker, "--source", "/shop")
    with place.start(*relaying) as process:
        place.until(lambda: _relayed(place) == 3, process)
        pay(place, "o-4")
        place.until(lambda: _relayed(place) == 4, process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert (0, True) == (process.returncode, "running: relay outbox" in err), err
    assert {"pruned": 0} == place("outbox", "prune", *STORE, "--json").json
    assert {"pruned": 4} == place("outbox", "prune", *STORE, "--keep-seconds", "0", "--json").json
    tables = {name for (name,) in place.sql("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert "goldseam_events" not in tables, "no event store was asked for"


def _relayed(place: Place) -> int:
    rows = place.sql("SELECT sum(position) FROM goldseam_relay_checkpoints WHERE relay = 'outbox'")
    return int(rows[0][0] or 0)


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["status"], "GOLDSEAM_STORE", USAGE),
        (["flush", *STORE], "GOLDSEAM_BROKER", USAGE),
        (["status", "--app", APP, "--table"], "leave out --table", USAGE),
        (["status", "--app", "tests.acceptance.river_app:number"], "of a Goldseam", USAGE),
        (["reshard", *STORE], "--shards", USAGE),
        (["status", "--store", "postgresql://127.0.0.1:1/none"], "127.0.0.1", UNREACHABLE),
    ],
)
def test_wrong_usage_says_what_to_give(
    place: Place, words: list[str], said: str, code: int
) -> None:
    """One line with the next step; no stack trace."""
    done = place("outbox", *words, code=code)
    assert said in done.err
    assert "Traceback" not in done.err
