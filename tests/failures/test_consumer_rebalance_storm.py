"""consumer/rebalance-storm: restarts move partitions, unless members keep their names."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from goldseam.broker.port import Broker, Membership
from goldseam.consumers.modes import EffectivelyOnce
from goldseam.consumers.runner import ConsumerRunner
from goldseam.database.connection import Database
from tests.projections.bank import Outside
from tests.support.consumers import facts, of_mode
from tests.support.river import river, send, target, until

MEMBERS, RESTARTS_QUICK = 3, 4
SESSION_SECONDS = 6.0
STREAMS, EACH = 12, 10


class _Member:
    """One member that is restarted again and again."""

    def __init__(self, number: int, static: bool, broker: Broker, database: Database) -> None:
        instance = f"balances-{number}" if static else None
        membership = Membership(
            group="balances", instance=instance, session_seconds=SESSION_SECONDS
        )
        self._broker, self._database, self._membership = broker, database, membership
        self.rebalances = 0
        self.start()

    def start(self) -> None:
        self.runner = ConsumerRunner(
            of_mode(EffectivelyOnce()), self._broker, self._database, membership=self._membership
        )
        self.task = asyncio.create_task(self.runner.run())

    async def stop(self) -> None:
        self.runner.stop()
        await self.task
        self.rebalances += self.runner.tally.rebalances

    async def restart(self) -> None:
        await self.stop()
        self.start()


def _settled(members: list[_Member], partitions: int) -> bool:
    held = [label for one in members for label in one.runner.status().partitions]
    return partitions == len(held) == len(set(held)) and all(
        one.runner.status().partitions for one in members
    )


async def _storm(
    url: str, folder: Path, *, static: bool, members: int, restarts: int
) -> tuple[int, int]:
    """Members restart in turn while facts arrive; the rebalances of all of them, own starts too."""
    sent = 0
    where, partitions = f"sqlite:///{folder / 'broker.db'}", 2 * members
    async with river(where, partitions=partitions) as broker, target(url) as database:
        group = [_Member(n, static, broker, database) for n in range(members)]
        await until(lambda: _settled(group, 2 * members), *(one.task for one in group))
        before = sum(one.runner.tally.rebalances for one in group)
        for n in range(restarts):
            batch = facts(STREAMS, EACH)[sent : sent + STREAMS * EACH // restarts]
            await send(broker, batch)
            sent += len(batch)
            await group[n % members].restart()
            await until(lambda: _settled(group, 2 * members), *(one.task for one in group))
        await until(lambda: _applied(url) >= sent, *(one.task for one in group))
        for one in group:
            await one.stop()
        return sum(one.rebalances for one in group) - before, sent


def _applied(url: str) -> int:
    return int(Outside(url).query("SELECT count(*) FROM movements")[0][0])


async def test_static_members_restart_without_moving_partitions(
    store_url: str, tmp_path: Path
) -> None:
    """Each restart is one assignment, its own; every fact is applied once all the same."""
    rebalances, sent = await _storm(
        store_url, tmp_path, static=True, members=MEMBERS, restarts=RESTARTS_QUICK
    )
    assert RESTARTS_QUICK == rebalances
    assert sent == _applied(store_url)


async def test_control_dynamic_members_rebalance_again_and_again(
    store_url: str, tmp_path: Path
) -> None:
    """The same restarts without names: each leaving and each joining moves partitions of others."""
    rebalances, sent = await _storm(
        store_url, tmp_path, static=False, members=MEMBERS, restarts=RESTARTS_QUICK
    )
    assert rebalances > 2 * RESTARTS_QUICK
    assert sent == _applied(store_url)


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_six_members_restarting_every_three_seconds(store_url: str, tmp_path: Path) -> None:
    """Six members for a minute, with and without names: the difference is shown, nothing lost."""
    counts = {}
    for static in (True, False):
        folder = tmp_path / str(static)
        folder.mkdir()
        url = store_url if static else f"sqlite:///{folder / 'target.db'}"
        rebalances, sent = await _storm(url, folder, static=static, members=6, restarts=20)
        assert sent == _applied(url)
        counts[static] = rebalances
    print(f"rebalances with static membership {counts[True]}, without {counts[False]}")
    assert 20 == counts[True]
    assert counts[False] > 2 * counts[True]
