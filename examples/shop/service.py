"""What all services have in common: they hear a message, decide, and answer with facts.

The answer is appended to the service's own store under a key that is the message's id: heard
twice, it is answered once. The relay takes it to the topic of its stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from examples.shop.settings import Settings
from goldseam import Consumer, Decider, EventStore, Recorded, handle
from goldseam.consumers.connection import ConsumerConnection
from goldseam.consumers.modes import AtLeastOnce, Mode
from goldseam.events.event import RawEvent
from goldseam.outbox.routing import Routing, by_category

CONCURRENCY = 64
"""Messages about different orders that are answered at once: their appends share a commit."""

Reactions = Mapping[type, Callable[[Any], object | None]]
"""To what a service reacts, and the message of its own that it takes it for; None: not at all."""


class Desk(Consumer):
    """Takes messages in, and appends what the service decides.

    Args:
        name: its consumer group.
        topics: where it listens.
        decider: what the service decides with, one stream for each order.
        category: of its streams.
        reactions: to what it reacts, and how.
        store: gives the service's store, once it is open.
    """

    mode: ClassVar[Mode] = AtLeastOnce(concurrency=CONCURRENCY)

    def __init__(
        self,
        name: str,
        topics: Sequence[str],
        decider: Decider[Any, Any, Any],
        category: str,
        reactions: Reactions,
        store: Callable[[], EventStore],
    ) -> None:
        self.name, self.topics, self.types = name, topics, tuple(reactions)  # type: ignore[misc]
        self._decider, self._category, self._reactions = decider, category, reactions
        self._store = store
        super().__init__()

    async def apply_batch(self, events: Sequence[Recorded[Any]], db: ConsumerConnection) -> None:
        """Answer each."""
        for heard in events:
            await self._answer(heard)

    async def _answer(self, heard: Recorded[Any]) -> None:
        message = self._reactions[type(heard.data)](heard.data)
        if message is None:
            return
        await handle(
            self._store(),
            self._decider,
            f"{self._category}-{heard.data.order_id}",
            message,
            key=str(heard.id),
            metadata=heard.caused(),
        )


def as_it_is(message: object) -> object:
    """A message that the service understands by itself."""
    return message


def routing(settings: Settings, *private: str) -> Routing:
    """Each category has its topic; the streams of ``private`` ones stay inside."""
    topic = by_category(settings.prefix)

    def route(event: RawEvent) -> str | None:
        return None if event.stream.startswith(private) else topic(event)

    return route
