"""consumer/rebalance-storm: restarts move partitions, unless members keep their names."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from goldseam.broker.port import Broker, GroupProtocol, Membership
from goldseam.consumers.modes import EffectivelyOnce
from goldseam.consumers.runner import ConsumerRunner
from goldseam.database.connection import Database
from tests.projections.bank import Outside
from tests.support.consumers import facts, of_mode
from tests.support.river import river, send, target, until
from tools.kafka_cluster import KafkaCluster

MEMBERS, RESTARTS_QUICK = 3, 4
SESSION_SECONDS = 6.0
STREAMS, EACH = 12, 10
LONG_RESTARTS, AWAY_SECONDS = 20, 3.0
STARTS_AND_ENDS = 12
"""Six members join once, and leave at the end: so many rebalances at most are nobody's restart."""


class _Storm(NamedTuple):
    """How many members, how many of them leave and come back, and for how long they are away."""

    static: bool
    members: int = MEMBERS
    restarts: int = RESTARTS_QUICK
    away_seconds: float = 0.0
    protocol: GroupProtocol = "classic"


class _Member:
    """One member that is restarted again and again."""

    def __init__(self, number: int, storm: _Storm, broker: Broker, database: Database) -> None:
        membership = Membership(
            group="balances",
            instance=f"balances-{number}" if storm.static else None,
            protocol=storm.protocol,
            session_seconds=SESSION_SECONDS,
        )
        self._broker, self._database, self._membership = broker, database, membership
        self.moves = 0
        self.start()

    def start(self) -> None:
        self.moves -= 1  # what a member is given when it starts was nobody else's trouble
        self.runner = ConsumerRunner(
            of_mode(EffectivelyOnce()), self._broker, self._database, membership=self._membership
        )
        self.task = asyncio.create_task(self.runner.run())

    async def stop(self) -> None:
        self.runner.stop()
        await self.task
        self.moves += self.runner.tally.rebalances

    async def restart(self, away_seconds: float) -> None:
        await self.stop()
        await asyncio.sleep(away_seconds)
        self.start()


def _settled(members: Sequence[_Member], partitions: int) -> bool:
    held = [label for one in members for label in one.runner.status().partitions]
    return partitions == len(held) == len(set(held)) and all(
        one.runner.status().partitions for one in members
    )


async def _weathered(url: str, broker_url: str, storm: _Storm) -> int:
    """Members restart in turn while facts arrive; how often members that stayed were moved."""
    sent, partitions = 0, 2 * storm.members
    async with river(broker_url, partitions=partitions) as broker, target(url) as database:
        group = [_Member(n, storm, broker, database) for n in range(storm.members)]
        await _at_rest(group)
        before = sum(one.moves + one.runner.tally.rebalances for one in group)
        for n in range(storm.restarts):
            batch = facts(STREAMS, EACH)[sent : sent + STREAMS * EACH // storm.restarts]
            await send(broker, batch)
            sent += len(batch)
            await group[n % storm.members].restart(storm.away_seconds)
            await _at_rest(group)
        await until(lambda: _applied(url) >= sent, *(one.task for one in group))
        for one in group:
            await one.stop()
    assert sent == _applied(url)
    return sum(one.moves for one in group) - before


async def _at_rest(group: Sequence[_Member]) -> None:
    await until(lambda: _settled(group, 2 * len(group)), *(one.task for one in group))


def _applied(url: str) -> int:
    return int(Outside(url).query("SELECT count(*) FROM movements")[0][0])


async def test_static_members_restart_without_moving_partitions(
    store_url: str, tmp_path: Path
) -> None:
    """Each comes back to its own; every fact is applied once all the same."""
    assert 0 == await _weathered(store_url, _embedded(tmp_path), _Storm(static=True))


async def test_control_dynamic_members_rebalance_again_and_again(
    store_url: str, tmp_path: Path
) -> None:
    """The same restarts without names: each leaving and each joining moves partitions of others."""
    moves = await _weathered(store_url, _embedded(tmp_path), _Storm(static=False))
    assert moves > RESTARTS_QUICK


def _embedded(folder: Path) -> str:
    return f"sqlite:///{folder / 'broker.db'}"


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("static", [True, False], ids=["named", "nameless"])
async def test_six_members_leaving_and_joining_every_three_seconds(
    store_url: str, tmp_path: Path, static: bool
) -> None:
    """For two minutes, with names and (the control) without."""
    moves = await _weathered(store_url, _embedded(tmp_path), _long(static))
    print(f"{moves} moves of members that stayed, in {LONG_RESTARTS} restarts")
    assert moves == 0 if static else moves > LONG_RESTARTS


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("protocol", ["classic", "consumer"])
@pytest.mark.parametrize("static", [True, False], ids=["named", "nameless"])
async def test_six_members_leaving_and_joining_on_kafka(
    store_url: str, kafka: KafkaCluster, static: bool, protocol: GroupProtocol
) -> None:
    """By both group protocols; the rebalances are those that Kafka's coordinator counted."""
    url = f"kafka://{kafka.bootstrap()}"
    await _weathered(store_url, url, _long(static, protocol))
    found = _rebalances(kafka)
    print(f"{protocol}: {found} rebalances in all, {LONG_RESTARTS} restarts")
    if static:
        assert found <= STARTS_AND_ENDS
    else:
        assert found >= 2 * LONG_RESTARTS


def _long(static: bool, protocol: GroupProtocol = "classic") -> _Storm:
    return _Storm(static, 6, LONG_RESTARTS, AWAY_SECONDS, protocol)


def _rebalances(kafka: KafkaCluster) -> int:
    """How often the coordinator made a new generation, or a new epoch, of the group."""
    log = kafka.log(1).read_text(errors="replace")
    return log.count("Stabilized group balances") + log.count("[GroupId balances] Bumped")
