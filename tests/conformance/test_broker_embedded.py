"""The conformance kit on the embedded broker, in SQLite and in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from goldseam.broker.embedded import EmbeddedBroker
from goldseam.resilience.clock import SystemClock, uuid7_bytes
from goldseam.runtime.wiring import open_database
from tests.conformance.broker_kit import BrokerKit


class TestEmbedded(BrokerKit):
    """All of the kit."""

    @pytest.fixture
    async def broker(self, store_url: str) -> AsyncIterator[EmbeddedBroker]:
        """A broker in an empty database."""
        broker = EmbeddedBroker(open_database(store_url), SystemClock(), uuid7_bytes)
        yield broker
        await broker.close()
