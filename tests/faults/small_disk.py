"""A disk that can be filled: a tmpfs of a few megabytes, mounted for one test."""

from __future__ import annotations

import errno
import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import MISSING
from tools.postgres_server import SERVER_USER

CHUNK_BYTES = 65_536


@contextmanager
def small_disk(megabytes: int, *, for_server: bool = False) -> Iterator[Path]:
    """A mounted folder; unmounted at the end. Without root the test is skipped, loudly."""
    if os.geteuid() != 0:
        pytest.skip(MISSING + "a full disk needs root, to mount a small tmpfs")
    parent = Path(tempfile.mkdtemp(prefix="goldseam-disk-"))
    parent.chmod(0o755)
    folder = parent / "disk"
    folder.mkdir()
    options = f"size={megabytes}m,mode=700"
    if for_server:
        options += f",uid={pwd.getpwnam(SERVER_USER).pw_uid}"
    mount = ["mount", "-t", "tmpfs", "-o", options, "goldseam-test", str(folder)]
    done = subprocess.run(mount, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        parent.rmdir()
        pytest.skip(MISSING + f"a full disk needs a tmpfs: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()
        parent.rmdir()


def fill(folder: Path, leave_bytes: int = 0) -> Path:
    """A neighbour's file that takes the room that is left; delete it to give it back."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (CHUNK_BYTES, 1):
            try:
                while file.write(b"\0" * size) == size:
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
        file.truncate(max(file.tell() - leave_bytes, 0))
    return filler
