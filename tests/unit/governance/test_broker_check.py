"""Each rule of the broker check finds its own fault, and a safe cluster has none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec
import pytest

from goldseam.broker.port import Admin, Capabilities, Topic
from goldseam.broker.record import Partition
from goldseam.governance.broker_check import Needs, check_broker
from goldseam.governance.broker_rules import Finding
from goldseam.telemetry.signals import signals

DAY_SECONDS = 86_400.0
SAFE = {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}
ORDERS = Topic(name="orders", partitions=2, replication=3, config=SAFE)
CLUSTER = Capabilities(
    durable=True,
    replicated=True,
    static_membership=True,
    consumer_protocol=True,
    other_processes=True,
)
DISK_BYTES = 1_000


class Desk:
    """A cluster of three brokers that says what it is told to say."""

    def __init__(self, **says: Any) -> None:
        self._says = says

    async def topics(self) -> Mapping[str, Topic]:
        topic = self._says.get("topic", ORDERS)
        return {topic.name: topic}

    async def online(self) -> int:
        return int(self._says.get("online", 3))

    async def copies_in_sync(self) -> Mapping[Partition, tuple[int, int]]:
        return {Partition("orders", 0): (3, self._says.get("in_sync", 3))}

    async def broker_config(self) -> Mapping[int, Mapping[str, str]]:
        return {1: self._says.get("config", {})}


async def findings(
    desk: Desk | None = None, needs: Needs | None = None, capabilities: Capabilities = CLUSTER
) -> list[Finding]:
    """What is found, the worst first."""
    return await check_broker(cast(Admin, desk or Desk()), capabilities, needs or Needs())


def named(found: list[Finding]) -> list[tuple[str, str, str]]:
    """Severity, rule and subject of each."""
    return [(one.severity, one.rule, one.subject) for one in found]


async def test_a_safe_cluster_has_no_findings() -> None:
    """The control of all tests below; and the gauges are 0."""
    assert [] == await findings()
    assert 0 == signals.value("goldseam_broker_findings", severity="error")


@pytest.mark.parametrize(
    ("says", "finding"),
    [
        ({"online": 2}, ("error", "brokers-online", "cluster")),
        ({"in_sync": 2}, ("warning", "under-replicated", "orders/0")),
        (
            {"config": {"unclean.leader.election.enable": "true"}},
            ("error", "unclean-election", "broker 1"),
        ),
        (
            {"config": {"auto.create.topics.enable": "true"}},
            ("warning", "auto-create", "broker 1"),
        ),
        (
            {"config": {"offsets.topic.replication.factor": "1"}},
            ("error", "offsets-copies", "broker 1"),
        ),
    ],
    ids=str,
)
async def test_what_the_cluster_says(says: dict[str, Any], finding: tuple[str, str, str]) -> None:
    """One fault, one finding."""
    assert [finding] == named(await findings(Desk(**says)))


@pytest.mark.parametrize(
    ("replication", "config", "rule"),
    [
        (2, {"min.insync.replicas": "1"}, "replication-factor"),
        (3, {"min.insync.replicas": "1"}, "min-insync"),
        (3, {}, "min-insync"),
        (3, {"min.insync.replicas": "3"}, "min-insync"),
        (3, {**SAFE, "unclean.leader.election.enable": "true"}, "unclean-election"),
    ],
    ids=str,
)
async def test_a_topic_that_is_not_safe(
    replication: int, config: dict[str, str], rule: str
) -> None:
    """Too few copies, too few or too many that must answer, a stale copy that may lead."""
    topic = msgspec.structs.replace(ORDERS, replication=replication, config=config)
    assert ("error", rule, "orders") in named(await findings(Desk(topic=topic)))


@pytest.mark.parametrize(
    ("lag_days", "dedup_days", "rules"),
    [
        (3.4, 7.0, []),
        (3.6, None, ["retention-lag"]),
        (0.0, 6.9, ["retention-dedup"]),
        (3.6, 6.9, ["retention-dedup", "retention-lag"]),
    ],
)
async def test_retention_against_lag_and_memory(
    lag_days: float, dedup_days: float | None, rules: list[str]
) -> None:
    """Kept for Kafka's seven days: twice the lag must fit in, and the memory must outlast them."""
    dedup = None if dedup_days is None else dedup_days * DAY_SECONDS
    found = await findings(needs=Needs(lag_seconds=lag_days * DAY_SECONDS, dedup_seconds=dedup))
    assert rules == [one.rule for one in found]


async def test_only_the_named_topics_are_judged() -> None:
    """Others may be as they like; one that is named and is not there is an error."""
    unsafe = Desk(topic=msgspec.structs.replace(ORDERS, replication=1))
    found = await findings(unsafe, Needs(topics=["payments"]))
    assert [("error", "topic-missing", "payments")] == named(found)


async def test_a_topic_that_keeps_everything_outlives_any_lag() -> None:
    """retention.ms=-1 has nothing to hold against lag or memory."""
    topic = msgspec.structs.replace(ORDERS, config={**SAFE, "retention.ms": "-1"})
    needs = Needs(lag_seconds=1e9, dedup_seconds=1.0)
    assert [] == await findings(Desk(topic=topic), needs)


@pytest.mark.parametrize(
    ("free_bytes", "severities"),
    [(250, []), (249, ["warning"]), (100, ["warning"]), (99, ["error"])],
)
async def test_room_on_the_fullest_disk(free_bytes: int, severities: list[str]) -> None:
    """A quarter must be free; a tenth is an error."""
    found = await findings(needs=Needs(free_bytes=free_bytes, disk_bytes=DISK_BYTES))
    assert [(one, "disk-headroom") for one in severities] == [(f.severity, f.rule) for f in found]


async def test_a_broker_with_one_copy() -> None:
    """An error in production, a note in development; a topic that is missing is named."""
    single = msgspec.structs.replace(CLUSTER, replicated=False)
    found = await findings(needs=Needs(topics=["gone"]), capabilities=single)
    assert [("error", "not-replicated", "broker"), ("error", "topic-missing", "gone")] == named(
        found
    )
    found = await findings(needs=Needs(production=False), capabilities=single)
    assert ["note"] == [one.severity for one in found]


async def test_the_gauges_count_by_severity() -> None:
    """What the last check has found, to alert on."""
    await findings(Desk(online=2, in_sync=2))
    assert [1, 1, 0] == [
        signals.value("goldseam_broker_findings", severity=one)
        for one in ("error", "warning", "note")
    ]
