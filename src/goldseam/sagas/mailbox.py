"""What services have answered, brought to the sagas that wait for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from goldseam.consumers.connection import ConsumerConnection
from goldseam.consumers.consumer import Consumer
from goldseam.consumers.modes import AtLeastOnce, Mode
from goldseam.events.event import Recorded
from goldseam.sagas.desk import Sagas

CONCURRENCY = 32
"""Answers of so many different streams at once."""


class SagaMailbox(Consumer):
    """Tells the sagas what is on ``topics``. At least once: to tell it twice is to tell it once.

    Args:
        group: the consumer group; two services must not share it.
        types: the answers that any saga waits for.
        desk: gives the sagas of the application, once it is open.
    """

    mode: ClassVar[Mode] = AtLeastOnce(concurrency=CONCURRENCY)

    def __init__(
        self,
        group: str,
        topics: Sequence[str],
        types: Sequence[type],
        desk: Callable[[], Sagas],
    ) -> None:
        self.name, self.topics, self.types = group, topics, tuple(types)  # type: ignore[misc]
        self._desk = desk
        super().__init__()

    async def apply_batch(self, events: Sequence[Recorded[Any]], db: ConsumerConnection) -> None:
        """Tell each to the saga that it is for; those of no saga are passed over."""
        desk = self._desk()
        for event in events:
            await desk.tell(event)
