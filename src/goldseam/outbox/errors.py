"""What can go wrong between the log and a topic."""

from __future__ import annotations

from goldseam.errors import InvalidInput, Rejected


class RelayFenced(Rejected):
    """Another relay has taken over this shard; its checkpoint was not moved."""

    failure = "cluster/fencing-tokens"


class ShardsChanged(InvalidInput):
    """A relay was started with another number of shards than its checkpoints have."""

    failure = "producer/message-lost-before-send"


class CannotBePublished(InvalidInput):
    """An outbox row would not be an event that others can read; nothing was added."""

    failure = "producer/serialization-failure"
