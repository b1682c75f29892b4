"""Checked at start: can the declared mode be kept with this database and these topics?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from goldseam.broker.port import Topic
from goldseam.consumers.consumer import Consumer
from goldseam.consumers.errors import ConsumerError, ModeRefused, RetentionTooShort
from goldseam.consumers.modes import DedupTable, EffectivelyOnce, IdempotencyKey, Watermark
from goldseam.database.connection import Database

SECONDS_PER_DAY = 86_400.0
RETENTION_CONFIG = "retention.ms"
RETENTION_DEFAULT_MS = 604_800_000
"""What Kafka keeps when nothing is said: seven days."""


def check_database(consumer: Consumer, database: Database | None) -> None:
    """Whether the mode has the database it needs.

    Raises:
        ModeRefused: it has none.
    """
    mode = consumer.mode
    if database is not None:
        return
    if isinstance(mode, EffectivelyOnce):
        raise ModeRefused(
            consumer.name, mode.name,
            "its effects, dedup records and offsets commit in one transaction, and it was given "
            "no database that has any",
            "give it one, or declare mode = AtLeastOnce()",
        )  # fmt: skip
    if consumer.tables or getattr(mode, "dedup", None) is not None:
        raise ModeRefused(
            consumer.name, mode.name, "its tables or keys need a database", "give it one"
        )


def remembered_by(consumer: Consumer) -> DedupTable | IdempotencyKey | None:
    """How the consumer remembers event ids; None when it does not, or by watermark."""
    dedup = getattr(consumer.mode, "dedup", None)
    return None if isinstance(dedup, Watermark) else dedup


def retention_seconds(consumer: Consumer, topics: Mapping[str, Topic]) -> float | None:
    """How long event ids must be remembered; None: for ever, or they are not.

    A record can be delivered again as long as its topic keeps it, and a dead letter until its
    last day of redrive: both together.

    Raises:
        RetentionTooShort: the consumer declares less than that.
    """
    how = remembered_by(consumer)
    if how is None:
        return None
    kept = [_kept_seconds(topics[name]) for name in consumer.topics if name in topics]
    needs: float | None = how.redrive_days * SECONDS_PER_DAY
    for seconds in kept:
        needs = None if needs is None or seconds is None else max(
            needs, seconds + how.redrive_days * SECONDS_PER_DAY
        )  # fmt: skip
    declared = how.retention_seconds
    if declared is None:
        return needs
    if needs is None or declared < needs:
        raise RetentionTooShort(consumer.name, declared, needs)
    return declared


def check_topics(consumer: Consumer, topics: Mapping[str, Topic]) -> None:
    """Whether the topics are there.

    Raises:
        ConsumerError: one is not.
    """
    missing: Sequence[str] = sorted(set(consumer.topics) - set(topics))
    if missing:
        raise ConsumerError(
            f"consumer {consumer.name!r}: the broker has no topic {', '.join(missing)}; create it "
            f"with: goldseam broker create {' '.join(missing)}"
        )


def _kept_seconds(topic: Topic) -> float | None:
    """How long a topic keeps a record; None: for ever."""
    kept_ms = int(topic.config.get(RETENTION_CONFIG, RETENTION_DEFAULT_MS))
    compacted = "compact" in topic.config.get("cleanup.policy", "delete").split(",")
    return None if kept_ms < 0 or compacted else kept_ms / 1_000
