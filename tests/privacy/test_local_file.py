"""Epoch keys in files: their owner's only, whole or not there, overwritten when destroyed."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from goldseam.errors import InvalidName
from goldseam.privacy.errors import KeyLost, KeyProviderRefused, KeyStoreUnavailable
from goldseam.privacy.providers import KeyProvider, open_provider
from goldseam.privacy.providers.provider import BoundKey, Epoch, EpochGone, WrappedKey
from tests.privacy.keyring import HandClock

EPOCH = Epoch("goldseam-epoch-1")
KEY = bytes(range(32))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def opened(folder: Path) -> KeyProvider:
    return open_provider(f"file://{folder}", HandClock())


async def wrapped(provider: KeyProvider) -> WrappedKey:
    await provider.create_epoch(EPOCH.id)
    return WrappedKey(b"a", (await provider.wrap(EPOCH, [BoundKey(b"a", KEY)]))[0])


async def test_what_is_wrapped_is_unwrapped_by_another_process(folder: Path) -> None:
    """The key is in the file, not in the process."""
    closed = await wrapped(opened(folder))
    assert [KEY] == await opened(folder).unwrap(EPOCH, [closed])


async def test_only_the_owner_can_read_what_is_made(folder: Path) -> None:
    """0700 and 0600, whatever the umask."""
    umask = os.umask(0)
    try:
        await wrapped(opened(folder))
    finally:
        os.umask(umask)
    assert 0o700 == folder.stat().st_mode & 0o777
    assert 0o600 == (folder / EPOCH.id).stat().st_mode & 0o777


@pytest.mark.parametrize(
    ("where", "mode", "cure"),
    [(".", 0o750, "chmod 700"), (".", 0o701, "chmod 700"), (EPOCH.id, 0o640, "chmod 600")],
)
async def test_wider_permissions_are_refused(
    folder: Path, where: str, mode: int, cure: str
) -> None:
    """Keys that others can read are no keys; the message says what to do."""
    closed = await wrapped(opened(folder))
    (folder / where).chmod(mode)
    with pytest.raises(KeyProviderRefused, match=cure):
        await opened(folder).unwrap(EPOCH, [closed])


async def test_another_owner_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns the files can change their mode."""
    closed = await wrapped(opened(folder))
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(KeyProviderRefused, match="belongs to user"):
        await opened(folder).unwrap(EPOCH, [closed])


async def test_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    """A link could lead out of the folder that was checked."""
    await wrapped(opened(folder))
    link = tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(KeyProviderRefused, match="a link"):
        await opened(link).exists(EPOCH)


async def test_destroying_overwrites_before_it_unlinks(folder: Path, tmp_path: Path) -> None:
    """A second name of the same blocks shows that they are zero afterwards."""
    provider = opened(folder)
    closed = await wrapped(provider)
    (tmp_path / "witness").hardlink_to(folder / EPOCH.id)
    assert any((tmp_path / "witness").read_bytes())
    await provider.destroy_epoch(EPOCH)
    assert bytes(32) == (tmp_path / "witness").read_bytes()
    assert not await provider.exists(EPOCH)
    assert [] == list(folder.iterdir())
    with pytest.raises(EpochGone):
        await provider.unwrap(EPOCH, [closed])
    await provider.destroy_epoch(EPOCH)  # a second time does no harm


async def test_what_a_crash_left_is_destroyed_too(folder: Path) -> None:
    """A draft of the same epoch may hold its key."""
    provider = opened(folder)
    await wrapped(provider)
    (folder / f".{EPOCH.id}.0011").hardlink_to(folder / EPOCH.id)
    await provider.destroy_epoch(EPOCH)
    assert [] == list(folder.iterdir())


async def test_two_processes_that_make_one_epoch_make_one_key(folder: Path) -> None:
    """The first key stays."""
    both = [opened(folder), opened(folder)]
    await asyncio.gather(*(one.create_epoch(EPOCH.id) for one in both))
    closed = await wrapped(both[0])
    assert [KEY] == await both[1].unwrap(EPOCH, [closed])
    assert [EPOCH.id] == [path.name for path in folder.iterdir()]


async def test_an_epoch_key_leaves_memory_after_three_seconds(folder: Path) -> None:
    """Another process destroys it: this one can unwrap no longer than that."""
    clock = HandClock()
    provider = open_provider(f"file://{folder}", clock)
    closed = await wrapped(provider)
    await opened(folder).destroy_epoch(EPOCH)
    assert [KEY] == await provider.unwrap(EPOCH, [closed])
    clock.seconds += 3.0
    with pytest.raises(EpochGone):
        await provider.unwrap(EPOCH, [closed])


@pytest.mark.parametrize("content", [b"", bytes(31), bytes(33), bytes(32)])
async def test_a_damaged_key_file_is_said(folder: Path, content: bytes) -> None:
    """Half a file, or another key's: never a wrong key handed out."""
    closed = await wrapped(opened(folder))
    (folder / EPOCH.id).write_bytes(content)
    with pytest.raises(KeyLost):
        await opened(folder).unwrap(EPOCH, [closed])


async def test_a_key_is_bound_to_whose_it_is(folder: Path) -> None:
    """Under another name it does not unwrap."""
    provider = opened(folder)
    closed = await wrapped(provider)
    with pytest.raises(KeyLost):
        await provider.unwrap(EPOCH, [closed._replace(bound=b"b")])


async def test_a_missing_folder_is_no_erasure(folder: Path) -> None:
    """A volume that is not mounted must not look like destroyed keys."""
    with pytest.raises(KeyStoreUnavailable, match="mounted"):
        await opened(folder).unwrap(EPOCH, [])


@pytest.mark.parametrize(
    "url",
    [
        "file://host/keys",
        "file:///",
        "ftp://x/y",
        "vault+https:///transit",
        "vault+https://me:secret@host/transit",
    ],
)
def test_a_url_that_names_no_provider_is_refused(url: str) -> None:
    """The message shows no credentials."""
    with pytest.raises(InvalidName) as caught:
        open_provider(url, HandClock())
    assert "secret" not in str(caught.value)


async def test_an_epoch_id_that_is_no_name_is_refused(folder: Path) -> None:
    """A row of the key store must not reach files outside the folder."""
    with pytest.raises(KeyProviderRefused):
        await opened(folder).destroy_epoch(Epoch("../other"))
