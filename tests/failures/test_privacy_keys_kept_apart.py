"""privacy/keys-kept-apart: a copy of the log without the keys is ciphertext."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from goldseam import NEW, open_store
from goldseam.errors import KeysMissing
from goldseam.privacy.errors import KeyLost, KeyStoreUnavailable
from tests.faults.server import own_server, run
from tests.forgetting.people import CustomerRegistered, office, people

ANN = CustomerRegistered("c-1", "Ann Marker-4ef21")


async def test_a_backup_of_the_store_alone_opens_nothing(tmp_path: Path) -> None:
    """Neither without keys, nor with another key store: and it is an error, not a stand-in."""
    url = f"sqlite:///{tmp_path}/store.db"
    async with office(url, tmp_path, projections=()) as opened:
        await opened.store.append("customer-1", [ANN], expected=NEW)
    backup = tmp_path / "backup"
    backup.mkdir()
    shutil.copy(tmp_path / "store.db", backup / "store.db")
    assert ANN.name.encode() not in (backup / "store.db").read_bytes()
    async with await open_store(f"sqlite:///{backup}/store.db", registry=people) as store:
        with pytest.raises(KeysMissing):
            await store.read_stream("customer-1")
    async with office(f"sqlite:///{backup}/store.db", backup, projections=()) as opened:
        with pytest.raises(KeyLost):
            await opened.store.read_stream("customer-1")


def test_control_keys_beside_the_data_come_with_its_backup(tmp_path: Path) -> None:
    """The guide's user_keys table in the same database: whoever has the backup has the keys."""
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("CREATE TABLE user_keys (user_id PRIMARY KEY, encryption_key BLOB)")
        connection.execute("INSERT INTO user_keys VALUES ('user-1', ?)", (b"k" * 32,))
        connection.commit()
        backup = sqlite3.connect(tmp_path / "backup.db")
        connection.backup(backup)
        connection.execute("DELETE FROM user_keys")
    assert [(b"k" * 32,)] == backup.execute("SELECT encryption_key FROM user_keys").fetchall()
    backup.close()
    connection.close()


async def test_a_key_store_without_its_provider_opens_nothing(tmp_path: Path) -> None:
    """Both databases in the wrong hands: the keys in them are wrapped."""
    url = f"sqlite:///{tmp_path}/store.db"
    async with office(url, tmp_path, projections=()) as opened:
        await opened.store.append("customer-1", [ANN], expected=NEW)
    stolen = tmp_path / "stolen"
    stolen.mkdir()
    for name in ("store.db", "keys.db"):
        shutil.copy(tmp_path / name, stolen / name)
    async with office(f"sqlite:///{stolen}/store.db", stolen, projections=()) as opened:
        with pytest.raises((KeyLost, KeyStoreUnavailable)):
            await opened.store.read_stream("customer-1")


async def test_key_store_down(tmp_path: Path) -> None:
    """Personal appends fail clearly and leave no trace; others go on; afterwards all is well."""
    with own_server() as server:
        run(server, "CREATE DATABASE keys")
        keys = server.url().removesuffix("/postgres") + "/keys"
        url = f"sqlite:///{tmp_path}/store.db"
        async with office(url, tmp_path, keys=keys, projections=()) as opened:
            await opened.store.append("customer-0", [CustomerRegistered("c-0", "x")], expected=NEW)
            server.stop("immediate")
            with pytest.raises(KeyStoreUnavailable) as caught:
                await opened.store.append("customer-1", [ANN], expected=NEW)
            assert ANN.name not in str(caught.value)
            assert 0 == await opened.store.stream_version("customer-1")
            for path in tmp_path.glob("store.db*"):
                assert ANN.name.encode() not in path.read_bytes()
            with pytest.raises(KeyStoreUnavailable):
                await opened.forgetting.forget(["c-0"], "asked")
            server.start()
            await opened.store.append("customer-1", [ANN], expected=NEW)
            assert ANN == (await opened.store.read_stream("customer-1"))[0].data
