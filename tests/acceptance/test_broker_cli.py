"""``goldseam broker``: check, create and capacity on the embedded broker and three real ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from goldseam.cli.console import PROBLEMS, UNREACHABLE, USAGE
from tests.acceptance.commands import APP, Place, places

ORDERS = 12


@pytest.fixture
def embedded(tmp_path: Path) -> Place:
    return Place(tmp_path, "sqlite:///broker.db")


@pytest.fixture(params=["kafka"])
def kafka(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    yield from places(request, tmp_path)


def rules(place: Place, *words: str, code: int = 0) -> dict[str, str]:
    """What `broker check` finds: rule to severity."""
    found = place("broker", "check", "--broker", place.broker, *words, "--json", code=code).json
    assert all(one["fact"] and one["cure"] for one in found)
    return {one["rule"]: one["severity"] for one in found}


def test_what_create_makes_passes_check(kafka: Place) -> None:
    """Three copies, two in sync; made once, and left alone the second time."""
    create = ("broker", "create", kafka.topic, "--broker", kafka.broker, "--partitions", "2")
    assert {"created": [kafka.topic], "there": []} == kafka(*create, "--json").json
    assert {"created": [], "there": [kafka.topic]} == kafka(*create, "--json").json
    assert f"{kafka.topic}: was there" in kafka(*create).out
    found = rules(kafka, "--topic", kafka.topic, code=0)
    assert "error" not in found.values()


def test_a_topic_that_can_lose_events_is_an_error(kafka: Place) -> None:
    """One copy and one in sync, made by somebody else: exit code 1, each with its cure."""
    desk = AdminClient({"bootstrap.servers": kafka.broker.partition("://")[2]})
    desk.create_topics([NewTopic(kafka.topic, 1, 1)])[kafka.topic].result(30)
    found = rules(kafka, "--topic", kafka.topic, code=PROBLEMS)
    assert "error" == found["replication-factor"]
    spoken = kafka("broker", "check", "--broker", kafka.broker, "--topic", kafka.topic, code=1)
    assert f"{kafka.topic}: 1 copies" in spoken.out
    assert "do: " in spoken.out


def test_retention_is_held_against_lag_and_memory(kafka: Place) -> None:
    """Kept a week: a consumer five days behind or one that forgets after a day is an error."""
    kafka("broker", "create", kafka.topic, "--broker", kafka.broker)
    chosen = ("--topic", kafka.topic)
    behind = rules(kafka, *chosen, "--lag-seconds", str(5 * 86_400), code=PROBLEMS)
    forgets = rules(kafka, *chosen, "--dedup-days", "1", code=PROBLEMS)
    assert ("error", "error") == (behind["retention-lag"], forgets["retention-dedup"])
    assert "retention-dedup" not in rules(kafka, *chosen, "--dedup-days", "30")


def test_an_application_says_what_its_consumers_need(embedded: Place) -> None:
    """With --app the broker, the topics, the lag and the memory are the application's own."""
    embedded.order(ORDERS)
    embedded("run", APP, "--only", "relay", "--once")
    check = ("broker", "check", "--app", APP, "--development", "--json")
    assert ["not-replicated"] == [one["rule"] for one in embedded(*check).json]
    short = '{"retention.ms":"1"}'
    embedded.sql("UPDATE goldseam_topics SET config = ?", short, file="broker.db")
    found = {one["rule"]: one["severity"] for one in embedded(*check, code=PROBLEMS).json}
    assert {"retention-lag": "error", "not-replicated": "note"} == found


def test_the_embedded_broker_is_for_development(embedded: Place) -> None:
    """One copy: an error, or a note where that was said; a topic that is missing is named."""
    embedded.order(ORDERS)
    embedded("run", APP, "--once")
    assert {"not-replicated": "error"} == rules(embedded, code=PROBLEMS)
    assert {"not-replicated": "note"} == rules(embedded, "--development")
    missing = rules(embedded, "--development", "--topic", "nowhere", code=PROBLEMS)
    assert "error" == missing["topic-missing"]
    made = embedded("broker", "create", "nowhere", "--broker", embedded.broker, "--json").json
    assert ["nowhere"] == made["created"]
    rules(embedded, "--development", "--topic", "nowhere")


def test_headroom_is_judged_when_it_is_told(embedded: Place) -> None:
    """A tenth of the disk free is too little; one figure without the other is wrong usage."""
    full = ("--development", "--disk-bytes", "1000", "--free-bytes")
    assert "error" == rules(embedded, *full, "50", code=PROBLEMS)["disk-headroom"]
    assert "warning" == rules(embedded, *full, "200")["disk-headroom"]
    assert "disk-headroom" not in rules(embedded, *full, "900")
    alone = ("broker", "check", "--broker", embedded.broker, "--free-bytes", "1")
    assert "belong together" in embedded(*alone, code=USAGE).err


def test_capacity_is_measured_and_judged(embedded: Place) -> None:
    """What is stored is counted; how long it lasts needs the free space, and exit code 1 warns."""
    embedded.order(ORDERS)
    embedded("run", APP, "--once")
    look = ("broker", "capacity", "--broker", embedded.broker, "--over", "0.1", "--json")
    found = embedded(*look).json
    (topic,) = (one for one in found["topics"] if one["topic"] == embedded.topic)
    assert (0, ORDERS * topic["record_bytes"]) == (
        topic["records_per_second"], pytest.approx(topic["bytes_now"]),
    )  # fmt: skip
    assert found["verdict"].startswith("unknown")
    assert embedded(*look, "--free-bytes", "1000000").json["verdict"].startswith("ok")


def test_capacity_warns_while_the_disk_fills(embedded: Place) -> None:
    """Events arrive between the two looks and next to no space is left: exit code 1."""
    embedded("broker", "create", embedded.topic, "--broker", embedded.broker)
    look = ("broker", "capacity", "--broker", embedded.broker, "--over", "4", "--free-bytes", "1")
    with embedded.start(*look) as measuring:
        embedded.order(ORDERS)
        embedded("run", APP, "--only", "relay", "--once")
        out, err = measuring.communicate(timeout=60)
    assert PROBLEMS == measuring.returncode, out + err
    assert "act: full in" in out


@pytest.mark.parametrize("verb", [["check"], ["create", "some"], ["capacity"]])
def test_without_a_broker_it_says_how_to_give_one(embedded: Place, verb: list[str]) -> None:
    """Exit code 2 without a URL or with one of a kind that is unknown."""
    assert "GOLDSEAM_BROKER" in embedded("broker", *verb, code=USAGE).err
    done = embedded("broker", *verb, "--broker", "pigeon://x", code=USAGE)
    assert "there is a broker for" in done.err


@pytest.mark.soak
def test_a_broker_that_does_not_answer_is_exit_code_3(embedded: Place) -> None:
    """After the client's own patience; one line on stderr says which and what to do."""
    done = embedded("broker", "check", "--broker", "kafka://127.0.0.1:1", code=UNREACHABLE)
    assert "goldseam: " in done.err
    assert "Traceback" not in done.err


def test_an_embedded_broker_whose_database_is_away_is_exit_code_3(embedded: Place) -> None:
    """The broker is a database then, and its error the database's."""
    away = "postgresql://127.0.0.1:1/none"
    done = embedded("broker", "check", "--broker", away, code=UNREACHABLE)
    assert "Traceback" not in done.err
