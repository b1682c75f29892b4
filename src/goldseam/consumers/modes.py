"""The delivery modes a consumer may declare, and the ways to recognise what was applied already.

From the guide, "What You Can Achieve" and "Idempotency Patterns". A mode is checked when the
consumer starts; there is no mode that cannot be kept.
"""

from __future__ import annotations

from typing import Literal

import msgspec

REDRIVE_DAYS_MAX = 30.0
"""How long a dead letter may wait for its redrive and still be recognised."""

CONCURRENCY_MAX = 1_000
"""Handlers of one member that may wait at once."""

Gaps = Literal["park", "allow"]


class DedupTable(msgspec.Struct, frozen=True, kw_only=True):
    """Pattern 3: ``processed_events``, written in the transaction of the effect.

    ``retention_seconds``: how long an id is remembered; derived from the topics' retention and
    ``redrive_days`` unless said, and refused at start when it is shorter than that.
    """

    retention_seconds: float | None = None
    redrive_days: float = REDRIVE_DAYS_MAX


class Watermark(msgspec.Struct, frozen=True, kw_only=True):
    """One row for each stream: the last version applied. For topics that come from a store.

    A version at or below it is a duplicate, the next one is applied. ``gaps``: a later one is
    parked and stops its stream, or is allowed where the topic does not carry every type.
    """

    gaps: Gaps = "park"


class IdempotencyKey(msgspec.Struct, frozen=True, kw_only=True):
    """Pattern 1: look the key up before, remember it after; effect and key are two steps.

    A crash between the two repeats the effect: hand the key (the event id) on to whatever the
    handler calls.
    """

    retention_seconds: float | None = None
    redrive_days: float = REDRIVE_DAYS_MAX


class AtMostOnce(msgspec.Struct, frozen=True):
    """Commit before handling: what fails or crashes is lost. For what may be lost."""

    name: Literal["at-most-once"] = "at-most-once"


class AtLeastOnce(msgspec.Struct, frozen=True, kw_only=True):
    """Commit after handling: a crash repeats. For handlers whose effect is elsewhere.

    ``concurrency``: records of so many different keys at once; the same key stays in order.
    ``dedup``: None for handlers that are idempotent by themselves (pattern 2: set, do not add).
    """

    name: Literal["at-least-once"] = "at-least-once"
    concurrency: int = 1
    dedup: IdempotencyKey | None = None


class EffectivelyOnce(msgspec.Struct, frozen=True, kw_only=True):
    """Effect, dedup record and offset commit in one transaction of the target database."""

    name: Literal["effectively-once"] = "effectively-once"
    dedup: DedupTable | Watermark = DedupTable()


Mode = AtMostOnce | AtLeastOnce | EffectivelyOnce
