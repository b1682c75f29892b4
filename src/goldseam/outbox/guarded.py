"""A publisher behind a circuit breaker: while the broker is gone, nobody waits for it."""

from __future__ import annotations

from collections.abc import Sequence

from goldseam.broker.errors import BrokerUnreachable
from goldseam.broker.port import Placed, Publisher
from goldseam.broker.record import Record
from goldseam.resilience.breaker import Breaker, BreakerLimits
from goldseam.resilience.clock import Clock
from goldseam.telemetry.signals import signals


def broker_breaker(name: str, clock: Clock, limits: BreakerLimits | None = None) -> Breaker:
    """A breaker that counts a broker's silence, not its refusals: those are answers."""
    return Breaker(name, clock, limits, (BrokerUnreachable,))


class GuardedPublisher:
    """A :class:`Publisher` that asks ``breaker`` first. From the guide, "Broker Unreachable"."""

    def __init__(self, publisher: Publisher, breaker: Breaker) -> None:
        self._publisher, self._breaker = publisher, breaker

    async def publish(self, records: Sequence[Record]) -> Sequence[Placed]:
        """Send ``records`` as the publisher inside does.

        Raises:
            BreakerOpen: nothing was sent.
            BrokerUnreachable, RecordRefused: from the publisher inside.
        """
        try:
            return await self._breaker.call(lambda: self._publisher.publish(records))
        except BrokerUnreachable:
            signals.count("goldseam_broker_unreachable_total")
            raise

    async def close(self) -> None:
        """Close the publisher inside."""
        await self._publisher.close()
