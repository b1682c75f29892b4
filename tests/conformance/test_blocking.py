"""Appending inside a caller's own transaction: psycopg, sqlite3, SQLAlchemy on both."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import psycopg
import pytest
import sqlalchemy
from psycopg.rows import dict_row
from sqlalchemy.orm import Session

from examples.bank.account import Deposit, OpenAccount, account
from examples.bank.events import DepositApplied
from goldseam import (
    ANY,
    NEW,
    EventStore,
    Personal,
    Registry,
    VersionConflict,
    blocking,
    open_store,
    open_vault,
)
from goldseam.commands.snapshots import SnapshotPolicy
from goldseam.errors import GoldseamError, InvalidInput, KeysMissing, StoreReadOnly
from goldseam.events.positions import encode_token
from tests.crashes.outside import connect, execute, holes, query, transaction, versions
from tests.unit.commands.accounts import Account

STREAM = "account-1"
FACTS = [DepositApplied(total_amount=5)]
ROWS = "SELECT count(*) FROM business"

Open = Callable[[str], Any]


@pytest.fixture
async def url(store_url: str) -> str:
    """A store with its tables, and a table of the caller's own beside them."""
    store = await open_store(store_url)
    await store.close()
    query(store_url, "CREATE TABLE business (note TEXT)")
    return store_url


@contextmanager
def _driver(url: str) -> Iterator[tuple[Any, Callable[[str], object]]]:
    with transaction(url) as connection:
        yield connection, lambda sql: execute(connection, sql)


def _engine(url: str) -> sqlalchemy.Engine:
    if url.startswith("sqlite"):
        engine = sqlalchemy.create_engine(url)

        @sqlalchemy.event.listens_for(engine, "connect")
        def own_transactions(raw: sqlite3.Connection, _: object) -> None:
            raw.isolation_level = None

        @sqlalchemy.event.listens_for(engine, "begin")
        def begin(connection: sqlalchemy.Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

        return engine
    base, _, schema = url.partition("?schema=")
    return sqlalchemy.create_engine(
        base.replace("postgresql:", "postgresql+psycopg:"),
        connect_args={"options": f"-c search_path={schema}"},
    )


@contextmanager
def _sqlalchemy_connection(url: str) -> Iterator[tuple[Any, Callable[[str], object]]]:
    engine = _engine(url)
    try:
        with engine.begin() as connection:
            yield connection, connection.exec_driver_sql
    finally:
        engine.dispose()


@contextmanager
def _sqlalchemy_session(url: str) -> Iterator[tuple[Any, Callable[[str], object]]]:
    engine = _engine(url)
    try:
        with Session(engine) as session, session.begin():
            yield session, lambda sql: session.execute(sqlalchemy.text(sql))
    finally:
        engine.dispose()


@pytest.fixture(params=[_driver, _sqlalchemy_connection, _sqlalchemy_session])
def opened(request: pytest.FixtureRequest) -> Open:
    """How the caller came by the transaction."""
    opener: Open = request.param
    return opener


def test_a_row_and_events_commit_together(url: str, opened: Open) -> None:
    """Both are there afterwards, and the token is one that the store accepts."""
    with opened(url) as (connection, run):
        run("INSERT INTO business VALUES ('paid')")
        done = blocking.append(connection, STREAM, FACTS, expected=NEW)
        assert FACTS == [e.data for e in blocking.read_stream(connection, STREAM)]
    assert [(1,)] == query(url, ROWS)
    assert [1] == versions(url, STREAM)
    identity = query(url, "SELECT id FROM goldseam_store")[0][0]
    assert str(identity) == str(done.store_id)
    assert encode_token(done.store_id, 1) == done.token


def test_a_row_and_events_roll_back_together_and_leave_no_hole(url: str, opened: Open) -> None:
    """The position of the append that was rolled back is given to the next one."""

    def fail_late() -> None:
        with opened(url) as (connection, run):
            run("INSERT INTO business VALUES ('paid')")
            blocking.append(connection, STREAM, FACTS, expected=NEW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_late()
    assert [(0,)] == query(url, ROWS)
    assert [] == versions(url, STREAM)
    with opened(url) as (connection, _):
        assert 1 == blocking.append(connection, STREAM, FACTS, expected=NEW).position
    assert 0 == holes(url)


def test_a_command_is_handled_in_the_callers_transaction(url: str, opened: Open) -> None:
    """The second command sees the facts of the first, which nobody else sees yet."""
    with opened(url) as (connection, _):
        blocking.handle(connection, account, STREAM, OpenAccount(owner="ada"))
        done = blocking.handle(connection, account, STREAM, Deposit(amount=7), key="k")
        again = blocking.handle(connection, account, STREAM, Deposit(amount=7), key="k")
        nothing = blocking.handle(connection, Account, STREAM, lambda a: a.open("eve"))
    assert (7, 2, False) == (done.state.balance, done.version, done.replayed)
    assert (done.position, True) == (again.position, again.replayed)
    assert (2, ()) == (nothing.position, nothing.events)
    assert [1, 2] == versions(url, STREAM)


def test_a_conflict_leaves_the_transaction_usable(url: str, opened: Open) -> None:
    """A refused append is an answer: the caller may write something else and commit."""
    with opened(url) as (connection, run):
        blocking.append(connection, STREAM, FACTS, expected=NEW)
        with pytest.raises(VersionConflict):
            blocking.append(connection, STREAM, FACTS, expected=NEW)
        run("INSERT INTO business VALUES ('refused')")
    assert [(1,)] == query(url, ROWS)
    assert [1] == versions(url, STREAM)


def test_several_streams_and_tenants(url: str) -> None:
    """All or nothing over several streams; another tenant's stream of that name is another."""
    with transaction(url) as connection:
        writes = [("account-1", NEW, FACTS), ("account-2", NEW, FACTS * 2)]
        assert {"account-1": 1, "account-2": 2} == blocking.append_all(connection, writes).versions
        done = blocking.append(connection, STREAM, FACTS, expected=NEW, tenant="acme")
        assert {STREAM: 1} == done.versions
        assert 1 == len(blocking.read_stream(connection, STREAM, tenant="acme"))


def test_rows_come_as_tuples_whatever_the_caller_prefers(url: str) -> None:
    """A caller's row factory is the caller's: goldseam does not trip over it, nor change it."""
    connection = connect(url)
    if isinstance(connection, sqlite3.Connection):
        factory: Any = _first_column
        connection.row_factory = factory
        connection.execute("BEGIN IMMEDIATE")
    else:
        factory = connection.row_factory = dict_row
    blocking.handle(connection, Account, STREAM, lambda a: a.deposit(5), key="k")
    done = blocking.handle(connection, Account, STREAM, lambda a: a.deposit(5), key="k")
    connection.commit()
    assert done.replayed
    assert factory is connection.row_factory
    connection.close()


def test_without_a_transaction_the_append_is_refused(url: str) -> None:
    """Where each statement commits by itself, the events could not follow the caller's rows."""
    connection = connect(url)
    if not isinstance(connection, sqlite3.Connection):
        connection.autocommit = True
    with pytest.raises(StoreReadOnly, match="transaction"):
        blocking.append(connection, STREAM, FACTS, expected=NEW)
    with pytest.raises(StoreReadOnly, match="transaction"):
        blocking.handle(connection, Account, STREAM, lambda a: a.deposit(1))
    assert [] == blocking.read_stream(connection, STREAM)
    connection.close()
    assert [] == versions(url, STREAM)


@pytest.mark.parametrize(
    "level", [psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE]
)
async def test_postgresql_above_read_committed_is_refused(
    postgres_schema_url: str, level: psycopg.IsolationLevel
) -> None:
    """Such a transaction does not see the newest position, so it could give it out twice."""
    await (await open_store(postgres_schema_url)).close()
    with connect(postgres_schema_url) as connection:
        connection.isolation_level = level
        with pytest.raises(StoreReadOnly, match="READ COMMITTED"):
            blocking.append(connection, STREAM, FACTS, expected=NEW)
        connection.rollback()
        connection.isolation_level = None
        blocking.append(connection, STREAM, FACTS, expected=NEW)
    assert [1] == versions(postgres_schema_url, STREAM)


async def test_a_rival_between_load_and_append_is_decided_again(postgres_schema_url: str) -> None:
    """In READ COMMITTED the second try sees what the rival has committed."""
    await (await open_store(postgres_schema_url)).close()
    seen: list[int] = []

    def deposit(a: Account) -> None:
        seen.append(a.balance)
        if len(seen) == 1:
            with transaction(postgres_schema_url) as rival:
                blocking.append(rival, STREAM, FACTS, expected=NEW)
        a.deposit(1)

    with transaction(postgres_schema_url) as connection:
        done = blocking.handle(connection, Account, STREAM, deposit)
    assert [0, 5] == seen
    assert (2, 6) == (done.version, done.state.balance)


def test_a_snapshot_that_cannot_be_written_leaves_the_transaction_usable(url: str) -> None:
    """It is kept behind a savepoint: its failure costs neither the facts nor the caller's rows."""
    query(url, "DROP TABLE goldseam_snapshots")
    columns = "tenant TEXT, stream TEXT, kind TEXT, version BIGINT, schema_hash TEXT"
    query(url, f"CREATE TABLE goldseam_snapshots ({columns}, state TEXT, checksum BIGINT)")
    with transaction(url) as connection:
        blocking.handle(
            connection, Account, STREAM, lambda a: a.deposit(1), snapshots=SnapshotPolicy(every=1)
        )
        execute(connection, "INSERT INTO business VALUES ('paid')")
    assert [1] == versions(url, STREAM)
    assert [(1,)] == query(url, ROWS)


def test_a_connection_is_found_behind_its_wrappers(url: str) -> None:
    """Frameworks wrap the driver's connection; they keep it as ``connection``."""
    with transaction(url) as connection:
        wrapped = SimpleNamespace(connection=SimpleNamespace(driver_connection=connection))
        blocking.append(wrapped, STREAM, FACTS, expected=NEW)
    assert [1] == versions(url, STREAM)


@pytest.mark.parametrize("foreign", [None, object(), "postgresql://somewhere"])
def test_what_is_no_connection_is_refused_with_a_list_of_what_is(foreign: object) -> None:
    """The message names what was given and what would do."""
    with pytest.raises(InvalidInput, match=r"give a psycopg\.Connection"):
        blocking.append(foreign, STREAM, FACTS, expected=NEW)


async def test_followers_see_the_events_once_the_caller_has_committed(url: str) -> None:
    """A live follower of the store is woken by the caller's commit, and never before it."""
    store = await open_store(url)
    seen = asyncio.create_task(_first_position(store))
    connection = connect(url)
    if isinstance(connection, sqlite3.Connection):
        connection.execute("BEGIN IMMEDIATE")
    blocking.append(connection, STREAM, FACTS, expected=ANY)
    assert [] == await store.read_all()
    assert not seen.done()
    connection.commit()
    connection.close()
    assert 1 == await seen
    await store.close()


def _first_column(_: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {"first": row[0]}


async def _first_position(store: EventStore) -> int:
    async for found in store.follow(after=0):
        return found.position
    raise GoldseamError("the follower ended")


def test_personal_fields_are_refused_without_keys(url: str) -> None:
    """A blocking caller has no way to the keys: nothing personal is written in clear."""
    people = Registry()

    @people.event
    class CustomerIntroduced:
        customer: str
        name: Annotated[str, Personal("customer")]

    facts = [CustomerIntroduced("customer-1", "Ann")]
    with transaction(url) as connection, pytest.raises(KeysMissing):
        blocking.append(connection, "customer-1", facts, expected=NEW, registry=people)
    assert [(0,)] == query(url, "SELECT count(*) FROM goldseam_events")


def test_sealed_events_are_not_shown_without_keys(url: str, tmp_path: Path) -> None:
    """A stream with sealed values is refused, never served as rows."""
    people = Registry()

    @people.event
    class CustomerIntroduced:
        customer: str
        name: Annotated[str, Personal("customer")]

    async def write() -> None:
        vault = await open_vault(f"sqlite:///{tmp_path}/keys.db", f"file://{tmp_path}/epochs")
        async with await open_store(url, registry=people, vault=vault) as store:
            facts = [CustomerIntroduced("customer-1", "Ann")]
            await store.append("customer-1", facts, expected=NEW)
        await vault.close()

    asyncio.run(write())
    with transaction(url) as connection, pytest.raises(KeysMissing):
        blocking.read_stream(connection, "customer-1", registry=people)
