"""The conformance kit on three real Kafka brokers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from goldseam.backends.kafka import KafkaBroker, open_broker
from tests.conformance.broker_kit import BrokerKit

BOOTSTRAP = Path(__file__).resolve().parents[2] / ".services" / "kafka.bootstrap"

pytestmark = pytest.mark.skipif(
    not BOOTSTRAP.is_file(), reason="missing part: Kafka is not started; run: make services"
)


class TestKafka(BrokerKit):
    """All of the kit."""

    @pytest.fixture
    async def broker(self) -> AsyncIterator[KafkaBroker]:
        """The checkout's own cluster."""
        broker = open_broker(f"kafka://{BOOTSTRAP.read_text(encoding='utf-8').strip()}")
        yield broker
        await broker.close()
