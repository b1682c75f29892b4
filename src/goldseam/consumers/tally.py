"""What one member has done: counted for its status and for the signals."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from goldseam.consumers.transaction import Parked
from goldseam.consumers.why import reason_of
from goldseam.telemetry.signals import signals


class Tally(msgspec.Struct):
    """Counts since the member started."""

    consumer: str
    applied: int = 0
    duplicates: int = 0
    retries: int = 0
    dead_lettered: int = 0
    fenced: int = 0
    rebalances: int = 0
    lost: int = 0
    """At-most-once only: records that were committed and whose handler failed."""

    def batch(self, applied: int, duplicates: int, parked: Sequence[Parked]) -> None:
        """One committed batch."""
        self.applied += applied
        self.show_applied(applied)
        self.again(duplicates)
        for one in parked:
            self.dead_lettered += 1
            reason = reason_of(one.error)
            signals.count("goldseam_dead_lettered_total", consumer=self.consumer, reason=reason)

    def show_applied(self, count: int) -> None:
        """Show in the signals what is counted here already."""
        if count:
            signals.count("goldseam_consumer_applied_total", count, consumer=self.consumer)

    def again(self, count: int) -> None:
        """Records that were recognised as applied."""
        self.duplicates += count
        if count:
            signals.count("goldseam_consumer_duplicates_total", count, consumer=self.consumer)

    def retried(self) -> None:
        """A batch that failed and is tried again."""
        self.retries += 1
        signals.count("goldseam_consumer_retries_total", consumer=self.consumer)

    def refused(self) -> None:
        """A batch of a partition that has moved."""
        self.fenced += 1
        signals.count("goldseam_consumer_fenced_total", consumer=self.consumer)

    def rebalanced(self) -> None:
        """Partitions were assigned."""
        self.rebalances += 1
        signals.count("goldseam_consumer_rebalances_total", consumer=self.consumer)
