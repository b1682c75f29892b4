"""The dead letters as the batch sees them: which sequences are stopped, and what is added."""

from __future__ import annotations

from collections.abc import Sequence

from goldseam.consumers.dead_letters.letter import Letter
from goldseam.consumers.dead_letters.store import apply_tables, park, stopped
from goldseam.consumers.transaction import Parked
from goldseam.consumers.why import described, reason_of, trace_of
from goldseam.database.connection import Connection
from goldseam.resilience.clock import Clock


class Parking:
    """Dead letters of one consumer, kept in its own database."""

    def __init__(self, consumer: str) -> None:
        self._consumer = consumer

    @staticmethod
    async def make_tables(connection: Connection, clock: Clock) -> None:
        """Make or upgrade the tables of the dead letters."""
        await apply_tables(connection, clock)

    async def stopped(self, connection: Connection) -> frozenset[str]:
        """The sequences that are stopped now."""
        return await stopped(connection, self._consumer)

    async def park(self, connection: Connection, parked: Sequence[Parked], now_us: int) -> None:
        """Keep records, in the transaction of the batch."""
        await park(connection, [letter_of(self._consumer, one, now_us) for one in parked])


def letter_of(consumer: str, parked: Parked, now_us: int) -> Letter:
    """The letter for a record that failed, or waits behind one."""
    item, error = parked.item, parked.error
    record = item.record
    return Letter(
        consumer=consumer,
        sequence=item.sequence,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=record.headers,
        timestamp_ms=record.timestamp_ms,
        event_id=item.event_id,
        type=item.type,
        reason=reason_of(error),
        error_class="" if error is None else type(error).__name__,
        error="" if error is None else described(error, item.events),
        trace="" if error is None else trace_of(error),
        attempts=parked.attempts,
        first_failed_us=now_us,
        last_failed_us=now_us,
    )
