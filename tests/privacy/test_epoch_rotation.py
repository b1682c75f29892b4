"""Rotation while others work: no key is lost, every failure can be resumed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from goldseam.database.connection import Connection, Parameters, Row
from goldseam.privacy.epochs import STANDBY_LOOKS_MAX, Epochs, Steps
from goldseam.privacy.errors import (
    ErasureIncomplete,
    KeyLost,
    KeyProviderRefused,
    KeyStoreUnavailable,
    SubjectForgotten,
)
from goldseam.privacy.key_store import KeyStore
from goldseam.privacy.providers import KeyProvider
from goldseam.privacy.providers.provider import BoundKey, Epoch, WrappedKey
from goldseam.privacy.vault import Vault
from goldseam.resilience.clock import SystemClock
from goldseam.runtime.wiring import open_database
from goldseam.telemetry.signals import signals
from tests.crashes.outside import query
from tests.privacy.keyring import Keyring

SUBJECTS = [f"s-{n}" for n in range(30)]
BUSY = "another process reads it"


@pytest.fixture
async def ring(store_url: str, tmp_path: Path) -> AsyncIterator[Keyring]:
    ring = Keyring(store_url, tmp_path / "keys")
    yield ring
    await ring.close()


class Watched:
    """A provider that can be stopped, or told to fail, at its calls."""

    def __init__(self, provider: KeyProvider) -> None:
        self.provider, self.name = provider, provider.name
        self.failing: str | None = None
        self.called: list[str] = []
        self.reached, self.go = asyncio.Event(), asyncio.Event()
        self.stop_after: str | None = None

    async def _pass(self, name: str) -> None:
        self.called.append(name)
        if name == self.failing:
            raise KeyStoreUnavailable("the provider is down")

    async def _stop(self, name: str) -> None:
        if name == self.stop_after:
            self.stop_after = None
            self.reached.set()
            await self.go.wait()

    async def create_epoch(self, epoch: str) -> str:
        await self._pass("create")
        return await self.provider.create_epoch(epoch)

    async def wrap(self, epoch: Epoch, keys: Sequence[BoundKey]) -> list[str]:
        await self._pass("wrap")
        wrapped = await self.provider.wrap(epoch, keys)
        await self._stop("wrap")
        return wrapped

    async def unwrap(self, epoch: Epoch, keys: Sequence[WrappedKey]) -> list[bytes]:
        await self._pass("unwrap")
        return await self.provider.unwrap(epoch, keys)

    async def destroy_epoch(self, epoch: Epoch) -> None:
        await self._pass("destroy")
        await self.provider.destroy_epoch(epoch)

    async def exists(self, epoch: Epoch) -> bool:
        await self._pass("exists")
        return await self.provider.exists(epoch)


async def nonces(vault: Vault, subjects: Sequence[str]) -> dict[str, bytes]:
    found = await vault.opening_keys("", {(subject, 1) for subject in subjects})
    return {s: key.nonce_key for (s, _), key in found.items() if key is not None}


async def test_rotation_keeps_every_key_and_leaves_one_epoch(ring: Keyring) -> None:
    """All keys are the same, under another epoch, and the old one is gone."""
    vault = await ring.vault()
    await vault.sealing_keys("", SUBJECTS)
    before = await nonces(vault, SUBJECTS)
    counted = signals.value("goldseam_epoch_rotations_total")
    await vault.rotate_epoch()
    assert before == await nonces(await ring.vault(), SUBJECTS)
    assert 1 == len(list(ring.folder.iterdir()))
    assert [(2,)] == query(ring.url, "SELECT DISTINCT epoch FROM goldseam_subject_keys")
    assert counted + 1 == signals.value("goldseam_epoch_rotations_total")


@pytest.mark.parametrize("compared", [True, False], ids=["compared", "control: not compared"])
async def test_a_key_made_during_a_rotation_is_never_under_the_destroyed_epoch(
    ring: Keyring, compared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The epoch is compared where the key is stored; without that its key would be lost."""

    async def any_epoch(_: KeyStore, connection: Connection, epoch: str) -> int:
        sql = "SELECT number FROM goldseam_epochs WHERE id = :epoch"
        return int((await connection.fetch(sql, {"epoch": epoch}))[0][0])

    slow = Watched(ring.provider())
    vault, other = await ring.vault(provider=slow), await ring.vault()
    await other.sealing_keys("", SUBJECTS)
    slow.stop_after = "wrap"
    if not compared:
        monkeypatch.setattr(KeyStore, "_current", any_epoch)
    making = asyncio.create_task(vault.sealing_keys("", ["new"]))
    await slow.reached.wait()
    await other.rotate_epoch()
    slow.go.set()
    made = (await making)["new"]
    fresh = await ring.vault()
    if compared:
        assert {"new": made.nonce_key} == await nonces(fresh, ["new"])
    else:
        with pytest.raises(KeyLost):
            await nonces(fresh, ["new"])


async def test_many_rotate_and_forget_and_make_keys_at_once(ring: Keyring) -> None:
    """Two rotate, one forgets, two make keys, one reads: everybody's key is what it was made."""
    vaults = [await ring.vault() for _ in range(6)]
    await vaults[0].sealing_keys("", SUBJECTS)
    first = await nonces(vaults[0], SUBJECTS)
    made: dict[str, bytes] = {}

    async def rotate(vault: Vault) -> None:
        for _ in range(3):
            await until_done(vault.rotate_epoch, vault)

    async def forget(vault: Vault) -> None:
        for subject in SUBJECTS[:3]:
            await until_done(lambda s=subject: vault.forget("", s, "asked"), vault)

    async def make(vault: Vault, name: str) -> None:
        for n in range(15):
            subject = f"{name}-{n}"
            keys = await vault.sealing_keys("", [subject, "shared-" + str(n)])
            made[subject] = keys[subject].nonce_key
            shared = keys["shared-" + str(n)].nonce_key
            assert shared == made.setdefault("shared-" + str(n), shared)

    async def read(vault: Vault) -> None:
        for _ in range(15):
            vault._cache._held.clear()
            found = await nonces(vault, SUBJECTS[3:])
            assert {s: first[s] for s in SUBJECTS[3:]} == found

    await asyncio.gather(
        rotate(vaults[0]),
        rotate(vaults[1]),
        forget(vaults[2]),
        make(vaults[3], "x"),
        make(vaults[4], "y"),
        read(vaults[5]),
    )
    await until_done(vaults[0].resume, vaults[0])
    fresh = await ring.vault()
    assert made == await nonces(fresh, list(made))
    assert {s: first[s] for s in SUBJECTS[3:]} == await nonces(fresh, SUBJECTS[3:])
    assert dict.fromkeys((s, 1) for s in SUBJECTS[:3]) == await fresh.opening_keys(
        "", {(s, 1) for s in SUBJECTS[:3]}
    )
    assert (0, 1) == (await fresh.status())[3:5]
    assert 1 == len(list(ring.folder.iterdir()))


async def until_done(work: Any, vault: Vault) -> None:
    """A rotation that met another one is resumed, as its message says."""
    told = []
    for _ in range(20):
        try:
            await work()
        except ErasureIncomplete as error:
            told.append(str(error))
            work = vault.resume
        else:
            return
    raise AssertionError(f"it is never done: {told}")


@pytest.mark.parametrize(
    ("failing", "failed", "done"),
    [
        ("create", "new epoch", ("record", "delete keys")),
        ("wrap", "new epoch", ("record", "delete keys")),
        ("unwrap", "new epoch", ("record", "delete keys")),
        ("destroy", "destroy", ("record", "delete keys", "new epoch", "rewrap", "wipe")),
        ("exists", "destroy", ("record", "delete keys", "new epoch", "rewrap", "wipe")),
    ],
)
async def test_a_provider_that_fails_leaves_an_erasure_that_is_told_and_resumed(
    ring: Keyring, failing: str, failed: str, done: tuple[str, ...]
) -> None:
    """What is done and what failed is said; others go on; another process finishes it."""
    provider = Watched(ring.provider())
    vault, other = await ring.vault(provider=provider), await ring.vault()
    await vault.sealing_keys("", SUBJECTS)
    before = await nonces(vault, SUBJECTS[1:])
    provider.failing = failing
    counted = signals.value("goldseam_erasures_incomplete_total")
    with pytest.raises(ErasureIncomplete, match="privacy resume") as caught:
        await vault.forget("", SUBJECTS[0], "asked")
    assert (done, failed) == (caught.value.done, caught.value.failed)
    assert SUBJECTS[0] not in str(caught.value)
    assert counted + 1 == signals.value("goldseam_erasures_incomplete_total")
    assert [SUBJECTS[0]] == [one.subject for one in await vault.open_erasures()]

    with pytest.raises(SubjectForgotten):
        await other.sealing_keys("", [SUBJECTS[0]])
    assert before == await nonces(other, SUBJECTS[1:])
    assert "new" in await other.sealing_keys("", ["new"])

    await other.resume()
    assert [] == await other.open_erasures()
    assert 1 == (await other.status()).epochs == len(list(ring.folder.iterdir()))
    assert before == await nonces(await ring.vault(), SUBJECTS[1:])


async def test_a_provider_that_does_not_destroy_is_noticed(ring: Keyring) -> None:
    """It said yes and the key is still there: the erasure is not complete."""
    provider = ring.provider()
    vault = await ring.vault(provider=provider)
    await vault.sealing_keys("", ["a"])

    async def nothing(_: Epoch) -> None: ...

    provider.destroy_epoch = nothing  # type: ignore[method-assign, assignment]
    with pytest.raises(ErasureIncomplete, match="still there"):
        await vault.forget("", "a", "asked")


async def test_an_epoch_that_does_not_open_what_it_closes_is_never_used(ring: Keyring) -> None:
    """It would take everybody's keys with it."""
    provider = ring.provider()
    vault = await ring.vault(provider=provider)
    await vault.sealing_keys("", ["a"])

    async def wrong(_: Epoch, keys: Sequence[WrappedKey]) -> list[bytes]:
        return [b"wrong" for _ in keys]

    provider.unwrap = wrong  # type: ignore[method-assign, assignment]
    with pytest.raises(ErasureIncomplete) as caught:
        await vault.rotate_epoch()
    assert isinstance(caught.value.__cause__, KeyProviderRefused)
    assert ["a"] == list(await nonces(await ring.vault(), ["a"]))


async def test_a_damaged_key_stops_the_rotation_before_anything_is_destroyed(
    ring: Keyring,
) -> None:
    """Its row may be repaired from a backup as long as its epoch lives."""
    vault = await ring.vault()
    await vault.sealing_keys("", ["a", "b"])
    good = query(ring.url, "SELECT wrapped FROM goldseam_subject_keys WHERE subject = 'a'")
    query(ring.url, "UPDATE goldseam_subject_keys SET wrapped = 'xxxx' WHERE subject = 'a'")
    with pytest.raises(ErasureIncomplete) as caught:
        await vault.forget("", "b", "asked")
    assert "rewrap" == caught.value.failed
    query(
        ring.url,
        "UPDATE goldseam_subject_keys SET wrapped = ? WHERE subject = 'a'",
        *good[0],
    )
    await vault.resume()
    assert ["a"] == list(await nonces(await ring.vault(), ["a"]))


async def test_on_sqlite_a_reader_that_keeps_the_wal_makes_the_erasure_incomplete(
    tmp_path: Path,
) -> None:
    """What was overwritten would stay in the WAL; when the reader has gone, it is finished."""
    ring = Keyring(f"sqlite:///{tmp_path / 'keys.db'}", tmp_path / "keys", SystemClock())
    vault = await ring.vault()
    await vault.sealing_keys("", ["a"])
    reader = sqlite3.connect(tmp_path / "keys.db", isolation_level=None)
    reader.execute("BEGIN")
    wrapped = reader.execute("SELECT wrapped FROM goldseam_subject_keys").fetchone()[0].encode()
    with pytest.raises(ErasureIncomplete, match=BUSY) as caught:
        await vault.forget("", "a", "asked")
    assert "wipe" == caught.value.failed
    assert wrapped in (tmp_path / "keys.db-wal").read_bytes()
    reader.execute("COMMIT")
    reader.close()
    await vault.resume()
    for file in ("keys.db", "keys.db-wal"):
        assert wrapped not in (tmp_path / file).read_bytes()
    assert 0 == (await vault.status()).open_erasures
    await ring.close()


class Lagging:
    """A PostgreSQL database whose standby is behind for so many looks."""

    def __init__(self, url: str, looks: int) -> None:
        self.database, self.looks = open_database(url), looks
        self.dialect, self.url = self.database.dialect, url

    def __getattr__(self, name: str) -> Any:
        return getattr(self.database, name)

    async def fetch(self, sql: str, parameters: Parameters = {}) -> list[Row]:
        if "pg_stat_replication" in sql:
            assert await self.database.fetch(sql, parameters) is not None
            self.looks -= 1
            return [(1 if self.looks >= 0 else 0,)]
        return await self.database.fetch(sql, parameters)


@pytest.mark.parametrize(("looks", "destroyed"), [(2, True), (10**6, False)])
async def test_no_epoch_is_destroyed_before_each_standby_has_the_new_form(
    postgres_schema_url: str, tmp_path: Path, looks: int, destroyed: bool
) -> None:
    """A standby that is promoted with rows of a destroyed epoch would have lost everybody's key."""
    ring = Keyring(postgres_schema_url, tmp_path / "keys")
    database, provider = Lagging(postgres_schema_url, looks), Watched(ring.provider())
    await (await ring.vault()).sealing_keys("", ["a"])
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        assert "destroy" not in provider.called
        pauses.append(seconds)

    epochs = Epochs(database, provider, ring.clock, bytes, pause)
    if destroyed:
        await epochs.rotate(1, Steps())
    else:
        with pytest.raises(KeyStoreUnavailable, match="standby"):
            await epochs.rotate(1, Steps())
    assert (min(looks, STANDBY_LOOKS_MAX), destroyed) == (
        len(pauses),
        "destroy" in provider.called,
    )
    await database.database.close()
    await ring.close()
