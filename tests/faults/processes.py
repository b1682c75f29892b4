"""Programs of this folder as processes of their own: started, listened to, killed, never left."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ANSWER_SECONDS_MAX = 60
"""A program that says nothing for so long hangs: no test waits for ever."""


class Program:
    """One running program of tests/faults."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._unread = b""

    def line(self) -> str:
        """Its next line; empty when it has ended.

        Raises:
            TimeoutError: it says nothing.
        """
        assert self._process.stdout is not None
        out = self._process.stdout.fileno()
        while b"\n" not in self._unread:
            if not select.select([out], [], [], ANSWER_SECONDS_MAX)[0]:
                raise TimeoutError(f"no line within {ANSWER_SECONDS_MAX} s")
            data = os.read(out, 65_536)
            if not data:
                return self._unread.decode()
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def say(self, text: str) -> None:
        """Give it one line."""
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode() + b"\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()
        self._process.wait()

    def ended(self) -> int:
        """Wait for its end; its exit code, negative for a signal."""
        return self._process.wait(ANSWER_SECONDS_MAX)


@contextmanager
def program(name: str, *arguments: str) -> Iterator[Program]:
    """Run ``tests/faults/<name>.py``; whatever happens, it is gone at the end of the block."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    process = subprocess.Popen(
        [sys.executable, "-m", f"tests.faults.{name}", *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield Program(process)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
