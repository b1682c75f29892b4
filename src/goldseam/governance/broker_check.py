"""Is this broker fit to lose nothing? Findings with what is, why it matters, and what to do.

From the guide, "Broker-Side Failures": replication factor >= 3, min.insync.replicas, retention
against the slowest consumer and the dedup window, room on the disks. Raising min.insync.replicas
makes acknowledged records safer and the topic *less* available: with one copy fewer than asked,
writes wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from goldseam.broker.port import Admin, Capabilities
from goldseam.broker.record import Partition
from goldseam.governance.broker_rules import (
    REPLICATION_MIN,
    Finding,
    Severity,
    judge_copies,
    judge_headroom,
    judge_retention,
)
from goldseam.telemetry.signals import signals

BROKERS_MIN = 3


class ClusterDesk(Protocol):
    """What a cluster can tell beyond the port's Admin; the embedded broker has none of it."""

    async def online(self) -> int:
        """How many brokers answer."""
        ...

    async def copies_in_sync(self) -> Mapping[Partition, tuple[int, int]]:
        """Copies of each partition, and how many of them are in sync."""
        ...

    async def broker_config(self) -> Mapping[int, Mapping[str, str]]:
        """The settings of each broker."""
        ...


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What this system needs of its broker.

    ``dedup_seconds``: how long consumers remember event ids; None for ever.
    ``lag_seconds``: how far the slowest consumer is behind. ``production``: a broker without
    copies is an error, not a note. ``free_bytes`` and ``disk_bytes``: of the fullest disk, as `df`
    tells them on the broker; None when nobody looked. The Kafka client cannot ask for them: its
    AdminClient has no DescribeLogDirs.
    """

    topics: Sequence[str] = ()
    dedup_seconds: float | None = None
    lag_seconds: float = 0.0
    production: bool = True
    free_bytes: int | None = None
    disk_bytes: int | None = None


async def check_broker(admin: Admin, capabilities: Capabilities, needs: Needs) -> list[Finding]:
    """Judge the broker and its topics.

    Raises:
        BrokerUnreachable: it does not answer.
    """
    found: list[Finding] = []
    topics = await admin.topics()
    wanted = needs.topics or topics
    chosen = [topic for name, topic in topics.items() if name in wanted]
    found += [_missing(name) for name in needs.topics if name not in topics]
    if not capabilities.replicated:
        found.append(_single(production=needs.production))
    else:
        found += await _cluster(admin)  # type: ignore[arg-type]  # what is replicated has such a desk
        for topic in chosen:
            found += judge_copies(topic)
    for topic in chosen:
        found += judge_retention(topic, needs.lag_seconds, needs.dedup_seconds)
    found += judge_headroom(needs.free_bytes, needs.disk_bytes)
    _show(found)
    return sorted(found, key=lambda one: (_ORDER[one.severity], one.rule, one.subject))


_ORDER: Mapping[Severity, int] = {"error": 0, "warning": 1, "note": 2}


def _missing(name: str) -> Finding:
    return Finding(
        "error", "topic-missing", name, "the topic is not there", f"goldseam broker create {name}"
    )


def _single(*, production: bool) -> Finding:
    return Finding(
        "error" if production else "note",
        "not-replicated",
        "broker",
        "this broker keeps one copy of each record",
        "fine for development; use a Kafka cluster of three brokers in production",
    )


async def _cluster(desk: ClusterDesk) -> list[Finding]:
    found = []
    online = await desk.online()
    if online < BROKERS_MIN:
        found.append(
            Finding(
                "error", "brokers-online", "cluster",
                f"{online} broker(s) answer, at least {BROKERS_MIN} are needed",
                "start the missing ones; with fewer, the loss of one stops writes or loses records",
            )
        )  # fmt: skip
    for place, (copies, in_sync) in sorted((await desk.copies_in_sync()).items()):
        if in_sync < copies:
            found.append(
                Finding(
                    "warning", "under-replicated", f"{place.topic}/{place.number}",
                    f"{in_sync} of {copies} copies are in sync",
                    "look at the brokers that lag behind or are down",
                )
            )  # fmt: skip
    for number, config in sorted((await desk.broker_config()).items()):
        found += _broker_settings(number, config)
    return found


def _broker_settings(number: int, config: Mapping[str, str]) -> list[Finding]:
    found = []
    subject = f"broker {number}"
    if config.get("unclean.leader.election.enable") == "true":
        found.append(
            Finding(
                "error", "unclean-election", subject,
                "unclean.leader.election.enable=true: a copy that lags may become the truth",
                "set unclean.leader.election.enable=false",
            )
        )  # fmt: skip
    if config.get("auto.create.topics.enable") == "true":
        found.append(
            Finding(
                "warning", "auto-create", subject,
                "auto.create.topics.enable=true: a misspelled topic is made with default settings",
                "set auto.create.topics.enable=false",
            )
        )  # fmt: skip
    copies = int(config.get("offsets.topic.replication.factor") or REPLICATION_MIN)
    if copies < REPLICATION_MIN:
        found.append(
            Finding(
                "error", "offsets-copies", subject,
                f"offsets.topic.replication.factor={copies}: consumers' offsets can be lost",
                f"set it to {REPLICATION_MIN} and raise the copies of __consumer_offsets",
            )
        )  # fmt: skip
    return found


def _show(found: Sequence[Finding]) -> None:
    for severity in _ORDER:
        count = sum(one.severity == severity for one in found)
        signals.gauge("goldseam_broker_findings", count, severity=severity)
