"""The KEDA manifest: the fields KEDA's Kafka scaler needs, and never more replicas than work."""

from __future__ import annotations

import msgspec
import pytest

from goldseam.errors import InvalidInput
from goldseam.governance.keda import Scaling, lag_threshold, scaled_object

SCALING = Scaling(
    deployment="balances",
    group="balances",
    bootstrap=["a:9092", "b:9092"],
    topics={"accounts": 12, "loans": 4},
    lag_threshold=500,
    max_replicas=40,
)


def test_structure() -> None:
    """One trigger for each topic, all metadata as strings, replicas capped by partitions."""
    made = scaled_object(SCALING)
    assert ("keda.sh/v1alpha1", "ScaledObject") == (made["apiVersion"], made["kind"])
    assert {"name": "balances"} == made["spec"]["scaleTargetRef"]
    assert (1, 12) == (made["spec"]["minReplicaCount"], made["spec"]["maxReplicaCount"])
    assert ["accounts", "loans"] == [one["metadata"]["topic"] for one in made["spec"]["triggers"]]
    for trigger in made["spec"]["triggers"]:
        assert "kafka" == trigger["type"]
        assert "a:9092,b:9092" == trigger["metadata"]["bootstrapServers"]
        assert "balances" == trigger["metadata"]["consumerGroup"]
        assert "500" == trigger["metadata"]["lagThreshold"]
        assert all(isinstance(value, str) for value in trigger["metadata"].values())


def test_threshold() -> None:
    """A replica that applies 120 events a second may be 10 seconds behind."""
    assert [1200, 1] == [lag_threshold(120), lag_threshold(0)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"deployment": "Balances_1"}, "Kubernetes name"),
        ({"topics": {}}, "give all"),
        ({"topics": {"a": 0}}, "partitions of a is 0"),
        ({"lag_threshold": 0}, "lag_threshold is 0"),
        ({"min_replicas": 13}, "min_replicas is 13"),
    ],
)
def test_refusals(change: dict[str, object], words: str) -> None:
    """What Kubernetes or KEDA would refuse is refused here, with its value."""
    with pytest.raises(InvalidInput, match=words):
        scaled_object(msgspec.structs.replace(SCALING, **change))
