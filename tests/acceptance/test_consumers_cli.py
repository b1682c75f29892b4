"""``goldseam consumers``: list, lag, reset and manifest, from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from goldseam.consumers.modes import EffectivelyOnce
from tests.acceptance.commands import APP as RIVER
from tests.acceptance.commands import Place
from tests.support.consumers import TOPIC, facts, of_mode
from tests.support.river import ROOT, drain, river, send, target

APP = "tests.support.consumers:Balances"
FACTS = 20


def _run(folder: Path, *arguments: str, code: int = 0) -> Any:
    environment = {
        **os.environ,
        "GOLDSEAM_STORE": f"sqlite:///{folder / 'target.db'}",
        "GOLDSEAM_BROKER": f"sqlite:///{folder / 'broker.db'}",
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
    }
    done = subprocess.run(
        [sys.executable, "-c", "from goldseam.cli.consumers import group; group()", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert code == done.returncode, done.stderr
    return json.loads(done.stdout) if "--json" in arguments and code in (0, 1) else done.stderr


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A consumer that has applied twenty facts; ten more wait."""
    where = f"sqlite:///{tmp_path / 'broker.db'}"
    async with river(where) as broker, target(f"sqlite:///{tmp_path / 'target.db'}") as base:
        await send(broker, facts(4, FACTS // 4))
        await drain(of_mode(EffectivelyOnce()), broker, base, FACTS)
        await send(broker, facts(10, 1))
    return tmp_path


async def test_list_shows_what_each_holder_has_applied(folder: Path) -> None:
    """Mode, topics and offsets as the database has them."""
    (found,) = _run(folder, "list", "--app", APP, "--json")
    assert ("balances", "effectively-once", [TOPIC]) == (
        found["name"], found["mode"], found["topics"],
    )  # fmt: skip
    assert FACTS == sum(max(0, one["next_offset"]) for one in found["partitions"])


async def test_lag_finds_what_nobody_works_on(folder: Path) -> None:
    """Ten records behind and no member: exit code 1."""
    (found,) = _run(folder, "lag", "balances", "--app", APP, "--over", "0.1", "--json", code=1)
    assert (10, 0) == (found["records"], found["members"])


async def test_reset_is_asked_twice_and_moves_database_and_broker(folder: Path) -> None:
    """Without --yes nothing happens; with it the consumer begins at the oldest record again."""
    assert "--dry-run" in _run(folder, "reset", "balances", "--to", "oldest", "--app", APP, code=2)
    arguments = ("reset", "balances", "--to", "oldest", "--app", APP, "--json")
    looked = _run(folder, *arguments, "--dry-run")
    assert {0} == {one["to"] for one in looked["moved"]}
    (before,) = _run(folder, "list", "--app", APP, "--json")
    assert FACTS == sum(max(0, one["next_offset"]) for one in before["partitions"])
    _run(folder, *arguments, "--yes")
    (after,) = _run(folder, "list", "--app", APP, "--json")
    assert {0} == {one["next_offset"] for one in after["partitions"]}
    where = f"sqlite:///{folder / 'broker.db'}"
    async with river(where) as broker, target(f"sqlite:///{folder / 'target.db'}") as base:
        runner = await drain(of_mode(EffectivelyOnce()), broker, base, FACTS + 10)
    assert FACTS < runner.tally.duplicates + runner.tally.applied
    assert FACTS <= runner.tally.duplicates


async def test_manifest_never_asks_for_more_replicas_than_partitions(folder: Path) -> None:
    """A ScaledObject in JSON, which is YAML."""
    found = _run(folder, "manifest", "balances", "--app", APP, "--rate", "100", "--json")
    assert "ScaledObject" == found["kind"]
    assert 4 == found["spec"]["maxReplicaCount"]


async def test_an_unknown_consumer_is_a_usage_error(folder: Path) -> None:
    """With the names there are."""
    assert "balances" in _run(folder, "lag", "nobody", "--app", APP, code=2)


def test_an_application_knows_its_broker_and_its_target(tmp_path: Path) -> None:
    """`--app` of an application is enough; an explicit --store is still heard."""
    place = Place(tmp_path, "sqlite:///broker.db")
    place.order(6)
    place("run", RIVER, "--once")
    (found,) = place("consumers", "list", "--app", RIVER, "--json").json
    assert 6 == sum(max(0, one["next_offset"]) for one in found["partitions"])
    (behind,) = place("consumers", "lag", "--app", RIVER, "--over", "0.1", "--json").json
    assert 0 == behind["records"]
    elsewhere = ("consumers", "list", "--app", RIVER, "--store", "sqlite:///other.db", "--json")
    assert {"-"} == {one["holder"] for one in place(*elsewhere).json[0]["partitions"]}
