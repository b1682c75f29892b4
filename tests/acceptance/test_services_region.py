"""`python3 -m tools.services start --only region` brings up a second region that is copied to."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.kafka import JARS, REASON, broker_at, new_topic, on_topic
from tests.support.eventually import eventually
from tools.kafka_cluster import KafkaCluster

pytestmark = pytest.mark.soak

ROOT = Path(__file__).resolve().parents[2]
COPY_SECONDS_MAX = 120.0
MISSING_PART = 3


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A throw-away checkout; nothing of it runs afterwards."""
    if JARS is None:
        pytest.skip(REASON)
    yield tmp_path
    for only in ("region", "kafka"):
        services(tmp_path, "stop", only)


def services(root: Path, verb: str, only: str, code: int = 0) -> dict[str, Any]:
    """Run the tool as a user does."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tools.services", verb),
            *("--only", only, "--json", "--root", str(root)),
        ],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert code == done.returncode, done.stderr
    found: dict[str, Any] = json.loads(done.stdout) if done.stdout else {}
    return found


async def test_it_starts_copies_and_stops(checkout: Path) -> None:
    """A topic of the first region is there under its name; stopping leaves the first alone."""
    assert services(checkout, "start", "region")["running"]
    assert JARS is not None
    east = KafkaCluster(checkout, JARS)
    west = KafkaCluster(checkout, JARS, brokers=1, name="kafka-west")
    broker, other = broker_at(east), broker_at(west)
    topic = await new_topic(broker)
    admin = await other.admin()

    async def copied() -> bool:
        return topic in await admin.topics()

    await eventually(copied, COPY_SECONDS_MAX)
    assert {} == on_topic(west, topic)
    await broker.close()
    await other.close()
    assert services(checkout, "status", "region")["running"]
    assert services(checkout, "stop", "region")["ran"]
    assert not services(checkout, "stop", "region")["ran"]
    services(checkout, "status", "region", code=MISSING_PART)
    assert services(checkout, "status", "kafka")["running"]
