"""A cluster of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("confluent_kafka")

from tests.support.mock_kafka import MockKafka, mock_kafka


@pytest.fixture
def kafka() -> Iterator[MockKafka]:
    """Three mock brokers."""
    with mock_kafka() as cluster:
        yield cluster
