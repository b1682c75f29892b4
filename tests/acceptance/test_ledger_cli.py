"""``goldseam ledger``: a whole river balances; what is lost or doubled is named by its id."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from goldseam.cli.console import PROBLEMS, USAGE
from tests.acceptance.commands import APP, Place
from tests.acceptance.river_app import POISON_CENTS

ORDERS = 12


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Twelve orders, relayed and billed."""
    found = Place(tmp_path, "sqlite:///broker.db")
    found.order(ORDERS)
    found("run", APP, "--once")
    return found


def event_at(place: Place, position: int) -> str:
    rows = place.sql("SELECT id FROM goldseam_events WHERE position = ?", position)
    return str(UUID(bytes=rows[0][0]))


def record_of(place: Place, position: int) -> tuple[int, int]:
    """Where on the topic the event is."""
    rows = place.sql(
        "SELECT number, record_offset, headers FROM goldseam_records", file="broker.db"
    )
    mark = b"%020d" % position
    return next((number, offset) for number, offset, headers in rows if mark in headers)


def test_what_is_whole_balances(place: Place) -> None:
    """Exit code 0, and the three counts agree."""
    done = place("ledger", APP, "--json").json
    (consumer,) = done["consumers"]
    assert done["balanced"]
    assert [ORDERS] * 4 == [
        done["accounts"]["in_log"], done["accounts"]["on_topics"],
        consumer["owed"], consumer["applied"],
    ]  # fmt: skip
    assert "the ledger balances" in place("ledger", APP).out


def test_a_record_that_is_gone_from_the_topic_is_named(place: Place) -> None:
    """Somebody deleted it on the broker: exit code 1 and the event's id."""
    lost, whereabouts = event_at(place, 5), record_of(place, 5)
    place.sql(
        "DELETE FROM goldseam_records WHERE number = ? AND record_offset = ?", *whereabouts,
        file="broker.db",
    )  # fmt: skip
    done = place("ledger", APP, "--json", code=PROBLEMS).json
    assert (1, [lost]) == (done["accounts"]["missing"], done["accounts"]["missing_ids"])
    spoken = place("ledger", APP, code=PROBLEMS).out
    assert f"missing on the topics: {lost}" in spoken
    assert "THE LEDGER DOES NOT BALANCE" in spoken


def test_an_effect_that_is_missing_is_named(place: Place) -> None:
    """The consumer's memory of an event is gone though its offset is past it."""
    lost = event_at(place, 7)
    place.sql("DELETE FROM goldseam_processed_events WHERE event_id = ?", lost)
    done = place("ledger", APP, "--json", code=PROBLEMS).json
    assert [(1, [lost])] == [(one["missing"], one["missing_ids"]) for one in done["consumers"]]
    assert f"not applied by {place.consumer}: {lost}" in place("ledger", APP, code=PROBLEMS).out


def test_an_event_that_is_applied_and_parked_is_named_as_doubled(place: Place) -> None:
    """A letter is waiting, and somebody books its event as applied: redriving would double it."""
    place.order(1, cents=POISON_CENTS)
    place("run", APP, "--once")
    parked = event_at(place, ORDERS + 1)
    assert place("ledger", APP, "--json").json["balanced"], "a letter that waits is no loss"
    place.sql("INSERT INTO goldseam_processed_events VALUES (?, ?, 1)", place.consumer, parked)
    done = place("ledger", APP, "--json", code=PROBLEMS).json
    assert [(1, [parked])] == [(one["doubled"], one["doubled_ids"]) for one in done["consumers"]]
    words = f"applied and parked by {place.consumer}: {parked}"
    assert words in place("ledger", APP, code=PROBLEMS).out


def test_what_was_sent_twice_is_counted_and_balances(place: Place) -> None:
    """A second delivery is no fault: consumers know ids. It is told all the same."""
    number, offset = record_of(place, 3)
    place.sql(
        "INSERT INTO goldseam_records SELECT topic, number, (SELECT high FROM goldseam_partitions p"
        " WHERE p.topic = r.topic AND p.number = r.number), record_key, value, headers,"
        " timestamp_ms, stored_ms FROM goldseam_records r WHERE number = ? AND record_offset = ?",
        number, offset, file="broker.db",
    )  # fmt: skip
    place.sql(
        "UPDATE goldseam_partitions SET high = high + 1 WHERE topic = ? AND number = ?",
        place.topic, number, file="broker.db",
    )  # fmt: skip
    place("run", APP, "--once")
    done = place("ledger", APP, "--json").json
    assert (True, [event_at(place, 3)]) == (done["balanced"], done["accounts"]["resent_ids"])
    assert ORDERS == place.count("invoices")


def test_what_is_newer_than_the_relay_is_not_owed(place: Place) -> None:
    """Lag is not loss."""
    place.order(3)
    done = place("ledger", APP, "--json").json
    assert (True, ORDERS) == (done["balanced"], done["accounts"]["in_log"])


def test_an_application_that_relays_nothing_has_no_ledger(place: Place) -> None:
    """Exit code 2 and why."""
    done = place("ledger", "tests.acceptance.river_app:silent", code=USAGE)
    assert "relays nothing" in done.err
