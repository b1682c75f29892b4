"""From a URL to a broker; names the extra that is missing."""

from __future__ import annotations

from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import cast
from urllib.parse import urlsplit

from goldseam.broker.embedded import EmbeddedBroker
from goldseam.broker.port import Broker
from goldseam.errors import InvalidName, MissingExtra
from goldseam.resilience.clock import Clock, IdFactory, SystemClock, uuid7_bytes
from goldseam.runtime.wiring import open_database

_GROUP = "goldseam.brokers"
_EMBEDDED = ("sqlite", "postgresql", "postgres")


def open_broker(url: str, *, clock: Clock | None = None, new_id: IdFactory = uuid7_bytes) -> Broker:
    """The broker behind ``url``; connects when it is first used.

    Args:
        url: ``kafka://host:port,host:port`` or, for the embedded broker in a database,
            ``sqlite:///broker.db`` or ``postgresql://...``.

    Raises:
        InvalidName: no broker for the URL's scheme.
        MissingExtra: the broker's driver is not installed.
    """
    scheme = urlsplit(url).scheme
    if scheme in _EMBEDDED:
        return EmbeddedBroker(open_database(url), clock or SystemClock(), new_id)
    if scheme == "kafka":
        if find_spec("confluent_kafka") is None:
            raise MissingExtra("kafka://", "kafka")
        from goldseam.backends.kafka import open_broker as open_kafka

        return open_kafka(url)
    for point in entry_points(group=_GROUP):
        if point.name == scheme:
            return cast(Broker, point.load()(url))
    known = ", ".join(sorted({"kafka", *_EMBEDDED, *(p.name for p in entry_points(group=_GROUP))}))
    raise InvalidName("broker URL scheme", scheme, f"there is a broker for: {known}")
