"""Epoch keys in files that only their owner can read: for one machine, and for development."""

from __future__ import annotations

import asyncio
import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from goldseam.privacy.envelope import KEY_BYTES
from goldseam.privacy.errors import KeyProviderRefused, KeyStoreUnavailable
from goldseam.privacy.providers.provider import EnvelopeProvider, Epoch, EpochGone
from goldseam.resilience.clock import Clock

T = TypeVar("T")

_OTHERS = 0o077
_FOLDER_MODE = 0o700
_FILE_MODE = 0o600
_SUFFIX_BYTES = 8
_EPOCH_ID = re.compile(r"[a-z0-9-]{1,80}")


class LocalFile(EnvelopeProvider):
    """One file for each epoch, in a folder with the mode 0700.

    Destroying overwrites the file, syncs, unlinks it and syncs the folder. On a copy-on-write file
    system, in a snapshot or on a worn SSD an older block can survive that; keep the folder out of
    backups, or use a provider that is made for destroying keys.

    Args:
        folder: created when it is missing; its parent must exist.
    """

    def __init__(self, folder: str, clock: Clock, *, new_bytes: Callable[[int], bytes]) -> None:
        super().__init__("file", clock, new_bytes)
        self._folder = Path(folder)

    async def create_epoch(self, epoch: str) -> str:
        """Write a new key into a file of its own, unless there is one."""
        await self._run(self._create, epoch)
        return ""

    async def fetch(self, epoch: Epoch) -> bytes:
        """Read the epoch's file."""
        return await self._run(self._read, epoch.id)

    async def destroy(self, epoch: Epoch) -> None:
        """Overwrite, sync, unlink, sync the folder."""
        await self._run(self._destroy, epoch.id)

    async def exists(self, epoch: Epoch) -> bool:
        """Whether the epoch's file is there."""
        return await self._run(self._exists, epoch.id)

    async def _run(self, work: Callable[[Path], T], epoch: str) -> T:
        """Run ``work`` in a thread: files block, and syncing them takes long."""
        if not _EPOCH_ID.fullmatch(epoch):
            raise KeyProviderRefused(self.name, "an epoch's id is no file name", "repair its row")
        try:
            return await asyncio.to_thread(work, self._folder / epoch)
        except OSError as error:
            # The file's name says nothing about anybody, the folder's may: only the reason is said.
            reason = error.strerror or type(error).__name__
            raise KeyStoreUnavailable(f"the folder of key files: {reason}") from None

    def _create(self, path: Path) -> None:
        with suppress(FileExistsError):
            path.parent.mkdir(_FOLDER_MODE)
        self._check(path.parent, stat.S_ISDIR)
        if path.exists():
            return
        draft = path.parent / f".{path.name}.{self._new_bytes(_SUFFIX_BYTES).hex()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(draft, flags, _FILE_MODE), "wb") as file:
            file.write(self._new_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first: its key stays
            os.link(draft, path)
        draft.unlink()
        _sync_folder(path.parent)

    def _read(self, path: Path) -> bytes:
        self._check_folder(path.parent)
        try:
            file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")
        except FileNotFoundError:
            raise EpochGone from None
        with file:
            self._check_stat(os.fstat(file.fileno()), stat.S_ISREG)
            return file.read(KEY_BYTES + 1)

    def _destroy(self, path: Path) -> None:
        self._check_folder(path.parent)
        # A crash while it was made may have left a second name, or a key that was never used.
        for one in [path, *path.parent.glob(f".{path.name}.*")]:
            with suppress(FileNotFoundError):
                with os.fdopen(os.open(one, os.O_RDWR | os.O_NOFOLLOW), "r+b") as file:
                    file.write(bytes(os.fstat(file.fileno()).st_size))
                    file.flush()
                    os.fsync(file.fileno())
                one.unlink()
        _sync_folder(path.parent)

    def _exists(self, path: Path) -> bool:
        self._check_folder(path.parent)
        return path.exists()

    def _check_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            raise KeyStoreUnavailable("the folder of key files is not there; is it mounted?")
        self._check(folder, stat.S_ISDIR)

    def _check(self, path: Path, kind: Callable[[int], bool]) -> None:
        self._check_stat(path.lstat(), kind)

    def _check_stat(self, found: os.stat_result, kind: Callable[[int], bool]) -> None:
        what = "the folder" if kind is stat.S_ISDIR else "a key file"
        if not kind(found.st_mode):
            raise KeyProviderRefused(self.name, f"{what} is a link or something else", "move it")
        if found.st_uid != os.geteuid():
            raise KeyProviderRefused(
                self.name,
                f"{what} belongs to user {found.st_uid}, this process is {os.geteuid()}",
                "run as its owner, or chown it",
            )
        if found.st_mode & _OTHERS:
            raise KeyProviderRefused(
                self.name,
                f"{what} has the mode {stat.S_IMODE(found.st_mode):04o}, so others can reach it",
                f"chmod {'700' if kind is stat.S_ISDIR else '600'} it, and think of its keys as "
                "known: rotate the epoch",
            )


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
