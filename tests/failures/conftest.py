"""The brokers that consumers are broken on: the embedded one, and Apache Kafka in the soak."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.kafka import JARS, REASON
from tools.kafka_cluster import KafkaCluster

IMPATIENT = {
    "group.min.session.timeout.ms": "500",
    "group.initial.rebalance.delay.ms": "0",
}
"""A broker that lets members say for themselves how soon they are given up."""


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[KafkaCluster]:
    """One broker of the test's own: no topic, no group, no offset is there before it."""
    if JARS is None:
        pytest.skip(REASON)
    cluster = KafkaCluster(tmp_path, JARS, brokers=1, config=IMPATIENT)
    cluster.start()
    yield cluster
    cluster.remove()


@pytest.fixture
def kafka_url(kafka: KafkaCluster) -> str:
    """Its URL."""
    return f"kafka://{kafka.bootstrap()}"


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.soak)])
def broker_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a broker without any topic; on Kafka only in ``make faults``."""
    if request.param == "embedded":
        return f"sqlite:///{tmp_path / 'broker.db'}"
    return str(request.getfixturevalue("kafka_url"))
