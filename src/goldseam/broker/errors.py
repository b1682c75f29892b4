"""What can go wrong between a process and its broker."""

from __future__ import annotations

from goldseam.errors import GoldseamError, InvalidInput


class BrokerError(GoldseamError):
    """A broker could not do what it was asked for."""


class BrokerUnreachable(BrokerError):
    """No answer in time, or not enough brokers: whether records were stored is unknown.

    Send the same records again: consumers know their event ids. From the guide, "Broker
    Unreachable".
    """

    failure = "producer/broker-unreachable"


class RecordRefused(BrokerError, InvalidInput):
    """The broker will never take this record: too large, or no such topic."""

    failure = "producer/serialization-failure"


class FencedMember(BrokerError):
    """Another member took over these partitions (or this member's id) meanwhile."""

    failure = "consumer/rebalance-storm"


class NotRunHere(BrokerError):
    """The broker has no such ability; :class:`Capabilities` says what it has."""
