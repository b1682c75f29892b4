"""Checkpoints, parked events and position tokens of the old store mean something in the new one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from goldseam import ANY, EventStore, open_store
from goldseam.database.connection import Database
from goldseam.errors import CorruptCheckpoint, InvalidPosition
from goldseam.healing.log import prepare
from goldseam.migration.migration import Migration
from goldseam.migration.tokens import translated
from goldseam.migration.transform import Changed, Fact, Transform
from goldseam.projections.hosted import HostedProjection
from goldseam.projections.source import StoreSource
from goldseam.runtime.wiring import open_database
from tests.crashes.outside import query
from tests.migration.conftest import Pair, pair
from tests.projections.bank import POISON, AccountRenamed, Balances, DepositApplied

__all__ = ["pair"]

DEPOSITS = 60


def without_names(fact: Fact) -> Changed:
    """Drops what no balance needs, and splits each tenth deposit into two halves."""
    if fact.type == "tests.AccountRenamed":
        return None
    amount = fact.fields["amount"]
    if amount != 10:
        return fact
    return [fact.but(fields={"amount": 4}), fact.new(fact.type, {"amount": 6})]


class Sums(Transform):
    """Two deposits of one account that follow one another become one."""

    def holds(self, fact: Fact) -> bool:
        return fact.type == "tests.DepositApplied" and fact.fields["amount"] < 10

    def merge(self, held: Fact, fact: Fact) -> Fact | None:
        if fact.type != held.type:
            return None
        return held.but(fields={"amount": held.fields["amount"] + fact.fields["amount"] + 10})


class World(NamedTuple):
    source: EventStore
    target: EventStore
    rows: Database
    rows_url: str

    def hosted(self, store: EventStore, projection: Balances) -> HostedProjection:
        return HostedProjection(projection, StoreSource(store), self.rows)


@asynccontextmanager
async def world(pair: Pair, folder: Path) -> AsyncIterator[World]:
    """Both stores, and a read model in a file of its own."""
    url = f"sqlite:///{folder / 'rows.db'}"
    rows = open_database(url)
    async with await open_store(pair.source) as source, await open_store(pair.target) as target:
        yield World(source, target, rows, url)
        await rows.close()


async def deposit(store: EventStore, amounts: range | list[int]) -> None:
    for n in amounts:
        await store.append(f"account-{n % 3}", [DepositApplied(amount=n % 11)], expected=ANY)
        if n % 4 == 0:
            await store.append(f"account-{n % 3}", [AccountRenamed(name="x")], expected=ANY)


async def meaning(store: EventStore, token: str) -> int | None:
    """The position here of a token of the store that this one was migrated from."""
    return await store.database.read_one(lambda c: translated(c, token))


async def applied(hosted: HostedProjection) -> None:
    """Apply all there is."""
    await hosted.prepare()
    await hosted.runner.catch_up()


def balances(url: str) -> list[tuple[object, ...]]:
    return query(url, "SELECT account, balance FROM balances ORDER BY account")


def expected(*amounts: range) -> list[tuple[object, ...]]:
    sums = {f"account-{n}": 0 for n in range(3)}
    for n in (n for one in amounts for n in one):
        sums[f"account-{n % 3}"] += n % 11
    return sorted(sums.items())


async def test_a_read_model_goes_on_where_it_was(pair: Pair, tmp_path: Path) -> None:
    """Half of the log was applied before the cut-over: the rest is applied after it, once."""
    async with world(pair, tmp_path) as w:
        await deposit(w.source, range(30))
        await applied(w.hosted(w.source, Balances()))
        await deposit(w.source, range(30, 50))
        migration = Migration(w.source, w.target, without_names, read_models=[w.rows])
        done = await migration.cutover()
        with pytest.raises(CorruptCheckpoint, match="it follows log"):
            await w.hosted(w.source, Balances()).prepare()
        await deposit(w.target, range(50, 70))
        projection = Balances()
        await applied(w.hosted(w.target, projection))

        assert expected(range(70)) == balances(w.rows_url)
        assert ["translated"] == [one.verdict for one in done.projections]
        assert min(projection.told) > (done.projections[0].target_position or 0)
        again = await migration.cutover()
        assert [] == list(again.projections)


async def test_parked_events_move_along(pair: Pair, tmp_path: Path) -> None:
    """What waits for a mended handler is applied from the new store, under its new position."""
    async with world(pair, tmp_path) as w:
        await deposit(w.source, range(10))
        await w.source.append("account-0", [DepositApplied(amount=POISON)], expected=ANY)
        await w.source.append("account-0", [AccountRenamed(name="x")], expected=ANY)
        await deposit(w.source, range(10, 20))
        broken = Balances()
        broken.broken = True
        await applied(w.hosted(w.source, broken))
        waiting = len(await w.hosted(w.source, broken).parked())
        await Migration(w.source, w.target, without_names, read_models=[w.rows]).cutover()
        mended = w.hosted(w.target, Balances())
        await applied(mended)
        parked = await mended.parked()
        await mended.retry()

        assert 2 < len(parked) <= waiting
        log = {str(one.id): one.position for one in await w.target.read_all()}
        assert [log[one.event_id] for one in parked] == [one.position for one in parked]
        total = sum(n % 11 for n in range(20)) + POISON
        assert [(total,)] == query(w.rows_url, "SELECT sum(balance) FROM balances")


async def test_what_was_taken_in_of_corrections_moves_along(pair: Pair, tmp_path: Path) -> None:
    """Left as it was, it would lie behind corrections that nobody has taken in."""
    async with world(pair, tmp_path) as w:
        await deposit(w.source, range(30))
        await applied(w.hosted(w.source, Balances()))
        await prepare(w.rows, w.target.clock)
        query(w.rows_url, "INSERT INTO goldseam_corrections_taken_in VALUES ('balances', 1, 10)")
        before = [one for one in await w.source.read_all() if one.position <= 10]
        await Migration(w.source, w.target, without_names, read_models=[w.rows]).cutover()
        ids = {one.id for one in before}
        kept = [one.position for one in await w.target.read_all() if one.id in ids]
        found = query(w.rows_url, "SELECT until FROM goldseam_corrections_taken_in")

    assert [(max(kept),)] == found
    assert max(kept) < 10


async def test_control_a_checkpoint_copied_as_it_is_applies_events_again_or_never(
    pair: Pair, tmp_path: Path
) -> None:
    """The number alone, put under the new store's name: the sums are wrong."""
    async with world(pair, tmp_path) as w:
        await deposit(w.source, range(30))
        hosted = w.hosted(w.source, Balances())
        await applied(hosted)
        await deposit(w.source, range(30, 50))
        await Migration(w.source, w.target, without_names).cutover()
        from goldseam.projections.checkpoint import load, save

        async def rename(connection):  # type: ignore[no-untyped-def]
            one = (await load(connection, "balances"))["live"]
            await save(connection, one.but(source=str(w.target.store_id)))

        await w.rows.transact(rename)
        await applied(w.hosted(w.target, Balances()))

        assert expected(range(50)) != balances(w.rows_url)


async def test_a_checkpoint_inside_of_a_merge_is_left_to_a_rebuild(
    pair: Pair, tmp_path: Path
) -> None:
    """No place in the new log is right for it; one at the end of the log is translated."""
    async with world(pair, tmp_path) as w:
        await w.source.append("account-0", [DepositApplied(amount=1)], expected=ANY)
        await applied(w.hosted(w.source, Balances()))
        await w.source.append("account-0", [DepositApplied(amount=2)], expected=ANY)
        done = await Migration(w.source, w.target, Sums(), read_models=[w.rows]).cutover()

        assert [("rebuild", 1)] == [(one.verdict, one.source_position) for one in done.projections]
        with pytest.raises(CorruptCheckpoint, match="run `goldseam projections rebuild balances`"):
            await w.hosted(w.target, Balances()).prepare()
        assert [13] == [one.data.amount for one in await w.target.read_all()]


async def test_a_token_of_the_old_store_is_translated(pair: Pair, tmp_path: Path) -> None:
    """Whoever has read up to the translation has seen everything that the token stood for."""
    async with world(pair, tmp_path) as w:
        await deposit(w.source, range(30))
        tokens = {one.id: w.source.token(one.position) for one in await w.source.read_all()}
        migration = Migration(w.source, w.target, without_names)
        await migration.run()
        with pytest.raises(InvalidPosition, match="still being migrated"):
            await meaning(w.target, w.source.token(1))
        await migration.cutover()
        log = await w.target.read_all()
        for token in tokens.values():
            at = await meaning(w.target, token)
            assert at is not None
            mine = list(tokens.values()).index(token) + 1
            seen = {one.id for one in log if one.position <= at}
            kept = {one.id for one in log} & set(list(tokens)[:mine])
            assert kept <= seen
            assert not (set(list(tokens)[mine:]) & seen)

        for forged in (w.source.token(1)[:-1] + "z", w.source.token(10_000)):
            with pytest.raises(InvalidPosition):
                await meaning(w.target, forged)
        for foreign in ("7", w.target.token(1), "nonsense"):
            assert None is await meaning(w.target, foreign)
        assert None is await meaning(w.source, "gs-1-1-1")


async def test_a_token_inside_of_a_merge_means_the_merged_event(pair: Pair, tmp_path: Path) -> None:
    """It never means too little: a reader that waits for it sees the merged event."""
    async with world(pair, tmp_path) as w:
        for amount in (1, 2, 20, 3):
            await w.source.append("account-0", [DepositApplied(amount=amount)], expected=ANY)
        await Migration(w.source, w.target, Sums()).cutover()
        at = [await meaning(w.target, w.source.token(n)) for n in (1, 2, 3, 4)]
        amounts = [one.data.amount for one in await w.target.read_all()]

    assert [13, 20, 3] == amounts
    assert [1, 1, 2, 3] == at
