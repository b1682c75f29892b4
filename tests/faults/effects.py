"""A consumer whose effects can be counted one by one, and what another client's SQL counts."""

from __future__ import annotations

from collections import Counter

from goldseam import Recorded
from goldseam.consumers.connection import ConsumerConnection
from goldseam.consumers.consumer import Consumer
from goldseam.consumers.handlers import handles
from goldseam.consumers.modes import Mode
from tests.crashes.outside import query
from tests.support.ticks import Ticked

GROUP = "effects"


def effects_of(topic: str, consumer_mode: Mode) -> Consumer:
    """A consumer of ``topic`` that writes a row for each event it applies, doubles included."""

    class Effects(Consumer):
        name = GROUP
        topics = (topic,)
        mode = consumer_mode
        tables = "CREATE TABLE {effects} (event_id TEXT NOT NULL, stream TEXT NOT NULL)"

        @handles(Ticked)
        async def ticked(self, fact: Recorded[Ticked], db: ConsumerConnection) -> None:
            await db.execute(
                "INSERT INTO {effects} VALUES (:event_id, :stream)",
                {"event_id": str(fact.id), "stream": fact.stream},
            )

    return Effects()


def effects_in(url: str) -> Counter[str]:
    """How often each event id took effect."""
    return Counter(str(row[0]) for row in query(url, "SELECT event_id FROM effects"))
