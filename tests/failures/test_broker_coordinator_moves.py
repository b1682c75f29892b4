"""broker/single-broker-down: a group's coordinator moves while somebody asks for its offsets."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.faults.kafka import broker_at, cluster, new_topic, revive, whole
from tests.faults.processes import ROOT
from tools.kafka_cluster import KafkaCluster

__all__ = ["cluster", "whole"]
pytestmark = pytest.mark.soak

ROUNDS = 3


async def _asked_while_brokers_die(whole: KafkaCluster, who: str) -> tuple[int, str]:
    """Exit code of whoever asks while each broker dies and comes back, and its last words."""
    broker = broker_at(whole)
    await new_topic(broker)
    await broker.close()
    asking = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.group_offsets", whole.bootstrap(), who],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    for _ in range(ROUNDS):
        for number in whole.numbers:
            if asking.poll() is None:
                whole.kill(number)
                revive(whole)
    out, _ = asking.communicate(timeout=120)
    return asking.returncode, out[-500:]


async def test_whoever_asks_for_offsets_survives(whole: KafkaCluster) -> None:
    """It is told no for a moment, and lives; the last answers are good ones."""
    code, words = await _asked_while_brokers_die(whole, "ours")
    assert 0 == code, words
    assert "asked" in words


async def test_control_the_admin_client_dies_of_the_question(whole: KafkaCluster) -> None:
    """In the client library: https://github.com/confluentinc/librdkafka/issues/5040."""
    code, words = await _asked_while_brokers_die(whole, "raw")
    assert code in (-signal.SIGSEGV, -signal.SIGABRT), words
