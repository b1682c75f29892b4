"""A projection follows the log: rows and checkpoint together, one runner at a time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from goldseam import ANY, Goldseam, NewEvent, Projection, handles, open_store
from goldseam.errors import CorruptCheckpoint, InvalidName, ProjectionError
from goldseam.events.registry import Registry
from goldseam.projections.checkpoint import Superseded, load
from goldseam.projections.hosted import HostedProjection
from goldseam.projections.source import Page, StoreSource
from goldseam.projections.transaction import PageTransaction
from tests.projections.bank import AccountRenamed, Balances, DepositApplied, Movements, Outside

ACCOUNTS = 5
DEPOSITS = 60


async def deposit(app: Goldseam, count: int = DEPOSITS) -> int:
    """Deposits of 1, 2, 3 ... spread over the accounts; the last position."""
    done = None
    for n in range(count):
        fact = DepositApplied(n + 1)
        done = await app.store.append(f"account-{n % ACCOUNTS}", [fact], expected=ANY)
    assert done is not None
    return done.position


async def test_every_event_is_applied_once_and_the_checkpoint_says_so(store_url: str) -> None:
    """What the log has is what the rows have, seen from outside."""
    async with Goldseam(store_url, [Balances(), Movements()]) as app:
        last = await deposit(app)
        await app.store.append("account-0", [AccountRenamed("x")], expected=ANY)
        await app.fetch("balances", "SELECT 1", after=last + 1, wait=20)
        await app.fetch("movements", "SELECT 1", after=last + 1, wait=20)
    outside = Outside(store_url)
    total = DEPOSITS * (DEPOSITS + 1) // 2
    assert [(total, DEPOSITS)] == outside.query("SELECT sum(balance), sum(deposits) FROM balances")
    positions = [row[0] for row in outside.query("SELECT position FROM movements ORDER BY n")]
    assert list(range(1, DEPOSITS + 1)) == positions
    found = outside.query(
        "SELECT projection, position FROM goldseam_checkpoints ORDER BY projection"
    )
    assert [("balances", last + 1), ("movements", last + 1)] == found


async def test_projections_may_live_in_databases_of_their_own(
    store_url: str, tmp_path: Path
) -> None:
    """One read model beside the store, another in a SQLite file, each with its checkpoint."""
    other = f"sqlite:///{tmp_path / 'movements.db'}"
    async with Goldseam(store_url, [Balances(), Movements()], {"movements": other}) as app:
        last = await deposit(app)
        await app.fetch("balances", "SELECT 1", after=last, wait=20)
        await app.fetch("movements", "SELECT 1", after=last, wait=20)
    assert [(DEPOSITS,)] == Outside(other).query("SELECT count(*) FROM movements")
    where = "SELECT projection FROM goldseam_checkpoints"
    assert [("movements",)] == Outside(other).query(where)
    assert [("balances",)] == Outside(store_url).query(where)


async def test_a_restart_goes_on_at_the_checkpoint(store_url: str) -> None:
    """What was applied before a restart is not applied again."""
    for _ in range(3):
        async with Goldseam(store_url, [Balances()]) as app:
            last = await deposit(app, 10)
            await app.fetch("balances", "SELECT 1", after=last, wait=20)
    assert [(30,)] == Outside(store_url).query("SELECT sum(deposits) FROM balances")


async def test_two_runners_never_apply_a_page_twice(store_url: str) -> None:
    """Two applications run one projection; every deposit is in the rows once."""
    async with Goldseam(store_url, [Balances()]) as one, Goldseam(store_url, [Balances()]) as two:
        await asyncio.gather(deposit(one), deposit(two))
        last = await one.store.head()
        await one.fetch("balances", "SELECT 1", after=last, wait=20)
    assert [(2 * DEPOSITS,)] == Outside(store_url).query("SELECT sum(deposits) FROM balances")


async def _apply_twice(store_url: str) -> int:
    """One page given to two runners that both saw the checkpoint at 0; deposits in the rows."""
    async with Goldseam(store_url, [Balances()], run=False) as app:
        last = await deposit(app, 5)
        hosted = app.projections["balances"]
        seen = (await hosted.database.read(lambda c: load(c, "balances")))["live"]
        page = Page(await app.store.read_all(), last)
        for _ in range(2):
            with suppress(Superseded):
                await hosted.database.transact(PageTransaction(hosted.applier.job, seen, page))
    return int(Outside(store_url).query("SELECT sum(deposits) FROM balances")[0][0])


async def test_a_page_is_applied_once_although_two_runners_hold_it(store_url: str) -> None:
    """The checkpoint is compared and set in the transaction of the rows."""
    assert 5 == await _apply_twice(store_url)


async def test_control_without_the_compare_and_set_a_page_is_applied_twice(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same two runners with a checkpoint that is only written: the damage shows."""

    async def write_only(connection: Any, old: Any, position: int, now_us: int) -> Any:
        new = old.but(position=position, updated_us=now_us)
        await connection.fetch(
            "UPDATE goldseam_checkpoints SET position = :position, checksum = :checksum",
            {"position": position, "checksum": new.checksum()},
        )
        return new

    monkeypatch.setattr("goldseam.projections.transaction.advance", write_only)
    assert 10 == await _apply_twice(store_url)


async def test_other_categories_and_tenants_only_move_the_checkpoint(store_url: str) -> None:
    """A projection of one category is not behind because others write."""

    class Savings(Balances):
        name = "savings"
        category = "saving"
        tables = Balances.tables.replace("{balances}", "{savings}")

        @handles(DepositApplied)
        async def deposited(self, fact: Any, db: Any) -> None:
            await db.execute(
                "INSERT INTO {savings} VALUES (:a, :n, 1)",
                {"a": fact.stream, "n": fact.data.amount},
            )

    async with Goldseam(store_url, [Savings()]) as app:
        await app.store.append("saving-1", [DepositApplied(7)], expected=ANY)
        await app.store.append("account-1", [DepositApplied(8)], expected=ANY)
        tenant = app.store.for_tenant("acme")
        done = await tenant.append("saving-2", [DepositApplied(9)], expected=ANY)
        rows = await app.fetch("savings", "SELECT * FROM savings", after=done.token, wait=20)
    assert [("saving-1", 7, 1)] == [tuple(row) for row in rows]


async def test_side_effects_wait_for_the_commit_and_are_never_replayed(store_url: str) -> None:
    """They are done for new events, in order, and not for a reset, a rebuild or old events."""
    async with Goldseam(store_url) as app:
        await deposit(app, 3)
    projection = Balances()
    async with Goldseam(store_url, [projection]) as app:
        await app.fetch("balances", "SELECT 1", after=3, wait=20)
        assert [] == projection.told
        last = await deposit(app, 3)
        await app.fetch("balances", "SELECT 1", after=last, wait=20)
        await app.projections["balances"].rebuild()
        await app.projections["balances"].reset()
        await app.fetch("balances", "SELECT 1", after=last, wait=20)
        last = await deposit(app, 1)
        await app.fetch("balances", "SELECT 1", after=last, wait=20)
    assert [4, 5, 6, 7] == projection.told


async def test_a_crash_between_the_rows_and_the_commit_leaves_neither(store_url: str) -> None:
    """A handler that ends the transaction takes the checkpoint back with the rows."""

    class Interrupted(BaseException):
        """What a handler must never swallow."""

    class Fragile(Movements):
        async def apply_batch(self, events: Any, db: Any) -> None:
            await super().apply_batch(events, db)
            raise Interrupted

    async with Goldseam(store_url, [Fragile()], run=False) as app:
        await deposit(app, 3)
        with pytest.raises(Interrupted):
            await app.projections["movements"].runner.catch_up()
    outside = Outside(store_url)
    assert [(0,)] == outside.query("SELECT count(*) FROM movements")
    assert [(0,)] == outside.query("SELECT position FROM goldseam_checkpoints")


async def test_a_version_that_nobody_registered_is_not_passed_over(store_url: str) -> None:
    """An event of a handled name in a newer version stops its sequence instead of vanishing."""
    newer = Registry()

    @newer.event(name="tests.DepositApplied", version=2)
    class Newer(msgspec.Struct):
        cents: int

    async with await open_store(store_url, registry=newer) as store:
        await store.append("account-9", [NewEvent(Newer(5))], expected=ANY)
    async with Goldseam(store_url, [Balances()]) as app:
        await app.fetch("balances", "SELECT 1", after=1, wait=20, sequence="account-1")
        found = await app.projections["balances"].parked()
    assert [("account-9", 1)] == [(one.sequence, one.position) for one in found]
    assert "UnknownEventType" in found[0].error


async def test_a_projection_says_what_is_wrong_with_its_declaration(store_url: str) -> None:
    """No name, no handler, a bad table name, two of one name: each is an error that helps."""

    class Nameless(Projection):
        pass

    class Idle(Projection):
        name = "idle"

    class Shouting(Balances):
        tables = "CREATE TABLE {Balances} (a TEXT)"

    with pytest.raises(ProjectionError, match="needs a name"):
        Nameless()
    with pytest.raises(ProjectionError, match="handles nothing"):
        Idle()
    with pytest.raises(ProjectionError, match="same name"):
        Goldseam(store_url, [Balances(), Balances()])
    with pytest.raises(InvalidName, match="lower-case"):
        async with Goldseam(store_url, [Shouting()]):
            pass


async def test_other_tables_under_the_same_version_are_refused(store_url: str) -> None:
    """Changed tables need a new version and a rebuild, or old rows would be served as new."""

    class Changed(Balances):
        tables = "CREATE TABLE {balances} (account TEXT PRIMARY KEY)"

    async with Goldseam(store_url, [Balances()]):
        pass
    with pytest.raises(ProjectionError, match="raise its version"):
        async with Goldseam(store_url, [Changed()]):
            pass


@pytest.mark.parametrize(
    "change",
    [
        "position = position + 1",
        "generation = generation + 1",
        "quiet_until = quiet_until + 1",
        "state = 'paused'",
        "version = 2",
        "updated_us = updated_us + 1",
        "code_hash = 'x'",
        "source = 'x'",
        "colour = 2",
    ],
)
async def test_a_flipped_bit_of_a_checkpoint_is_found_and_never_used(
    store_url: str, change: str
) -> None:
    """Reads, the runner and the start of the next application refuse it; a rebuild mends it."""
    async with Goldseam(store_url, [Balances()]) as app:
        last = await deposit(app, 5)
        await app.fetch("balances", "SELECT 1", after=last, wait=20)
    Outside(store_url).query(f"UPDATE goldseam_checkpoints SET {change}")
    async with Goldseam(store_url, [Balances(), Movements()]) as app:
        with pytest.raises(CorruptCheckpoint, match="rebuild balances"):
            await app.fetch("balances", "SELECT 1")
        await app.fetch("movements", "SELECT 1", after=last, wait=20)
        hosted = app.projections["balances"]
        with pytest.raises(CorruptCheckpoint):
            await hosted.runner.catch_up()
        await hosted.rebuild()
        await app.fetch("balances", "SELECT 1", after=last, wait=20)
    assert [(5,)] == Outside(store_url).query("SELECT sum(deposits) FROM balances")


async def test_a_checkpoint_beyond_the_end_of_the_log_or_of_another_is_refused(
    store_url: str, tmp_path: Path
) -> None:
    """A store that went backwards, or was exchanged, does not look caught up."""
    rows = f"sqlite:///{tmp_path / 'rows.db'}"
    async with Goldseam(store_url, [Balances()], rows) as app:
        last = await deposit(app, 5)
        await app.fetch("balances", "SELECT 1", after=last, wait=20)
        hosted = app.projections["balances"]
        await app.projections["balances"].pause()

        class Shorter(StoreSource):
            async def head(self) -> int:
                return 3

        short = HostedProjection(Balances(), Shorter(app.store), hosted.database)
        await hosted.resume()
        with pytest.raises(CorruptCheckpoint, match="went backwards"):
            await short.runner.catch_up()
    async with Goldseam(f"sqlite:///{tmp_path / 'other.db'}", [Balances()], rows) as app:
        with pytest.raises(CorruptCheckpoint, match="follows log"):
            await app.fetch("balances", "SELECT 1")


async def test_a_paused_projection_stands_still_until_it_is_resumed(store_url: str) -> None:
    """Pausing is written to the database: another process's runner obeys."""
    async with (
        Goldseam(store_url, [Balances()]) as running,
        Goldseam(store_url, [Balances()], run=False) as elsewhere,
    ):
        last = await deposit(running, 5)
        await running.fetch("balances", "SELECT 1", after=last, wait=20)
        await elsewhere.projections["balances"].pause()
        later = await deposit(running, 5)
        await asyncio.sleep(0.2)
        assert last == (await running.read_model("balances").standing()).position
        assert "paused" == (await running.projections["balances"].status()).state
        await elsewhere.projections["balances"].resume()
        await running.fetch("balances", "SELECT 1", after=later, wait=20)


async def test_an_event_class_may_be_declared_anywhere(store_url: str) -> None:
    """Types the projection does not know of are passed over, registered or not."""
    private = Registry()

    @private.event(name="tests.SomethingElse")
    class SomethingElse(msgspec.Struct):
        x: int

    async with await open_store(store_url, registry=private) as store:
        done = await store.append("other-1", [SomethingElse(1)], expected=ANY)
    async with Goldseam(store_url, [Balances()]) as app:
        assert [] == await app.fetch(
            "balances", "SELECT * FROM balances", after=done.position, wait=20
        )
