"""A node that was not deployed anew reads the new store: it holds or parks, and drops nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldseam import ANY, Projection, Recorded, Registry, event, handles, open_store
from goldseam.errors import UnknownEventType
from goldseam.migration.migration import Migration
from goldseam.migration.transform import Fact
from goldseam.projections.connection import ProjectionConnection
from goldseam.projections.hosted import HostedProjection
from goldseam.projections.source import StoreSource
from tests.crashes.outside import query
from tests.migration.conftest import Pair, pair
from tests.projections.bank import Balances, DepositApplied

__all__ = ["pair"]

old_node, new_node = Registry(), Registry()
old_node.register(DepositApplied, name="tests.DepositApplied")


@event(name="tests.DepositAppliedNow", version=2)
class DepositInCents:
    cents: int


new_node.register(DepositInCents, name="tests.DepositApplied", version=2)


class NewBalances(Projection):
    """The same read model, one version on."""

    name = "balances"
    tables = Balances.tables

    @handles(DepositInCents)
    async def deposited(self, fact: Recorded[DepositInCents], db: ProjectionConnection) -> None:
        await db.execute(
            "INSERT INTO {balances} VALUES (:account, :amount, 1) ON CONFLICT (account) DO UPDATE"
            " SET balance = {balances}.balance + excluded.balance,"
            " deposits = {balances}.deposits + 1",
            {"account": fact.stream, "amount": fact.data.cents // 100},
        )


def to_cents(fact: Fact) -> Fact:
    return fact.but(type_version=2, fields={"cents": fact.fields["amount"] * 100})


async def test_an_old_node_parks_what_it_cannot_read_and_the_new_one_applies_it(
    pair: Pair, tmp_path: Path
) -> None:
    """Every event of the new version waits, in order; after the deployment none is missing."""
    async with (
        await open_store(pair.source, registry=old_node) as source,
        await open_store(pair.target, registry=old_node) as target,
        await open_store(f"sqlite:///{tmp_path / 'rows.db'}") as rows,
    ):
        for n in range(1, 31):
            await source.append(f"account-{n % 3}", [DepositApplied(amount=n)], expected=ANY)
        await Migration(source, target, to_cents).cutover()
        old = HostedProjection(Balances(), StoreSource(target), rows.database, registry=old_node)
        await old.prepare()
        await old.runner.catch_up()
        assert list(range(1, 31)) == sorted(one.position for one in await old.parked())
        with pytest.raises(UnknownEventType):
            await target.read_stream("account-0")
        with pytest.raises(UnknownEventType):
            async for _ in target.follow():
                pass

        async with await open_store(pair.target, registry=new_node) as deployed:
            new = HostedProjection(
                NewBalances(), StoreSource(deployed), rows.database, registry=new_node
            )
            await new.prepare()
            await new.retry()
    found = query(f"sqlite:///{tmp_path / 'rows.db'}", "SELECT sum(balance) FROM balances")
    assert [(sum(range(1, 31)),)] == found
