"""store/mutated-event: the database refuses to change events; an edit around that is found."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest

from goldseam import ANY, open_store
from goldseam.database.connection import Database
from goldseam.store.verify import Damage, verify
from tests.crashes.outside import execute, query, transaction
from tests.support.ticks import registry, tick

EDIT = "UPDATE goldseam_events SET payload = ? WHERE position = 2"
FORGED = b'{"writer":9,"number":9,"note":"never said"}'


async def filled(url: str) -> None:
    async with await open_store(url, registry=registry) as store:
        for n in range(3):
            await store.append("tick-0", [tick(0, n)], expected=n)


async def damages(url: str) -> list[Damage]:
    async with await open_store(url, registry=registry) as store:
        return await all_damages(store.database)


async def all_damages(database: Database) -> list[Damage]:
    return [damage async for progress in verify(database) for damage in progress.damages]


def disarm(connection: Any) -> None:
    """What an administrator can do: take the guards away."""
    if isinstance(connection, sqlite3.Connection):
        execute(connection, "DROP TRIGGER goldseam_events_no_update")
        execute(connection, "DROP TRIGGER goldseam_events_no_delete")
        execute(connection, "DROP TRIGGER goldseam_events_no_replace")
    else:
        execute(connection, "ALTER TABLE goldseam_events DISABLE TRIGGER ALL")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE goldseam_events SET payload = payload",
        "DELETE FROM goldseam_events WHERE position = 2",
        "DELETE FROM goldseam_events",
        "TRUNCATE goldseam_events",
    ],
)
async def test_the_database_itself_refuses_to_change_events(store_url: str, statement: str) -> None:
    """With the driver and plain SQL, whoever it is: an error that says what to do instead."""
    await filled(store_url)
    if statement.startswith("TRUNCATE") and store_url.startswith("sqlite"):
        statement = "DELETE FROM goldseam_events WHERE true"
    with pytest.raises((sqlite3.IntegrityError, psycopg.Error), match="append a correction"):
        query(store_url, statement)

    assert [(3,)] == query(store_url, "SELECT count(*) FROM goldseam_events")
    assert [] == await damages(store_url)


REPLACES = {
    "the place in the log": {"stream": "'other-1'", "id": "zeroblob(16)"},
    "the place in the stream": {"position": "99", "id": "zeroblob(16)"},
    "the id": {"position": "99", "stream": "'other-1'"},
}


def replace_with(values: dict[str, str]) -> str:
    """SQLite's REPLACE of event 2: it takes the old row away without asking DELETE's trigger."""
    columns = (
        "position", "tenant", "stream", "version", "id", "type", "type_version", "recorded_us",
        "metadata", "payload", "checksum", "chain",
    )  # fmt: skip
    copied = ", ".join(values.get(name, name) for name in columns)
    return (
        f"INSERT OR REPLACE INTO goldseam_events ({', '.join(columns)})"
        f" SELECT {copied} FROM goldseam_events WHERE position = 2"
    )


@pytest.mark.parametrize("same", sorted(REPLACES))
async def test_sqlite_refuses_a_replace_by_whatever_key(tmp_path: Path, same: str) -> None:
    """REPLACE is a DELETE that no DELETE trigger sees, by each of the three unique keys."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    await filled(url)
    with pytest.raises(sqlite3.IntegrityError, match="append a correction"):
        query(url, replace_with(REPLACES[same]))

    assert [] == await damages(url)


@pytest.mark.parametrize("same", sorted(REPLACES))
async def test_control_without_its_guard_a_replace_goes_through(tmp_path: Path, same: str) -> None:
    """The two other guards see nothing of it."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    await filled(url)
    query(url, "DROP TRIGGER goldseam_events_no_replace")
    query(url, replace_with(REPLACES[same]))

    assert [(3,)] == query(url, "SELECT count(*) FROM goldseam_events")
    found = await damages(url)
    assert {"immutability", "checksum"} <= {damage.what for damage in found}


async def test_a_replicas_session_does_not_get_around_the_guards(postgres_schema_url: str) -> None:
    """PostgreSQL leaves ordinary triggers out in that role; ours always fire."""
    await filled(postgres_schema_url)
    with transaction(postgres_schema_url) as connection:
        execute(connection, "SET session_replication_role = replica")
        with pytest.raises(psycopg.Error, match="append a correction"):
            execute(connection, EDIT, FORGED)

    assert [] == await damages(postgres_schema_url)


async def test_verify_names_each_missing_guard(store_url: str) -> None:
    """Guards that somebody took away are found before an event has been changed."""
    await filled(store_url)
    with transaction(store_url) as connection:
        disarm(connection)
    found = await damages(store_url)

    assert {"immutability"} == {damage.what for damage in found}
    assert (3 if store_url.startswith("sqlite") else 2) == len(found)
    assert all("missing or disabled" in damage.reason for damage in found)


async def test_an_edit_around_the_guards_is_found(store_url: str) -> None:
    """The missing guard and the edited event are both named."""
    await filled(store_url)
    with transaction(store_url) as connection:
        disarm(connection)
        execute(connection, EDIT, FORGED)
    found = {damage.what for damage in await damages(store_url)}

    assert {"immutability", "checksum", "chain"} <= found


async def test_an_edit_with_a_made_up_checksum_still_breaks_the_chain(store_url: str) -> None:
    """Whoever also mends the checksum has not mended the chain."""
    from goldseam.events.checksum import content_checksum, placed_checksum, stream_seed
    from goldseam.events.registry import type_seed

    await filled(store_url)
    read = "SELECT id, recorded_us, metadata FROM goldseam_events WHERE position = 2"
    event_id, recorded_us, metadata = query(store_url, read)[0]
    raw_id = event_id if isinstance(event_id, bytes) else event_id.bytes
    seeds = stream_seed("main", "tick-0"), type_seed("Ticked", 1)
    content = content_checksum(*seeds, raw_id, recorded_us, metadata, FORGED)
    with transaction(store_url) as connection:
        disarm(connection)
        execute(connection, EDIT, FORGED)
        execute(
            connection,
            "UPDATE goldseam_events SET checksum = ? WHERE position = 2",
            placed_checksum(content, 2, 2),
        )
    found = [damage for damage in await damages(store_url) if damage.what != "immutability"]

    assert ["chain"] == [damage.what for damage in found]


async def test_deleted_events_leave_a_hole_that_is_found(store_url: str) -> None:
    """Positions are dense, so what is gone is named; only the newest events leave no hole."""
    await filled(store_url)
    async with await open_store(store_url, registry=registry) as store:
        await store.append("tick-1", [tick(1, 0)], expected=ANY)
    with transaction(store_url) as connection:
        disarm(connection)
        execute(connection, "DELETE FROM goldseam_events WHERE position = 2")
    found = {damage.what for damage in await damages(store_url)}

    assert {"position", "version"} <= found


async def test_control_without_the_guards_an_edit_goes_through_silently(store_url: str) -> None:
    """The database says nothing and the row is another one: this is the damage."""
    await filled(store_url)
    with transaction(store_url) as connection:
        disarm(connection)
        execute(connection, EDIT, FORGED)

    payload = query(store_url, "SELECT payload FROM goldseam_events WHERE position = 2")[0][0]
    assert FORGED == bytes(payload)
