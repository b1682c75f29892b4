"""A topic that was made a moment ago is not yet known to every broker of a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from goldseam.broker.port import Admin, Topic
from goldseam.consumers.errors import ConsumerError
from goldseam.consumers.modes import EffectivelyOnce
from goldseam.consumers.runner import ConsumerRunner
from tests.support.consumers import of_mode
from tests.support.river import river, target

LOOKS = 3


class _Cluster:
    """A broker of several, whose first answers are those of one that lags behind."""

    def __init__(self, inner: Any, lags: int) -> None:
        self._inner, self.lags = inner, lags
        self.capabilities = msgspec.structs.replace(inner.capabilities, replicated=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def admin(self) -> Any:
        return _Desk(self, await self._inner.admin())


class _Desk:
    def __init__(self, cluster: _Cluster, inner: Admin) -> None:
        self._cluster, self._inner = cluster, inner

    async def topics(self) -> Mapping[str, Topic]:
        self._cluster.lags -= 1
        return {} if self._cluster.lags >= 0 else await self._inner.topics()

    async def close(self) -> None:
        await self._inner.close()


async def _prepared(folder: Path, lags: int) -> _Cluster:
    where = f"sqlite:///{folder / 'broker.db'}"
    async with river(where) as broker, target(f"sqlite:///{folder / 'target.db'}") as base:
        cluster = _Cluster(broker, lags)
        await ConsumerRunner(of_mode(EffectivelyOnce()), cluster, base).prepare()  # type: ignore[arg-type]
    return cluster


async def test_it_is_waited_for(tmp_path: Path) -> None:
    """A consumer that starts beside the relay that makes its topic does not fail."""
    assert (await _prepared(tmp_path, LOOKS)).lags == -1


async def test_one_that_nobody_made_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while it is not there, and not late."""
    monkeypatch.setattr("goldseam.consumers.workshop.TOPICS_SECONDS", 0.3)
    with pytest.raises(ConsumerError, match="no topic"):
        await _prepared(tmp_path, 1_000)
