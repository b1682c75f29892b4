"""A KEDA ScaledObject for a consumer: as many replicas as its lag asks for, never too many.

KEDA reads the group's lag from Kafka by itself; a replica beyond the number of partitions would
only be idle, so it is never asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import ceil
from typing import Any, Final

import msgspec

from goldseam.errors import InvalidInput

API_VERSION: Final = "keda.sh/v1alpha1"
POLLING_SECONDS: Final = 15
COOLDOWN_SECONDS: Final = 300
"""Longer than a rebalance takes to settle, so that scaling does not feed itself."""

TARGET_SECONDS: Final = 10.0
"""Lag that one replica may have, in seconds of its own speed, before another is started."""

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Scaling(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a consumer: ``topics`` by name with their number of partitions."""

    deployment: str
    group: str
    bootstrap: Sequence[str]
    topics: dict[str, int]
    lag_threshold: int
    min_replicas: int = 1
    max_replicas: int | None = None
    namespace: str | None = None


def lag_threshold(applied_per_second: float, seconds: float = TARGET_SECONDS) -> int:
    """The lag in events that one replica of this speed works off in ``seconds``; at least 1."""
    if applied_per_second < 0 or seconds <= 0:
        raise InvalidInput(
            f"a speed of {applied_per_second}/s and {seconds} s give no threshold; measure the "
            "consumer under load first"
        )
    return max(1, ceil(applied_per_second * seconds))


def scaled_object(scaling: Scaling) -> dict[str, Any]:
    """The manifest, ready for JSON or YAML.

    ``maxReplicaCount`` is the smaller of ``max_replicas`` and the partitions of the widest topic.

    Raises:
        InvalidInput: a name, a number or a topic that Kubernetes or KEDA would refuse.
    """
    _check(scaling)
    partitions = max(scaling.topics.values())
    most = min(scaling.max_replicas or partitions, partitions)
    if scaling.min_replicas > most:
        raise InvalidInput(
            f"min_replicas is {scaling.min_replicas}, but the topics have {partitions} partitions "
            f"and at most {most} replicas can work; lower it or add partitions"
        )
    metadata = {"name": scaling.deployment}
    if scaling.namespace is not None:
        metadata["namespace"] = scaling.namespace
    return {
        "apiVersion": API_VERSION,
        "kind": "ScaledObject",
        "metadata": metadata,
        "spec": {
            "scaleTargetRef": {"name": scaling.deployment},
            "minReplicaCount": scaling.min_replicas,
            "maxReplicaCount": most,
            "pollingInterval": POLLING_SECONDS,
            "cooldownPeriod": COOLDOWN_SECONDS,
            "triggers": [_trigger(scaling, topic) for topic in sorted(scaling.topics)],
        },
    }


def _trigger(scaling: Scaling, topic: str) -> dict[str, Any]:
    # KEDA takes every value of a trigger's metadata as a string.
    return {
        "type": "kafka",
        "metadata": {
            "bootstrapServers": ",".join(scaling.bootstrap),
            "consumerGroup": scaling.group,
            "topic": topic,
            "lagThreshold": str(scaling.lag_threshold),
            "offsetResetPolicy": "earliest",
            "allowIdleConsumers": "false",
        },
    }


def _check(scaling: Scaling) -> None:
    for what, name in (("deployment", scaling.deployment), ("namespace", scaling.namespace)):
        if name is not None and not _DNS_LABEL.fullmatch(name):
            raise InvalidInput(
                f"the {what} {name!r} is no Kubernetes name: lower-case letters, digits and "
                "dashes, at most 63"
            )
    if not scaling.bootstrap or not scaling.topics or not scaling.group:
        raise InvalidInput("a ScaledObject needs bootstrap servers, a group and topics; give all")
    numbers = {
        "lag_threshold": scaling.lag_threshold,
        "max_replicas": scaling.max_replicas if scaling.max_replicas is not None else 1,
        **{f"partitions of {topic}": n for topic, n in scaling.topics.items()},
    }
    for what, number in numbers.items():
        if number < 1:
            raise InvalidInput(f"{what} is {number}; give 1 or more")
    if scaling.min_replicas < 0:
        raise InvalidInput(f"min_replicas is {scaling.min_replicas}; give 0 or more")
