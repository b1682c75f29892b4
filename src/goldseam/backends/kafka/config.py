"""librdkafka's settings: what goldseam's promises need, and what of it nobody may change."""

from __future__ import annotations

from collections.abc import Mapping

from goldseam.broker.port import Membership
from goldseam.errors import InvalidInput

Config = dict[str, str | int | float | bool]

DELIVERY_SECONDS = 30.0
"""How long a record may wait for its acknowledgement before its outcome is called unknown."""

SOCKET_SECONDS = 10.0
"""Silence after which a request is sent again to whoever leads by then. librdkafka's own 60 s are
longer than DELIVERY_SECONDS: a broker that hangs would fail everything on its way to it, though
another one has been elected within seconds; and consumers would wait for it a minute."""

LINGER_MS = 2
QUEUE_MESSAGES_MAX = 200_000
HEARTBEATS_IN_A_SESSION = 3

_PROMISED: Mapping[str, str] = {
    "bootstrap.servers": "",
    "metadata.broker.list": "",
    "transactional.id": "",
    "enable.idempotence": "true",
    "acks": "all",
    "request.required.acks": "all",
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "isolation.level": "read_committed",
    "group.id": "",
    "group.instance.id": "",
    "group.protocol": "",
    "on_delivery": "",
}
"""Settings that a promise rests on: they are goldseam's to set."""

_BOUNDED = ("delivery.timeout.ms", "message.timeout.ms")
"""0 would mean for ever: the circuit breaker and the relay would never hear of an outage."""

_CLASSIC_ONLY = ("session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy")


def checked(extra: Mapping[str, str]) -> Config:
    """``extra`` settings of the user (TLS, SASL, tuning), if they break no promise.

    Raises:
        InvalidInput: one of them would.
    """
    for name in extra:
        if name in _PROMISED:
            raise InvalidInput(
                f"the Kafka setting {name!r} is goldseam's own: delivery once and in order rests "
                "on it; leave it out"
            )
    for name in _BOUNDED:
        if name in extra and not extra[name].strip("0 "):
            raise InvalidInput(f"the Kafka setting {name!r} must be above 0: 0 waits for ever")
    return dict(extra)


def for_producer(bootstrap: str, name: str, extra: Mapping[str, str]) -> Config:
    """Idempotent, acknowledged by all in-sync replicas, in order."""
    return {
        "bootstrap.servers": bootstrap,
        "client.id": name,
        "linger.ms": LINGER_MS,
        "delivery.timeout.ms": int(DELIVERY_SECONDS * 1000),
        "socket.timeout.ms": int(SOCKET_SECONDS * 1000),
        "queue.buffering.max.messages": QUEUE_MESSAGES_MAX,
        "compression.type": "lz4",
        **checked(extra),
        "enable.idempotence": True,
        "acks": "all",
    }


def for_consumer(bootstrap: str, membership: Membership, extra: Mapping[str, str]) -> Config:
    """Commits by hand, reads what is committed, joins by the protocol that is asked for."""
    config: Config = {
        "bootstrap.servers": bootstrap,
        "socket.timeout.ms": int(SOCKET_SECONDS * 1000),
        "fetch.wait.max.ms": 100,
        "max.poll.interval.ms": int(membership.max_poll_seconds * 1000),
        **checked(extra),
        "group.id": membership.group,
        "group.protocol": membership.protocol,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        "auto.offset.reset": "earliest" if membership.from_start else "latest",
    }
    if membership.instance is not None:
        config["group.instance.id"] = membership.instance
    if membership.protocol == "classic":
        session_ms = int(membership.session_seconds * 1000)
        config["session.timeout.ms"] = session_ms
        config["heartbeat.interval.ms"] = session_ms // HEARTBEATS_IN_A_SESSION
        config["partition.assignment.strategy"] = "cooperative-sticky"
        config["max.poll.interval.ms"] = max(session_ms, int(membership.max_poll_seconds * 1000))
    else:  # the broker sets these, and the client refuses them
        for name in _CLASSIC_ONLY:
            config.pop(name, None)
    return config


def for_reader(bootstrap: str, extra: Mapping[str, str]) -> Config:
    """Reads topics outside of any group."""
    return {
        "bootstrap.servers": bootstrap,
        "socket.timeout.ms": int(SOCKET_SECONDS * 1000),
        "fetch.wait.max.ms": 50,
        **checked(extra),
        "group.id": "goldseam-reader",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
    }


def for_visitor(bootstrap: str, group: str, extra: Mapping[str, str]) -> Config:
    """Looks at what ``group`` has committed, and never joins it."""
    return {
        "bootstrap.servers": bootstrap,
        "socket.timeout.ms": int(SOCKET_SECONDS * 1000),
        **checked(extra),
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
    }


def for_admin(bootstrap: str, extra: Mapping[str, str]) -> Config:
    """Looks and prepares."""
    return {"bootstrap.servers": bootstrap, **checked(extra)}
