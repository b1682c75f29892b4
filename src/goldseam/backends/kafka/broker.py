"""A Kafka cluster behind a URL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar
from urllib.parse import parse_qsl, urlsplit

from goldseam.backends.kafka.admin import KafkaAdmin
from goldseam.backends.kafka.config import checked, for_consumer
from goldseam.backends.kafka.publisher import KafkaPublisher
from goldseam.backends.kafka.subscription import KafkaSubscription
from goldseam.broker.port import Capabilities, Listener, Membership
from goldseam.errors import InvalidInput

T = TypeVar("T", KafkaPublisher, KafkaSubscription, KafkaAdmin)

CAPABILITIES = Capabilities(
    durable=True,
    replicated=True,
    static_membership=True,
    consumer_protocol=True,
    other_processes=True,
)


def open_broker(url: str, config: Mapping[str, str] | None = None) -> KafkaBroker:
    """The cluster behind ``kafka://host:port,host:port``; connects when it is first used.

    Args:
        config: librdkafka's settings for TLS, SASL and tuning; those in the URL's query come on
            top. Secrets belong in here, never in the URL.

    Raises:
        InvalidInput: no host, credentials before it, or a setting that would break a promise.
    """
    return KafkaBroker(url, config or {})


class KafkaBroker:
    """See :class:`goldseam.broker.port.Broker`."""

    capabilities = CAPABILITIES

    def __init__(self, url: str, config: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        if not parts.netloc:
            raise InvalidInput("the URL names no broker; give kafka://host:port,host:port")
        if "@" in parts.netloc:
            raise InvalidInput(
                "the URL has credentials before its hosts, and URLs are shown in logs; "
                "give sasl.username and sasl.password as config"
            )
        self.url = f"kafka://{parts.netloc}"
        self._bootstrap = parts.netloc
        self._extra = {**config, **dict(parse_qsl(parts.query))}
        checked(self._extra)
        self._opened: list[KafkaPublisher | KafkaSubscription | KafkaAdmin] = []

    async def publisher(self, name: str = "goldseam") -> KafkaPublisher:
        """A publisher; its name shows in the brokers' logs and quotas."""
        return self._kept(KafkaPublisher(self._bootstrap, name, self._extra))

    async def subscribe(
        self, topics: Sequence[str], membership: Membership, listener: Listener
    ) -> KafkaSubscription:
        """Join a group."""
        config = for_consumer(self._bootstrap, membership, self._extra)
        return self._kept(KafkaSubscription(config, topics, listener))

    async def admin(self) -> KafkaAdmin:
        """The desk."""
        return self._kept(KafkaAdmin(self._bootstrap, self._extra))

    def _kept(self, one: T) -> T:
        self._opened.append(one)
        return one

    async def close(self) -> None:
        """Close all that was opened here."""
        opened, self._opened = self._opened, []
        for one in opened:
            await one.close()
