"""The port that every broker implements; the core knows nothing else of any broker.

One owner each: a Publisher and a Subscription are used from one event loop. Each implementation
declares its ``Capabilities``; one conformance kit runs against all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from goldseam.broker.record import Partition, Received, Record

GroupProtocol = Literal["classic", "consumer"]


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a broker can and cannot do."""

    durable: bool
    """Acknowledged records outlive a SIGKILL of the broker."""
    replicated: bool
    """Records outlive the loss of one broker's disk."""
    static_membership: bool
    consumer_protocol: bool
    """Knows the newer group protocol (KIP-848)."""
    other_processes: bool
    """Members of one group may live in several processes."""


class Placed(msgspec.Struct, frozen=True, gc=False):
    """Where an acknowledged record is."""

    partition: int
    offset: int


class Publisher(Protocol):
    """Sends records, idempotently within its session and acknowledged by all in-sync replicas."""

    async def publish(self, records: Sequence[Record]) -> Sequence[Placed]:
        """Send ``records``; return when every one is acknowledged, with their places in order.

        Calls may overlap: records keep the order of the calls, per key.

        Raises:
            BrokerUnreachable: not all were acknowledged in time; send all of them again before
                anything newer.
            RecordRefused: one can never be stored.
        """
        ...

    async def close(self) -> None:
        """Give back sockets and threads. May be called twice."""
        ...


class Listener(Protocol):
    """Is told which partitions a member owns. A broker waits for each call to return."""

    async def assigned(self, partitions: Collection[Partition]) -> None:
        """These are mine from now on, in addition to those that I have."""
        ...

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """These will go to somebody else when this returns: finish, commit, forget."""
        ...

    async def lost(self, partitions: Collection[Partition]) -> None:
        """Somebody else has these already: forget, do not commit."""
        ...


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """How a consumer joins its group.

    ``instance`` is the static member's id, the same after a restart; None joins dynamically.
    ``session_seconds``: silence after which the group goes on without this member.
    """

    group: str
    instance: str | None = None
    protocol: GroupProtocol = "classic"
    session_seconds: float = 45.0
    max_poll_seconds: float = 300.0
    """Longest time between two polls before the member counts as stuck."""
    from_start: bool = True
    """Where a group without offsets begins: at the oldest record, or after the newest."""


CLOSED = "this subscription is closed; subscribe again"


class Subscription(Protocol):
    """One member of a consumer group."""

    @property
    def assigned(self) -> frozenset[Partition]:
        """The partitions it owns at the moment."""
        ...

    async def poll(self, limit: int, seconds: float) -> Sequence[Received]:
        """At most ``limit`` records, waiting at most ``seconds`` for the first.

        In the order of offsets within a partition. The listener is called in here, and only
        in here and in :meth:`close`.

        Raises:
            BrokerUnreachable: or this subscription was closed.
            FencedMember
        """
        ...

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Store the next offsets to read.

        Raises:
            FencedMember: the group has gone on without this member; nothing was stored.
            BrokerUnreachable
        """
        ...

    async def committed(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """The stored offsets; a partition without one is left out."""
        ...

    async def pause(self, partitions: Collection[Partition]) -> None:
        """Deliver nothing of these until :meth:`resume`; membership goes on."""
        ...

    async def resume(self, partitions: Collection[Partition]) -> None:
        """Deliver them again."""
        ...

    async def seek(self, partition: Partition, offset: int) -> None:
        """Deliver from ``offset`` next."""
        ...

    async def close(self) -> None:
        """Leave (a static member keeps its place until its session ends). May be called twice."""
        ...


class Span(msgspec.Struct, frozen=True):
    """The offsets a partition holds: from ``low`` up to, not including, ``high``."""

    low: int
    high: int


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic as the broker describes it; ``config`` holds Kafka's names and texts."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str] = {}


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One member of a group as the broker sees it."""

    id: str
    instance: str | None
    partitions: tuple[Partition, ...]


class Admin(Protocol):
    """Looks at a broker and prepares it."""

    async def topics(self) -> Mapping[str, Topic]:
        """All topics that are not the broker's own."""
        ...

    async def create(self, topic: Topic) -> bool:
        """Create ``topic``; False when it was there (its settings are left alone)."""
        ...

    async def spans(self, topic: str) -> Mapping[Partition, Span]:
        """What each partition of ``topic`` holds."""
        ...

    async def read(self, partition: Partition, offset: int, limit: int) -> Sequence[Received]:
        """Records from ``offset`` on, outside of any group; fewer than ``limit`` at the end."""
        ...

    async def groups(self) -> Sequence[str]:
        """The groups that the broker knows."""
        ...

    async def members(self, group: str) -> Sequence[Member]:
        """The present members of ``group``."""
        ...

    async def offsets(self, group: str) -> Mapping[Partition, int]:
        """What ``group`` has committed."""
        ...

    async def set_offsets(self, group: str, offsets: Mapping[Partition, int]) -> None:
        """Move a group that has no members now."""
        ...

    async def close(self) -> None:
        """Give back sockets and threads. May be called twice."""
        ...


class Broker(Protocol):
    """A broker behind a URL: ``kafka://host:port,host:port`` or ``sqlite:///broker.db``."""

    url: str
    capabilities: Capabilities

    async def publisher(self, name: str = "goldseam") -> Publisher:
        """A publisher; ``name`` shows in the broker's logs and quotas."""
        ...

    async def subscribe(
        self, topics: Sequence[str], membership: Membership, listener: Listener
    ) -> Subscription:
        """Join a group."""
        ...

    async def admin(self) -> Admin:
        """The broker's desk."""
        ...

    async def close(self) -> None:
        """Close all that was opened here. May be called twice."""
        ...
