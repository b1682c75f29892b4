"""Finds the PostgreSQL server programs of this machine, and installs them when they are missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROGRAMS = ("initdb", "pg_ctl", "pg_isready", "postgres", "psql")
"""What a server of our own needs; a client alone (psql) is not enough."""

INSTALL_SECONDS_MAX = 900
"""A package installation that takes longer than this is hanging, not slow."""

SERVER_FOLDERS = ("/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt", "/usr/local/opt")
"""Where distributions keep server programs that they leave out of PATH."""


class PostgresMissing(Exception):
    """No PostgreSQL server is installed here and none can be installed."""


def _complete(folder: Path) -> bool:
    return all(os.access(folder / program, os.X_OK) for program in PROGRAMS)


def _version(folder: Path) -> tuple[int, ...]:
    digits = "".join(c if c.isdigit() else " " for c in folder.parent.name).split()
    return tuple(int(part) for part in digits) or (0,)


def find() -> Path | None:
    """The folder of the newest complete set of server programs, or None."""
    found = [
        folder
        for parent in SERVER_FOLDERS
        for folder in Path(parent).glob("*/bin")
        if _complete(folder)
    ]
    if found:
        return max(found, key=_version)
    on_path = shutil.which("pg_ctl")
    if on_path:
        folder = Path(on_path).resolve().parent
        if _complete(folder):
            return folder
    return None


def find_or_install() -> Path:
    """The folder of the server programs; installs Debian's `postgresql` when we are root.

    Raises PostgresMissing when there is nothing to find and no way to install it.
    """
    folder = find()
    if folder is not None:
        return folder
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise PostgresMissing(
            "no PostgreSQL server programs in PATH or "
            + ", ".join(SERVER_FOLDERS)
            + "; install PostgreSQL 13 or newer (Debian: apt-get install postgresql) "
            "and run this again"
        )
    _apt_get("update")
    _apt_get("install", "--yes", "--no-install-recommends", "postgresql")
    folder = find()
    if folder is None:
        raise PostgresMissing("apt-get installed postgresql, yet its programs are not found")
    return folder


def _apt_get(*arguments: str) -> None:
    print("services: apt-get " + " ".join(arguments), file=sys.stderr, flush=True)
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    try:
        subprocess.run(
            ["apt-get", "-q", *arguments],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            env=environment,
            timeout=INSTALL_SECONDS_MAX,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise PostgresMissing(f"apt-get could not install PostgreSQL: {error}") from error
