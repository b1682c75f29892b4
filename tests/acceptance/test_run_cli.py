"""``goldseam run``: everything at once or in parts, until it has caught up or is told to stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from goldseam.cli.console import UNREACHABLE, USAGE
from tests.acceptance.commands import APP, Place, places
from tests.acceptance.river_app import POISON_CENTS

ORDERS = 30


@pytest.fixture(params=["embedded", "kafka"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    yield from places(request, tmp_path)


@pytest.fixture
def embedded(tmp_path: Path) -> Place:
    return Place(tmp_path, "sqlite:///broker.db")


def test_once_relays_projects_and_applies_what_there_is(place: Place) -> None:
    """One process, all parts: rows and invoices are complete when it ends by itself."""
    place.order(ORDERS)
    done = place("run", APP, "--once", "--json")
    assert done.json["stopped_in_time"]
    assert {"pending": 0, "position": ORDERS}.items() <= done.json["relay"][0].items()
    assert 0 == done.json["projections"]["placed"]["events"]
    assert {} == done.json["failures"]
    assert (ORDERS, ORDERS) == (place.count("placed"), place.count("invoices"))
    again = place("run", APP, "--once", "--json")
    assert again.json["stopped_in_time"]
    assert ORDERS == place.count("invoices")


def test_only_divides_the_parts_over_processes(embedded: Place) -> None:
    """Each process does its part, waits for nobody else's, and ends."""
    embedded.order(ORDERS)
    relayed = embedded("run", APP, "--only", "relay", "--once", "--json")
    assert ORDERS == relayed.json["relay"][0]["position"]
    assert (0, 0) == (embedded.count("placed"), embedded.count("invoices"))
    embedded("run", APP, "--only", "consumers", "--once")
    assert (0, ORDERS) == (embedded.count("placed"), embedded.count("invoices"))
    embedded("run", APP, "--only", "projections", "--once")
    assert (ORDERS, ORDERS) == (embedded.count("placed"), embedded.count("invoices"))


def test_sigterm_ends_it_in_good_order(place: Place) -> None:
    """Exit code 0, the whole status told, the lease given back: the next one goes on at once."""
    place.order(ORDERS)
    with place.start("run", APP, "--json") as process:
        place.until(lambda: place.count("invoices") == ORDERS, process)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert 0 == process.returncode, err
    assert '"stopped_in_time": true' in out
    assert "relay" in err.partition("running:")[2]
    place.order(ORDERS)
    place("run", APP, "--once")
    assert 2 * ORDERS == place.count("invoices")


def test_a_second_process_stands_by_and_takes_over(embedded: Place) -> None:
    """Two at once: one relays, both end cleanly, and each order has one invoice."""
    embedded.order(ORDERS)
    with embedded.start("run", APP) as first, embedded.start("run", APP) as second:
        embedded.until(lambda: embedded.count("invoices") == ORDERS, first)
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=30)
        embedded.order(ORDERS)
        embedded.until(lambda: embedded.count("invoices") == 2 * ORDERS, second)
        second.send_signal(signal.SIGTERM)
        second.communicate(timeout=30)
    assert (0, 0) == (first.returncode, second.returncode)


def test_once_waits_for_redrives_that_were_asked_for(embedded: Place) -> None:
    """Parked is caught up; a letter that somebody wants redriven is not, until it is applied."""
    embedded.order(3)
    embedded.order(1, cents=POISON_CENTS)
    embedded("run", APP, "--once")
    assert 3 == embedded.count("invoices")
    wanted = ("--consumer", embedded.consumer, "--by", "ann", "--reason", "mended")
    embedded("dlq", "redrive", *wanted, "--store", "sqlite:///shop.db")
    embedded.environment["RIVER_MENDED"] = "yes"
    embedded("run", APP, "--once")
    assert 4 == embedded.count("invoices")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere:app"], "cannot be imported"),
        (["tests.acceptance.river_app:nothing"], "no attribute"),
        (["tests.acceptance.river_app:number"], "not module:attribute of a Goldseam"),
        (["tests.acceptance.river_app"], "is not module:attribute"),
        ([APP, "--only", "relays"], "is not one of"),
        ([APP, "--broker", "carrier-pigeon://x"], "carrier-pigeon"),
    ],
)
def test_what_it_cannot_run_is_a_usage_error(embedded: Place, words: list[str], said: str) -> None:
    """Exit code 2 and what is wrong; no stack trace."""
    done = embedded("run", *words, "--once", code=USAGE)
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_store_that_is_not_there_is_exit_code_3(embedded: Place) -> None:
    """Before anything is started."""
    done = embedded(
        "run", APP, "--store", "postgresql://127.0.0.1:1/none", "--once", code=UNREACHABLE
    )
    assert "Traceback" not in done.err


def test_an_application_with_nothing_to_run_says_so(embedded: Place) -> None:
    """It does not sit there in silence."""
    done = embedded("run", "tests.acceptance.river_app:silent", "--once")
    assert "nothing" in done.err


@pytest.mark.soak
def test_a_dead_broker_is_waited_for_and_said(embedded: Place) -> None:
    """The projections go on; the relay says why it does not, and stops when told to."""
    embedded.order(ORDERS)
    with embedded.start("run", APP, "--broker", "kafka://127.0.0.1:1") as process:
        embedded.until(lambda: embedded.count("placed") == ORDERS, process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode in (0, 1), err
    assert "Traceback" not in err
