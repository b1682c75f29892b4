"""The vault's promises: one key per subject, refusal in time, an erasure that even backups keep."""

from __future__ import annotations

import asyncio
import sqlite3
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from goldseam.errors import InvalidInput, StoreUnavailable
from goldseam.privacy.envelope import MARK, SubjectKey, seal, unseal
from goldseam.privacy.epochs import bound
from goldseam.privacy.errors import (
    InvalidSubject,
    KeyLost,
    KeyStoreUnavailable,
    NotForgotten,
    SubjectForgotten,
)
from goldseam.privacy.providers.provider import Epoch, WrappedKey
from goldseam.privacy.vault import Vault
from tests.crashes.outside import query
from tests.privacy.keyring import Keyring

EVENT = bytes(16)
VALUE = b'"Ada"'


@pytest.fixture
async def ring(store_url: str, tmp_path: Path) -> AsyncIterator[Keyring]:
    ring = Keyring(store_url, tmp_path / "keys")
    yield ring
    await ring.close()


@pytest.fixture
async def vault(ring: Keyring) -> Vault:
    return await ring.vault()


async def one_key(vault: Vault, subject: str, tenant: str = "") -> SubjectKey:
    return (await vault.sealing_keys(tenant, [subject]))[subject]


async def test_a_key_is_made_once_and_found_by_every_process(ring: Keyring, vault: Vault) -> None:
    """What one process seals another one opens."""
    sealed = seal(await one_key(vault, "a"), "a", EVENT, "name", VALUE)[MARK]
    other = await ring.vault()
    found = await other.opening_keys("", {("a", 1)})
    key = found["a", 1]
    assert key is not None
    assert VALUE == unseal(key, sealed, EVENT, "name")


async def test_two_processes_that_make_the_same_keys_get_the_same_keys(ring: Keyring) -> None:
    """A race for a first key has one winner, whose key both use."""
    vaults = [await ring.vault() for _ in range(3)]
    names = [f"s-{n}" for n in range(50)]
    turns = [names, names[::-1], names]
    got = await asyncio.gather(
        *(vault.sealing_keys("", turn) for vault, turn in zip(vaults, turns, strict=True))
    )
    for name in names:
        assert 1 == len({keys[name].nonce_key for keys in got})


async def test_subjects_and_tenants_have_keys_of_their_own(vault: Vault) -> None:
    """The same name in two tenants is two people."""
    keys = [
        await one_key(vault, "a"),
        await one_key(vault, "b"),
        await one_key(vault, "a", tenant="x"),
    ]
    assert 3 == len({key.nonce_key for key in keys})


async def test_forgetting_refuses_new_keys_and_shreds_old_ones(vault: Vault) -> None:
    """Afterwards: no sealing, None for opening, and everybody else as before."""
    before = await vault.sealing_keys("", ["a", "b"])
    await vault.forget("", "a", "asked by letter")
    with pytest.raises(SubjectForgotten, match="1 data subject"):
        await vault.sealing_keys("", ["a", "b"])
    found = await vault.opening_keys("", {("a", 1), ("b", 1)})
    other = found["b", 1]
    assert found["a", 1] is None
    assert other is not None
    assert before["b"].nonce_key == other.nonce_key
    known = await vault.subject("", "a")
    assert known is not None
    assert ("forgotten", "done", "asked by letter") == (known.state, known.steps, known.reason)


async def test_forgetting_in_one_tenant_leaves_the_other(vault: Vault) -> None:
    """A name is erased where it was asked for, nowhere else."""
    mine, other = await one_key(vault, "a", "x"), await one_key(vault, "a", "y")
    await vault.forget("x", "a", "asked")
    found = (await vault.opening_keys("y", {("a", 1)}))["a", 1]
    assert found is not None
    assert other.nonce_key == found.nonce_key != mine.nonce_key
    assert {("a", 1): None} == await vault.opening_keys("x", {("a", 1)})


async def test_another_process_sees_the_erasure_within_the_bound(
    ring: Keyring, vault: Vault
) -> None:
    """Its cached key is used for less than 3 s; the control shows that it was cached."""
    other = await ring.vault()
    await one_key(other, "a")
    await vault.forget("", "a", "asked")
    assert (await other.opening_keys("", {("a", 1)}))["a", 1] is not None
    ring.wait(3.0)
    assert {("a", 1): None} == await other.opening_keys("", {("a", 1)})
    with pytest.raises(SubjectForgotten):
        await other.sealing_keys("", ["a"])


async def test_somebody_unknown_can_be_forgotten_in_advance(vault: Vault) -> None:
    """Nothing was sealed, nothing needs rotating, and nothing will be sealed."""
    await vault.forget("", "never seen", "asked")
    with pytest.raises(SubjectForgotten):
        await vault.sealing_keys("", ["never seen"])
    assert 0 == (await vault.status()).open_erasures


async def test_forgetting_twice_rotates_once(ring: Keyring, vault: Vault) -> None:
    """The second one finds nothing to do."""
    await vault.sealing_keys("", ["a", "b"])
    assert 1 == await vault.forget_many("", ["a"], "asked")
    epochs = query(ring.url, "SELECT count(*) FROM goldseam_epochs")
    assert 0 == await vault.forget_many("", ["a"], "asked again")
    assert epochs == query(ring.url, "SELECT count(*) FROM goldseam_epochs")


async def test_several_erasures_share_one_rotation(ring: Keyring, vault: Vault) -> None:
    """The rotation is what costs."""
    await vault.sealing_keys("", [f"s-{n}" for n in range(20)])
    assert 10 == await vault.forget_many("", [f"s-{n}" for n in range(10)], "asked")
    states = query(ring.url, "SELECT state FROM goldseam_epochs ORDER BY number")
    assert [("destroyed",), ("current",)] == states
    assert (10, 10) == (await vault.status())[:2]


async def test_a_readmitted_subject_has_a_new_key_and_its_past_stays_shredded(
    ring: Keyring, vault: Vault
) -> None:
    """Version 2 opens what comes; version 1 never comes back; a stale process finds out."""
    old, other = await one_key(vault, "a"), await ring.vault()
    await vault.forget("", "a", "asked")
    assert {("a", 1): None} == await other.opening_keys("", {("a", 1)})
    await vault.readmit("", "a")
    new = await one_key(vault, "a")
    assert 2 == new.version
    assert old.nonce_key != new.nonce_key
    found = await other.opening_keys("", {("a", 1), ("a", 2)})
    assert found["a", 1] is None
    assert found["a", 2] is not None
    await vault.forget("", "a", "asked again")
    assert {("a", 2): None} == await vault.opening_keys("", {("a", 2)})


async def test_only_the_forgotten_are_readmitted(vault: Vault) -> None:
    """Nobody gets a second key beside a first one."""
    await one_key(vault, "a")
    for name in ("a", "unknown"):
        with pytest.raises(NotForgotten, match="not forgotten"):
            await vault.readmit("", name)


async def test_a_lost_key_is_an_incident_and_no_erasure(ring: Keyring, vault: Vault) -> None:
    """A wrong or restored key store must not look like people who were forgotten."""
    await vault.sealing_keys("", ["a", "b"])
    query(ring.url, "DELETE FROM goldseam_subject_keys WHERE subject = 'a'")
    ring.wait(3.0)
    for wanted in (("a", 1), ("unknown", 1), ("b", 7)):
        with pytest.raises(KeyLost):
            await vault.opening_keys("", {wanted})
    with pytest.raises(KeyLost):
        await vault.sealing_keys("", ["a"])


async def test_a_key_in_the_row_of_another_subject_is_refused(ring: Keyring, vault: Vault) -> None:
    """Else somebody could hide a key from its erasure in another row."""
    await vault.sealing_keys("", ["a", "b"])
    query(
        ring.url,
        "UPDATE goldseam_subject_keys SET wrapped = (SELECT wrapped FROM goldseam_subject_keys"
        " WHERE subject = 'a') WHERE subject = 'b'",
    )
    ring.wait(3.0)
    with pytest.raises(KeyLost, match="of another subject"):
        await vault.opening_keys("", {("b", 1)})


async def test_a_backup_of_the_key_store_brings_nobody_back(ring: Keyring, vault: Vault) -> None:
    """The old row never opens again; the control shows that deleting it is not enough."""
    key = await one_key(vault, "a")
    await one_key(vault, "b")
    backup = query(
        ring.url,
        "SELECT e.id, e.material, k.wrapped FROM goldseam_subject_keys k"
        " JOIN goldseam_epochs e ON e.number = k.epoch WHERE k.subject = 'a'",
    )[0]
    row = WrappedKey(bound("", "a", 1), str(backup[2]))

    # The control: the row is gone, and the backup still gives the key.
    query(ring.url, "DELETE FROM goldseam_subject_keys WHERE subject = 'a'")
    found = await ring.provider().unwrap(Epoch(str(backup[0]), str(backup[1])), [row])
    assert key.nonce_key == SubjectKey(1, found[0]).nonce_key

    await vault.forget("", "a", "asked")
    _restore(ring.url, backup)
    ring.wait(3.0)
    with pytest.raises(KeyLost):
        await vault.opening_keys("", {("a", 1)})


def _restore(url: str, backup: tuple[object, ...]) -> None:
    """The tables as they were before the erasure, as far as they are about ``a``."""
    epoch, material, wrapped = backup
    query(url, "UPDATE goldseam_epochs SET material = ? WHERE id = ?", material, epoch)
    query(url, "UPDATE goldseam_subjects SET state = 'active' WHERE subject = 'a'")
    query(
        url,
        "INSERT INTO goldseam_subject_keys (tenant, subject, key_version, epoch, wrapped,"
        " created_us) SELECT '', 'a', 1, number, ?, 0 FROM goldseam_epochs WHERE id = ?",
        wrapped,
        epoch,
    )


async def test_a_copy_of_the_whole_key_store_brings_nobody_back(tmp_path: Path) -> None:
    """The file as it was before the erasure opens while its epoch lives, and never again."""
    ring = Keyring(f"sqlite:///{tmp_path / 'keys.db'}", tmp_path / "keys")
    vault = await ring.vault()
    await vault.sealing_keys("", ["a", "b"])
    with sqlite3.connect(tmp_path / "keys.db") as live:
        live.execute("VACUUM INTO ?", (str(tmp_path / "backup.db"),))
    live.close()
    restored = Keyring(f"sqlite:///{tmp_path / 'backup.db'}", tmp_path / "keys")
    before = await restored.vault()
    assert (await before.opening_keys("", {("a", 1)}))["a", 1] is not None
    await vault.forget("", "a", "asked")
    after = await restored.vault()
    with pytest.raises(KeyLost, match="epoch is gone"):
        await after.opening_keys("", {("a", 1)})
    await ring.close()
    await restored.close()


@pytest.mark.parametrize("forgetting", [False, True], ids=["control: DELETE", "forget"])
async def test_on_sqlite_the_wrapped_key_leaves_the_file_and_its_wal(
    tmp_path: Path, forgetting: bool
) -> None:
    """Plain DELETE leaves the row's bytes behind; forgetting overwrites and empties the WAL."""
    path = tmp_path / "keys.db"
    ring = Keyring(f"sqlite:///{path}", tmp_path / "keys")
    vault = await ring.vault()
    await vault.sealing_keys("", ["a", *(f"s-{n}" for n in range(20))])
    wrapped = _wrapped(path, "a")
    if forgetting:
        await vault.forget("", "a", "asked")
    else:
        with sqlite3.connect(path) as raw:
            raw.execute("DELETE FROM goldseam_subject_keys WHERE subject = 'a'")
        raw.close()
    files = [path, path.with_name("keys.db-wal")]
    assert forgetting is not any(wrapped in file.read_bytes() for file in files if file.exists())
    await ring.close()


def _wrapped(path: Path, subject: str) -> bytes:
    raw = sqlite3.connect(path)
    found = raw.execute(
        "SELECT wrapped FROM goldseam_subject_keys WHERE subject = ?", (subject,)
    ).fetchone()[0]
    raw.close()
    assert 60 == len(b64decode(found))
    return str(found).encode()


async def test_an_unreachable_provider_is_said_and_nothing_is_made(
    ring: Keyring, vault: Vault
) -> None:
    """No key, no sealing: nothing personal is ever written in the clear instead."""
    await one_key(vault, "a")
    ring.wait(3.0)
    ring.folder.rename(ring.folder.with_name("away"))
    with pytest.raises(KeyStoreUnavailable) as caught:
        await one_key(vault, "a")
    assert caught.value.retry_safe
    assert isinstance(caught.value, StoreUnavailable)
    with pytest.raises(KeyStoreUnavailable):
        await one_key(vault, "b")
    ring.folder.with_name("away").rename(ring.folder)
    assert 1 == (await one_key(vault, "b")).version


async def test_an_unreachable_key_store_is_said(tmp_path: Path) -> None:
    """A database that does not answer is a key store that does not answer."""
    ring = Keyring(f"sqlite:///{tmp_path / 'keys.db'}", tmp_path / "keys")
    vault = await ring.vault()
    await ring.close()
    for call in (one_key(vault, "a"), vault.forget("", "a", "asked"), vault.status()):
        with pytest.raises(KeyStoreUnavailable):
            await call


async def test_what_cannot_be_stored_is_refused_without_showing_it(vault: Vault) -> None:
    """Names and reasons may be personal themselves."""
    with pytest.raises(InvalidSubject) as caught:
        await vault.sealing_keys("", ["ada@example.org\0"])
    assert "ada" not in str(caught.value)
    with pytest.raises(InvalidInput):
        await vault.forget("", "a", "x" * 501)


async def test_subjects_are_listed_in_pages_by_state(vault: Vault) -> None:
    """By name, those after the one named last."""
    await vault.sealing_keys("", ["a", "b", "c"])
    await vault.forget("", "b", "asked")
    assert ["a", "c"] == [one.subject for one in await vault.subjects("", "active")]
    assert ["b"] == [one.subject for one in await vault.subjects("", "forgotten")]
    assert ["b", "c"] == [one.subject for one in await vault.subjects("", after="a")]


async def test_no_secret_is_in_a_repr(ring: Keyring, vault: Vault) -> None:
    """Neither keys nor folders nor tokens."""
    await one_key(vault, "a")
    shown = f"{vault!r} {vault._cache!r} {vault._provider!r} {vault._epochs!r}"
    assert str(ring.folder) not in shown
    assert "LocalFile('file')" in shown
