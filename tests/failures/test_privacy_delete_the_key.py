"""privacy/delete-the-key: after a forget nothing is left, of 1,000 values and 1,000 keys."""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from goldseam import ANY
from goldseam.forgetting.needles import all_forms
from goldseam.forgetting.places import files_below, ways_to_read
from goldseam.forgetting.prove import Findings, Prover
from goldseam.forgetting.search import Needles
from goldseam.privacy.errors import KeyLost
from goldseam.store.verify import verify
from tests.faults.server import own_server
from tests.forgetting.people import CustomerRegistered, Office, caught_up, names, office
from tools import postgres_binaries
from tools.postgres_server import PostgresServer

PEOPLE = 1_000
PROGRAMS = postgres_binaries.find()


class Recorder:
    """Random bytes, and which keys were among them: what a test knows and nobody else may."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []

    def __call__(self, count: int) -> bytes:
        made = os.urandom(count)
        if count == 32:
            self.keys.append(made)
        return made


def customers(count: int = PEOPLE) -> list[CustomerRegistered]:
    """People with values that are nowhere else."""
    return [
        CustomerRegistered(f"c-{n:04}", f"Marker {secrets.token_hex(8)} \u00e9", None)
        for n in range(count)
    ]


async def registered(opened: Office, people: list[CustomerRegistered]) -> None:
    """One stream for each, a hundred in one append."""
    for n in range(0, len(people), 100):
        some = people[n : n + 100]
        await opened.store.append_all([(f"customer-{p.customer_id}", ANY, [p]) for p in some])
    for hosted in opened.projections.values():
        await caught_up(hosted)


async def proved(
    opened: Office,
    people: list[CustomerRegistered],
    keys: list[bytes],
    also: tuple[Path, ...] = (),
    data: Path | None = None,
) -> Findings:
    prover = Prover(
        opened.store, opened.vault, opened.key_database, opened.provider, data_directory=data
    )
    subjects = [one.customer_id for one in people]
    return await prover.prove(subjects, [one.name for one in people], keys=keys, also=also)


def found(findings: Findings) -> list[str]:
    """The places where something is, and the checks that are not well."""
    return [one.name for one in findings.places if one.found] + [
        f"{one.name}: {one.what}" for one in findings.checks if not one.good
    ]


def in_files(needles: Needles, *roots: Path) -> set[bytes]:
    """What of ``needles`` is in the files below ``roots``."""
    seen: set[bytes] = set()
    for root in roots:
        for path in files_below(root):
            with path.open("rb") as file:
                for read in ways_to_read(path, file):
                    for _, some in needles.found_in_chunks(read):
                        seen |= some
    return seen


async def test_nothing_is_left_in_sqlite_files(tmp_path: Path) -> None:
    """0 of 1,000 values and 1,000 keys in log, WAL, key store and read model; the chain holds."""
    recorder, people = Recorder(), customers()
    url = f"sqlite:///{tmp_path / 'store.db'}"
    async with office(url, tmp_path, new_bytes=recorder) as opened:
        await registered(opened, people)
        before = await proved(opened, people, recorder.keys)
        assert "store.db-wal" in found(before)
        assert "customers__1" in found(before)
        await opened.forgetting.forget([one.customer_id for one in people], "the test")
        findings = await proved(opened, people, recorder.keys)
        assert PEOPLE <= len(recorder.keys)
        assert [] == found(findings)
        assert {"store.db", "keys.db"} <= {one.name for one in findings.places}
        assert {"[forgotten]"} == set((await names(opened)).values())
        assert [] == [
            d async for progress in verify(opened.store.database) for d in progress.damages
        ]


def test_control_sqlite_keeps_a_deleted_key(tmp_path: Path) -> None:
    """The guide's step 3 alone: the row is gone and the search finds the keys in the file."""
    keys = [os.urandom(32) for _ in range(PEOPLE)]
    connection = sqlite3.connect(tmp_path / "keys.db")
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE user_keys (user_id TEXT PRIMARY KEY, encryption_key BLOB)")
    rows = [(f"user-{n}", key) for n, key in enumerate(keys)]
    connection.executemany("INSERT INTO user_keys VALUES (?, ?)", rows)
    connection.commit()
    connection.execute("DELETE FROM user_keys")
    connection.commit()
    assert PEOPLE == len(in_files(Needles(keys), tmp_path))
    connection.close()  # the last one: the WAL goes into the file
    assert [] == list(tmp_path.glob("*-wal"))
    assert 0 < len(in_files(Needles(keys), tmp_path))


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL of this test alone, whose WAL files are removed when they are not needed."""
    with own_server() as one:
        _sql(one.url(), "ALTER SYSTEM SET wal_recycle = off", "SELECT pg_reload_conf()")
        yield one


def _sql(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


async def test_nothing_is_left_in_postgresql(server: PostgresServer, tmp_path: Path) -> None:
    """0 in the data directory, WAL included, with a read model that had the values in clear."""
    url, recorder, people = server.url(), Recorder(), customers()
    _sql(url, "CREATE DATABASE keys")
    keys = url.removesuffix("/postgres") + "/keys"
    async with office(url, tmp_path, keys=keys, new_bytes=recorder) as opened:
        await registered(opened, people)
        before = await proved(opened, people, recorder.keys, data=server.data)
        assert "customers__1" in found(before)
        assert any(one.name.startswith("0000000") and one.found for one in before.places)
        await opened.forgetting.forget([one.customer_id for one in people], "the test")
        findings = await proved(opened, people, recorder.keys, data=server.data)
        assert [] == found(findings)
        assert [] == findings.not_seen
        assert 100 < sum(one.kind == "file" for one in findings.places)


async def test_a_restored_base_backup_opens_nothing(server: PostgresServer, tmp_path: Path) -> None:
    """Taken before the forget: it has ciphertext and wrapped keys, and their epoch is gone."""
    url, recorder, people = server.url(), Recorder(), customers()
    _sql(url, "CREATE DATABASE keys")
    keys = url.removesuffix("/postgres") + "/keys"
    backup = tmp_path / "backup"
    async with office(url, tmp_path, keys=keys, new_bytes=recorder, projections=()) as opened:
        await registered(opened, people)
        _base_backup(url, backup)
        await opened.forgetting.forget([one.customer_id for one in people], "the test")
        findings = await proved(opened, people, recorder.keys, (backup,), server.data)
        assert [] == found(findings)
        assert 100 < sum(one.kind == "also" for one in findings.places)
    with _restored(backup) as restored:
        url = restored.url()
        keys = url.removesuffix("/postgres") + "/keys"
        async with office(url, tmp_path, keys=keys, projections=()) as opened:
            known = await opened.vault.subject("main", "c-0000")
            assert known is not None
            assert "active" == known.state
            with pytest.raises(KeyLost):
                await opened.store.read_stream("customer-c-0000")


async def test_control_an_old_backup_with_its_epoch_key_opens_everything(
    server: PostgresServer, tmp_path: Path
) -> None:
    """Without the destruction of the epoch key the same backup gives the person back."""
    url, people = server.url(), customers(3)
    _sql(url, "CREATE DATABASE keys")
    keys = url.removesuffix("/postgres") + "/keys"
    backup = tmp_path / "backup"
    async with office(url, tmp_path, keys=keys, projections=()) as opened:
        await registered(opened, people)
        _base_backup(url, backup)
        shutil.copytree(tmp_path / "epochs", tmp_path / "kept", copy_function=shutil.copy2)
        await opened.forgetting.forget(["c-0000"], "the test")
    shutil.rmtree(tmp_path / "epochs")
    (tmp_path / "kept").rename(tmp_path / "epochs")
    with _restored(backup) as restored:
        url = restored.url()
        keys = url.removesuffix("/postgres") + "/keys"
        async with office(url, tmp_path, keys=keys, projections=()) as opened:
            (event,) = await opened.store.read_stream("customer-c-0000")
            assert people[0] == event.data


def test_control_postgresql_keeps_a_deleted_key(server: PostgresServer) -> None:
    """The guide's steps 2 and 3 alone: after DELETE and VACUUM FULL the WAL still has the keys."""
    keys = [os.urandom(32) for _ in range(PEOPLE)]
    url = server.url()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE user_keys (user_id VARCHAR PRIMARY KEY, encryption_key BYTEA)"
        )
        rows = [(f"user-{n}", key) for n, key in enumerate(keys)]
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO user_keys VALUES (%s, %s)", rows)
        connection.execute("DELETE FROM user_keys")
        connection.execute("CHECKPOINT")
    needles = Needles(all_forms([], keys))
    in_heap = in_files(needles, server.data / "base")
    _sql(url, "VACUUM FULL user_keys", "CHECKPOINT")
    assert PEOPLE == len(in_heap)
    assert PEOPLE == len(in_files(needles, server.data / "pg_wal"))


def _base_backup(url: str, target: Path) -> None:
    assert PROGRAMS is not None
    command = [PROGRAMS / "pg_basebackup", "-D", target, "-X", "fetch", "-c", "fast", "-d", url]
    subprocess.run(list(map(str, command)), check=True, capture_output=True, timeout=100)


@contextmanager
def _restored(backup: Path) -> Iterator[PostgresServer]:
    """A server of its own on a copy of the backup."""
    with own_server() as server:
        server.stop()
        owner = server.data.stat()
        shutil.rmtree(server.data)
        shutil.copytree(backup, server.data)
        for path in [server.data, *server.data.rglob("*")]:
            os.chown(path, owner.st_uid, owner.st_gid)
        server.data.chmod(0o700)
        server.start()
        yield server
