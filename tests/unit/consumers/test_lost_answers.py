"""A commit whose answer is lost: what it did counts once, in the rows, the tally and outside."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest

from goldseam import Recorded
from goldseam.consumers.connection import ConsumerConnection
from goldseam.consumers.consumer import Consumer
from goldseam.consumers.handlers import handles
from goldseam.consumers.modes import EffectivelyOnce, Mode
from goldseam.consumers.runner import ConsumerRunner
from goldseam.consumers.transaction import BatchTransaction
from goldseam.database.connection import Database
from goldseam.errors import CommitUnknown
from tests.support.consumers import TOPIC, MoneyDeposited, facts
from tests.support.eventually import eventually
from tests.support.river import river, running, send, target


class _LosesAnswers:
    """Of the first batch: committed, or not, its answer never arrives."""

    def __init__(self, database: Database, *, committed: bool) -> None:
        self._database, self._committed, self.lost = database, committed, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def transact(self, operation: Any) -> Any:
        if not isinstance(operation, BatchTransaction) or self.lost:
            return await self._database.transact(operation)
        self.lost += 1
        with suppress(_RolledBack):
            await self._database.transact(operation if self._committed else _undone(operation))
        raise CommitUnknown((), "the server went away while the commit was under way")


class _RolledBack(Exception):
    """The server ended before the commit."""


def _undone(operation: BatchTransaction) -> Any:
    async def run(connection: Any) -> None:
        await operation(connection)
        raise _RolledBack

    return run


class _Mails(Consumer):
    """A row of its own for each fact, and a mail once it is committed."""

    name = "mails"
    topics = (TOPIC,)
    mode: ClassVar[Mode] = EffectivelyOnce()
    tables = "CREATE TABLE {sent} (n INTEGER NOT NULL, account TEXT NOT NULL)"

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[tuple[str, int]] = []

    @handles(MoneyDeposited)
    async def deposited(self, fact: Recorded[MoneyDeposited], db: ConsumerConnection) -> None:
        row = {"n": fact.version, "account": fact.stream}
        await db.execute("INSERT INTO {sent} VALUES (:n, :account)", row)
        db.side_effect(lambda: self.mails.append((fact.stream, fact.version)))


@pytest.mark.parametrize("committed", [True, False], ids=["committed", "rolled back"])
async def test_what_was_done_counts_once(store_url: str, tmp_path: Path, committed: bool) -> None:
    """The next try finds out; the mails of a batch that did commit are still sent, once."""
    async with river(f"sqlite:///{tmp_path / 'broker.db'}") as broker, target(store_url) as base:
        await send(broker, facts(3, 4))
        mails, losing = _Mails(), _LosesAnswers(base, committed=committed)
        runner = ConsumerRunner(mails, broker, losing)  # type: ignore[arg-type]
        async with running(runner):
            await eventually(lambda: len(mails.mails) >= 12)
        assert 1 == losing.lost
        assert 12 == len(set(mails.mails)) == len(mails.mails)
        assert 12 == runner.tally.applied
        rows = await base.fetch("SELECT account, n FROM sent")
        assert sorted(mails.mails) == sorted((account, n) for account, n in rows)
