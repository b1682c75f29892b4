"""The rules of the broker check that judge one topic, or one disk, by what is known of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from goldseam.broker.port import Topic

REPLICATION_MIN = 3
IN_SYNC_MIN = 2
RETENTION_CONFIG = "retention.ms"
RETENTION_DEFAULT_MS = 604_800_000
LAG_HEADROOM = 2.0
"""A topic must keep records at least so many times as long as the slowest consumer is behind."""

HEADROOM_ERROR = 0.10
HEADROOM_WARNING = 0.25
"""The free part of the fullest disk. Deleted segments keep their room for another minute, and a
broker that comes back copies what it has missed."""

MS_PER_SECOND = 1_000
MS_PER_DAY = 86_400_000

Severity = Literal["error", "warning", "note"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that is not as it should be."""

    severity: Severity
    rule: str
    subject: str
    fact: str
    cure: str


def judge_copies(topic: Topic) -> list[Finding]:
    """Enough of them, enough in sync, and none that lags may lead."""
    found = []
    if topic.replication < REPLICATION_MIN:
        found.append(
            Finding(
                "error", "replication-factor", topic.name,
                f"{topic.replication} copies, at least {REPLICATION_MIN} are needed",
                "reassign its partitions to three brokers (kafka-reassign-partitions)",
            )
        )  # fmt: skip
    in_sync = int(topic.config.get("min.insync.replicas") or 1)
    if in_sync < IN_SYNC_MIN:
        found.append(
            Finding(
                "error", "min-insync", topic.name,
                f"min.insync.replicas={in_sync}: acks=all is satisfied by one copy",
                f"set min.insync.replicas={IN_SYNC_MIN}",
            )
        )  # fmt: skip
    elif in_sync >= topic.replication:
        found.append(
            Finding(
                "error", "min-insync", topic.name,
                f"min.insync.replicas={in_sync} of {topic.replication} copies: writes stop when "
                "one broker is down",
                f"set min.insync.replicas={topic.replication - 1}",
            )
        )  # fmt: skip
    if topic.config.get("unclean.leader.election.enable") == "true":
        found.append(
            Finding(
                "error", "unclean-election", topic.name,
                "unclean.leader.election.enable=true: a copy that lags may become the truth",
                "set unclean.leader.election.enable=false",
            )
        )  # fmt: skip
    return found


def judge_retention(topic: Topic, lag_seconds: float, dedup_seconds: float | None) -> list[Finding]:
    """Records must outlive the lag, and not the consumers' memory of their ids."""
    kept_ms = int(topic.config.get(RETENTION_CONFIG) or RETENTION_DEFAULT_MS)
    if kept_ms < 0:
        return []
    found = []
    needed_ms = lag_seconds * MS_PER_SECOND * LAG_HEADROOM
    if kept_ms < needed_ms:
        found.append(
            Finding(
                "error", "retention-lag", topic.name,
                f"keeps records {kept_ms / MS_PER_DAY:.2f} days, its slowest consumer is "
                f"{lag_seconds / 86_400:.2f} days behind",
                "raise retention.ms now, or records expire unread; then scale the consumer",
            )
        )  # fmt: skip
    if dedup_seconds is not None and dedup_seconds * MS_PER_SECOND < kept_ms:
        found.append(
            Finding(
                "error", "retention-dedup", topic.name,
                f"keeps records {kept_ms / MS_PER_DAY:.2f} days, consumers remember ids "
                f"{dedup_seconds / 86_400:.2f} days: a late redelivery is applied twice",
                "lower retention.ms or raise the consumers' retention_seconds",
            )
        )  # fmt: skip
    return found


def judge_headroom(free_bytes: int | None, disk_bytes: int | None) -> list[Finding]:
    """Room on the fullest disk; nothing is found when nobody looked."""
    if free_bytes is None or not disk_bytes:
        return []
    part = free_bytes / disk_bytes
    if part >= HEADROOM_WARNING:
        return []
    return [
        Finding(
            "error" if part < HEADROOM_ERROR else "warning", "disk-headroom", "cluster",
            f"{free_bytes} of {disk_bytes} bytes ({part:.0%}) are free on the fullest "
            "disk: a broker whose disk is full ends",
            "lower retention.ms of the largest topics or add disk; then goldseam broker capacity",
        )
    ]  # fmt: skip
