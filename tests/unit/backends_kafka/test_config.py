"""What the settings promise, and that nobody can take a promise back."""

from __future__ import annotations

import pytest

from goldseam.backends.kafka import open_broker
from goldseam.backends.kafka.config import checked, for_consumer, for_producer
from goldseam.broker.port import Membership
from goldseam.errors import InvalidInput


def test_a_producer_is_idempotent_and_waits_for_all_copies() -> None:
    """Tuning is taken over, the promises stay."""
    config = for_producer("here:1", "relay", {"linger.ms": "7"})
    assert (True, "all", "7") == (
        config["enable.idempotence"],
        config["acks"],
        config["linger.ms"],
    )


@pytest.mark.parametrize(
    "name",
    [
        "acks",
        "request.required.acks",
        "enable.idempotence",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "isolation.level",
        "group.instance.id",
        "transactional.id",
        "bootstrap.servers",
    ],
)
def test_a_promise_cannot_be_overridden(name: str) -> None:
    """A setting that a promise rests on is refused by its name, in a mapping and in a URL."""
    with pytest.raises(InvalidInput, match=name):
        checked({name: "1"})
    with pytest.raises(InvalidInput, match=name):
        open_broker(f"kafka://here:1?{name}=1")


@pytest.mark.parametrize("value", ["0", "00", ""])
@pytest.mark.parametrize("name", ["delivery.timeout.ms", "message.timeout.ms"])
def test_a_delivery_cannot_wait_for_ever(name: str, value: str) -> None:
    """0 is the client's word for that; nobody would hear of an outage."""
    with pytest.raises(InvalidInput, match=f"{name}.*above 0"):
        checked({name: value})
    assert {name: "1500"} == checked({name: "1500"})


def test_a_refusal_does_not_show_the_value() -> None:
    """What stands in a setting may be a secret."""
    with pytest.raises(InvalidInput) as caught:
        checked({"acks": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_the_classic_protocol_has_the_members_session() -> None:
    """Heartbeats are a third of the session; partitions move cooperatively."""
    config = for_consumer("here:1", Membership(group="g", session_seconds=9.0), {})
    assert (9000, 3000, "cooperative-sticky", "classic") == (
        config["session.timeout.ms"],
        config["heartbeat.interval.ms"],
        config["partition.assignment.strategy"],
        config["group.protocol"],
    )


def test_the_newer_protocol_leaves_the_session_to_the_broker() -> None:
    """librdkafka would refuse the client's own numbers."""
    extra = {"session.timeout.ms": "5000"}
    config = for_consumer("here:1", Membership(group="g", protocol="consumer"), extra)
    names = {"session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"}
    assert set() == names & set(config)
    assert "consumer" == config["group.protocol"]


@pytest.mark.parametrize("instance", [None, "ledger-0"])
def test_a_static_member_says_its_name(instance: str | None) -> None:
    """Without a name the member is dynamic."""
    config = for_consumer("here:1", Membership(group="g", instance=instance), {})
    assert instance == config.get("group.instance.id")


def test_the_url_that_is_shown_has_no_settings() -> None:
    """The query may hold what should not be in a log."""
    assert "kafka://here:1" == open_broker("kafka://here:1?sasl.password=hunter2").url


@pytest.mark.parametrize("url", ["kafka:?sasl.password=hunter2", "kafka://me:hunter2@here:1"])
def test_a_url_that_is_refused_is_not_shown(url: str) -> None:
    """A wrong URL may hold a password as well as a right one."""
    with pytest.raises(InvalidInput) as caught:
        open_broker(url)
    assert "hunter2" not in str(caught.value)
