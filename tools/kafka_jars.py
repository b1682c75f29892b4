"""Fetches the jars of Apache Kafka with Maven, once for all checkouts of a user."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

POM = Path(__file__).resolve().parent / "kafka" / "pom.xml"
FETCH_SECONDS_MAX = 600
JAVA_MAJOR_MIN = 17


class KafkaMissing(Exception):
    """Java, Maven or the jars are not to be had on this machine."""


def find_or_fetch() -> Path:
    """The folder of the jars. Raises KafkaMissing with the reason."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None and not (program == "mvn" and _folder().is_dir()):
            raise KafkaMissing(f"{program} is not installed (JDK {JAVA_MAJOR_MIN} and Maven)")
    folder = _folder()
    if not folder.is_dir():
        _fetch(folder)
    return folder


def find() -> Path | None:
    """The folder of the jars if they are here and Java is too; fetches nothing."""
    folder = _folder()
    return folder if folder.is_dir() and shutil.which("java") else None


def _folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    return cache / "goldseam" / f"kafka-{digest}"


def _fetch(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        shutil.copy(POM, work)
        jars = Path(work) / "jars"
        command = [
            *("mvn", "-q", "-B", "dependency:copy-dependencies"),
            f"-DoutputDirectory={jars}",
        ]
        try:
            done = subprocess.run(
                command,
                cwd=work,
                check=False,
                capture_output=True,
                text=True,
                timeout=FETCH_SECONDS_MAX,
            )
        except subprocess.TimeoutExpired:
            raise KafkaMissing(f"Maven took more than {FETCH_SECONDS_MAX} s") from None
        if done.returncode != 0:
            lines = (done.stdout + done.stderr).strip().splitlines()
            raise KafkaMissing(f"Maven cannot fetch Kafka: {' '.join(lines[:3])}")
        if not folder.is_dir():  # another checkout may have been quicker
            jars.rename(folder)
