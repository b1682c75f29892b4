"""privacy/right-to-forget: a person is forgotten in a log that forgets nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import psycopg
import pytest

from goldseam import ANY, NEW, Goldseam, Registry, open_store
from goldseam.forgetting.forget import Forgetting
from goldseam.forgetting.needles import all_forms
from goldseam.forgetting.places import rows_of, tables_of
from goldseam.forgetting.search import Needles
from goldseam.privacy.errors import ErasureIncomplete, NotForgotten, SubjectForgotten
from goldseam.store.verify import verify
from tests.crashes.outside import execute, transaction
from tests.forgetting.people import (
    CustomerRegistered,
    Customers,
    Office,
    caught_up,
    names,
    no_pause,
    office,
    people,
)

ANN = CustomerRegistered("c-1", "Ann Marker-77aa1")
REFUSED = (sqlite3.Error, psycopg.Error)

plain = Registry()


@plain.event(name="CustomerRegistered")
class Unprotected(msgspec.Struct, frozen=True):
    customer_id: str
    name: str


async def filled(opened: Office, count: int = 20) -> None:
    await opened.store.append("customer-1", [ANN], expected=NEW)
    await opened.store.append_all(
        [(f"customer-{n}", NEW, [CustomerRegistered(f"c-{n}", f"N{n}")]) for n in range(2, count)]
    )
    for hosted in opened.projections.values():
        await caught_up(hosted)


async def test_control_without_keys_nobody_can_be_forgotten(store_url: str) -> None:
    """The event with a clear name cannot be deleted or changed: the name stays for ever."""
    async with await open_store(store_url, registry=plain) as store:
        await store.append("customer-1", [Unprotected("c-1", ANN.name)], expected=NEW)
        for statement in (
            "DELETE FROM goldseam_events",
            "UPDATE goldseam_events SET payload = payload",
        ):
            with pytest.raises(REFUSED, match="immutable"), transaction(store_url) as connection:
                execute(connection, statement)
        assert ANN.name == (await store.read_stream("customer-1"))[0].data.name


async def test_the_chain_holds_and_the_event_count_stays(store_url: str, tmp_path: Path) -> None:
    """Forgetting takes nothing out of the log: positions, versions and chains are as before."""
    async with office(store_url, tmp_path) as opened:
        await filled(opened)
        before = [(e.position, e.payload) for e in await opened.store.raw_all()]
        await opened.forgetting.forget(["c-1"], "asked")
        after = [(e.position, e.payload) for e in await opened.store.raw_all()]
        assert before == after[: len(before)]
        damages = [d async for walk in verify(opened.store.database) for d in walk.damages]
        assert [] == damages


async def test_a_later_append_is_refused_until_readmitted(store_url: str, tmp_path: Path) -> None:
    """Also one that names others too; and what was before stays unreadable."""
    async with office(store_url, tmp_path) as opened:
        await filled(opened)
        with pytest.raises(NotForgotten):
            await opened.vault.readmit("main", "c-1")
        await opened.forgetting.forget(["c-1"], "asked")
        head = await opened.store.head()
        for events in ([ANN], [CustomerRegistered("c-2", "Bob"), ANN]):
            with pytest.raises(SubjectForgotten) as caught:
                await opened.store.append("customer-1", events, expected=ANY)
            assert "c-1" not in str(caught.value)
        assert head == await opened.store.head()
        await opened.vault.readmit("main", "c-1")
        await opened.store.append("customer-1", [ANN], expected=ANY)
        read = await opened.store.read_stream("customer-1")
        assert ["[forgotten]", ANN.name] == [event.data.name for event in read]


@pytest.mark.parametrize("applied", [0, 5, 19])
async def test_forgetting_during_a_rebuild(store_url: str, tmp_path: Path, applied: int) -> None:
    """Whatever the rebuild had written already: what is shown in the end has no name."""
    async with office(store_url, tmp_path) as opened:
        await filled(opened)
        hosted = opened.projections["customers"]
        building = await hosted.begin_rebuild()
        if applied:
            page = await hosted.source.page(0, applied)
            await hosted.applier.apply(building, page)
        await opened.forgetting.forget(["c-1"], "asked")
        shown = await names(opened)
        assert (19, "[forgotten]") == (len(shown), shown["c-1"])
        assert not await tables_with(opened, ANN.name)


async def test_forgetting_beside_a_running_application(store_url: str, tmp_path: Path) -> None:
    """Runner, rebuild and writers are at work on the same read model; it ends without the name."""
    keys, provider = f"sqlite:///{tmp_path}/keys.db", f"file://{tmp_path}/epochs"
    app = Goldseam(store_url, [Customers()], registry=people, keys=keys, key_provider=provider)
    async with app, asyncio.timeout(60):
        await app.store.append("customer-1", [ANN], expected=NEW)
        token = 0
        for n in range(2, 60):
            done = await app.store.append(
                f"customer-{n}", [CustomerRegistered(f"c-{n}", f"N{n}")], expected=NEW
            )
            token = done.position
        await app.fetch("customers", "SELECT 1 FROM customers", after=token, wait=30)
        assert app.vault is not None
        writing = asyncio.ensure_future(keep_writing(app))
        rebuilding = asyncio.ensure_future(app.projections["customers"].rebuild())
        forgetting = Forgetting(app.store, app.vault, app.projections, pause=no_pause)
        await forgetting.forget(["c-1"], "asked")
        await asyncio.gather(rebuilding, return_exceptions=True)
        last = await writing
        rows = await app.fetch("customers", "SELECT id, name FROM customers", after=last, wait=30)
        shown: dict[str, str] = dict(rows)
        assert (58 + 1 + 40, "[forgotten]") == (len(shown), shown["c-1"])


async def keep_writing(app: Goldseam) -> int:
    last = 0
    for n in range(100, 140):
        done = await app.store.append(
            f"customer-{n}", [CustomerRegistered(f"c-{n}", f"N{n}")], expected=NEW
        )
        last = done.position
    return last


async def test_forgetting_with_an_open_snapshot(store_url: str, tmp_path: Path) -> None:
    """A reader that began before goes on; on SQLite its WAL stays, which is said and resumed."""
    async with office(store_url, tmp_path) as opened:
        await filled(opened)
        reader = snapshot(store_url)
        try:
            assert 1 == seen(reader, store_url)
            if store_url.startswith("sqlite"):
                with pytest.raises(ErasureIncomplete, match="end it") as caught:
                    await opened.forgetting.forget(["c-1"], "asked")
                assert ("read models", "files") == (caught.value.done[-1], caught.value.failed)
            else:
                assert 1 == (await opened.forgetting.forget(["c-1"], "asked")).subjects
            assert "[forgotten]" == (await names(opened))["c-1"]
            assert 1 == seen(reader, store_url)
        finally:
            reader.close()
        generation = (await opened.projections["customers"].status()).generation
        await opened.forgetting.resume()
        assert generation == (await opened.projections["customers"].status()).generation
        assert [] == await opened.forgetting.left()
        assert not await tables_with(opened, ANN.name)
        for path in tmp_path.glob("store.db*"):
            assert ANN.name.encode() not in path.read_bytes()


def snapshot(url: str) -> Any:
    """A reader with a transaction of its own, outside of goldseam."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(urlsplit(url).path[1:], isolation_level=None)
        connection.execute("BEGIN")
        return connection
    address, _, schema = url.partition("?schema=")
    level = "default_transaction_isolation=repeatable\\ read"
    return psycopg.connect(address, options=f"-c search_path={schema} -c {level}")


def seen(reader: Any, url: str) -> int:
    """How many events of the first stream the reader sees: it takes its snapshot here."""
    mark = "?" if url.startswith("sqlite") else "%s"
    sql = f"SELECT count(*) FROM goldseam_events WHERE stream = {mark}"
    return int(reader.execute(sql, ("customer-1",)).fetchone()[0])


async def tables_with(opened: Office, value: str) -> set[str]:
    """The tables in which ``value`` is, in any form."""
    needles, database = Needles(all_forms([value])), opened.store.database
    return {
        table
        for table in await tables_of(database)
        async for page in rows_of(database, table)
        if needles.found_in(b"\0".join(page))
    }
