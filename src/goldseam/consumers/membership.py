"""Who a member is in its group, the same after a restart: then a restart moves no partition.

From the guide, "Rebalance Storm": static group membership.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

import msgspec

from goldseam.broker.port import GroupProtocol, Membership

SESSION_SECONDS = 45.0
"""How long a static member may be away and still find its partitions."""

_PLACES = ("POD_NAME", "HOSTNAME")
_STATEFUL = re.compile(r".*-\d+$")
_MADE_UP = re.compile(r"[0-9a-f]{12}|.*-[a-z0-9]{8,10}-[a-z0-9]{5}")
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9._-]+")

_log = logging.getLogger("goldseam.consumers")


class StaticId(msgspec.Struct, frozen=True):
    """A member's id, where it comes from, and whether it outlives a restart."""

    value: str
    source: str
    stable: bool


def static_id(
    consumer: str, environment: Mapping[str, str], machine: str, *, member: str = ""
) -> StaticId:
    """The id of ``consumer`` here: from the pod's name, else the host's, else the machine's.

    ``member`` tells several processes of one place apart. A name that is made up for each start
    (a pod of a Deployment, a container without a host name) is not stable.
    """
    source, name = next(
        ((place, environment[place]) for place in _PLACES if environment.get(place)),
        ("machine", machine),
    )
    stable = bool(_STATEFUL.fullmatch(name)) or not _MADE_UP.fullmatch(name)
    value = "-".join(part for part in (consumer, name, member) if part)
    return StaticId(_NOT_ALLOWED.sub("_", value), source, stable)


def membership_of(
    consumer: str,
    identity: StaticId | None = None,
    *,
    protocol: GroupProtocol = "classic",
    session_seconds: float = SESSION_SECONDS,
    from_start: bool = True,
) -> Membership:
    """How ``consumer`` joins its group; without an identity as a dynamic member."""
    if identity is not None and not identity.stable:
        _log.warning(
            "consumer %s: the member id %s comes from %s and changes with every start, so a "
            "restart is a new member; run it as a StatefulSet or set POD_NAME to a stable name",
            consumer, identity.value, identity.source,
        )  # fmt: skip
    return Membership(
        group=consumer,
        instance=None if identity is None else identity.value,
        protocol=protocol,
        session_seconds=session_seconds,
        from_start=from_start,
    )
