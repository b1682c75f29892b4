"""Runs one PostgreSQL server that belongs to one checkout, and touches no other server.

Its tests' kills need only `PostgresServer(root, programs)` with a root of their own.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MARKER = "made-by-goldseam-services"
"""The file that says which checkout made a folder; without it we do not touch the folder."""

START_SECONDS_MAX = 60
"""Crash recovery after a kill under load takes seconds; a minute means something is wrong."""

ORPHAN_SECONDS_MAX = 20
"""Server processes leave by themselves when their postmaster has been killed, if not at once."""

CONNECTIONS_MAX = 200
"""Room for 32 writers with pools of their own, followers and two test workers."""

PORTS = range(20_000, 32_000)
"""Below the ports that outgoing connections are given: a client that keeps trying while the server
is down could otherwise be connected to itself, and hold the server's port."""

SERVER_USER = "postgres"
"""The operating system's user when we are root: PostgreSQL refuses to run as root."""


class ServerRefused(Exception):
    """The server, port or folder is not ours, so we do not use it."""


class ServerUnreachable(Exception):
    """Our server does not start or does not answer."""


@dataclass(frozen=True)
class State:
    """What is chosen at the first start and kept: the port and the folder of the socket."""

    port: int
    sockets: str


class PostgresServer:
    """The server of one checkout: its files are below `root/.services` or, when the server's user
    cannot enter the checkout, in a folder of `/var/tmp` named after it."""

    def __init__(self, root: Path, programs: Path) -> None:
        self.root = root.resolve()
        self.programs = programs
        self.services = self.root / ".services"
        self.services.mkdir(mode=0o755, exist_ok=True)
        self.home = self._home()
        self.data = self.home / "data"
        self.log = self.home / "server.log"

    # ------------------------------------------------------------------ verbs

    def start(self, *, new_port: bool = False) -> str:
        """Start the server unless it runs; returns its URL. Raises ServerRefused, Unreachable."""
        with self._alone():
            self._prepare()
            self._forget_stale_pid()
            if not self.running():
                self._launch(new_port=new_port)
            self._wait_until_ready()
            self._refuse_foreign(self.port())
            (self.services / "postgres.url").write_text(self.url() + "\n", encoding="utf-8")
            return self.url()

    def stop(self, mode: str = "fast") -> bool:
        """Stop the server (fast or immediate); returns whether it ran."""
        with self._alone():
            ran = self.running()
            if ran:
                self._run("pg_ctl", "stop", "-w", "-D", str(self.data), "-m", mode)
            (self.services / "postgres.url").unlink(missing_ok=True)
            state = self._state()
            if state is not None:
                shutil.rmtree(state.sockets, ignore_errors=True)
            return ran

    def kill(self) -> None:
        """SIGKILL the postmaster, as a crash would: for fault tests."""
        pid = self._pid()
        if pid is not None and self.running():
            os.kill(pid, signal.SIGKILL)

    def running(self) -> bool:
        """Whether a postmaster of our own data directory is alive."""
        pid = self._pid()
        return pid is not None and self._is_ours(pid)

    def port(self) -> int:
        """The port chosen at the first start."""
        state = self._state()
        if state is None:
            raise ServerUnreachable("no server was started from this checkout; run: make services")
        return state.port

    def url(self) -> str:
        """The URL that goldseam and psycopg take; raises ServerRefused for a foreign server."""
        self._refuse_foreign(self.port())
        return f"postgresql://postgres@127.0.0.1:{self.port()}/postgres"

    # ------------------------------------------------------------------ folders

    def _home(self) -> Path:
        inside = self.services / "postgres"
        pointer = self.services / "postgres.home"
        if pointer.is_file():
            return Path(pointer.read_text(encoding="utf-8").strip())
        if os.geteuid() != 0 or self._server_user_can_enter(self.services):
            home = inside
        else:
            digest = hashlib.sha256(str(self.root).encode()).hexdigest()[:12]
            home = Path("/var/tmp") / f"goldseam-{digest}"
        pointer.write_text(f"{home}\n", encoding="utf-8")
        return home

    def _server_user_can_enter(self, folder: Path) -> bool:
        command = [*self._as_server_user(), "test", "-x", str(folder)]
        return subprocess.run(command, cwd="/", check=False).returncode == 0

    def _prepare(self) -> None:
        marker = self.home / MARKER
        if self.home.is_symlink():  # a planted link in /var/tmp would lead root's writes astray
            raise ServerRefused(f"{self.home} is a link; delete it and run this again")
        if self.home.exists() and any(self.home.iterdir()):
            owner = marker.read_text(encoding="utf-8").strip() if marker.is_file() else None
            if owner != str(self.root):
                raise ServerRefused(
                    f"{self.home} was made by {owner or 'somebody else'}, not by this checkout "
                    f"({self.root}); move that folder away or delete "
                    f"{self.services / 'postgres.home'}"
                )
        self.home.mkdir(mode=0o700, exist_ok=True)
        marker.write_text(f"{self.root}\n", encoding="utf-8")
        self._give_to_server_user(self.home)
        if not (self.data / "PG_VERSION").is_file():
            shutil.rmtree(self.data, ignore_errors=True)  # an initdb that was cut short
            self._run(
                "initdb",
                *("-D", str(self.data), "-U", "postgres", "--encoding=UTF8", "--no-locale"),
                *("--auth-local=trust", "--auth-host=trust"),
            )

    def _give_to_server_user(self, folder: Path) -> None:
        if os.geteuid() == 0:
            user = pwd.getpwnam(SERVER_USER)
            os.chown(folder, user.pw_uid, user.pw_gid)

    def _state(self) -> State | None:
        try:
            return State(**json.loads((self.home / "state.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    # ------------------------------------------------------------------ the process

    def _launch(self, *, new_port: bool) -> None:
        state = self._state()
        if state is None or new_port:
            state = State(port=_free_port(), sockets="/nonexistent")
        elif _listens(state.port):
            self._refuse_foreign(state.port)
        # A new folder each time: a crash leaves a lock in the old one, naming a process.
        shutil.rmtree(state.sockets, ignore_errors=True)
        state = State(state.port, tempfile.mkdtemp(prefix="goldseam-pg-", dir="/tmp"))
        self._give_to_server_user(Path(state.sockets))
        (self.home / "state.json").write_text(json.dumps(vars(state)) + "\n", encoding="utf-8")
        options = (
            f"-p {state.port} -k {state.sockets} -c listen_addresses=127.0.0.1 "
            f"-c max_connections={CONNECTIONS_MAX}"
        )
        self._run(
            "pg_ctl",
            *("start", "-w", "-t", str(START_SECONDS_MAX)),
            *("-D", str(self.data), "-l", str(self.log), "-o", options),
        )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        address = ("-h", "127.0.0.1", "-p", str(self.port()))
        while self._quietly("pg_isready", "-q", *address).returncode != 0:
            if time.monotonic() > deadline:
                raise ServerUnreachable(
                    f"PostgreSQL on port {self.port()} did not answer within "
                    f"{START_SECONDS_MAX} s; read {self.log}"
                )
            time.sleep(0.1)

    def _refuse_foreign(self, port: int) -> None:
        answer = self._quietly(
            "psql",
            *("-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-d", "postgres"),
            *("-w", "-X", "-A", "-t", "-c", "SHOW data_directory"),
        )
        if answer.returncode != 0 and not _listens(port):
            raise ServerUnreachable(f"nothing listens on port {port}; run: make services")
        actual = answer.stdout.strip() or "unknown (" + answer.stderr.strip() + ")"
        if answer.returncode != 0 or not _same_folder(actual, self.data):
            raise ServerRefused(
                f"port {port} belongs to a server whose data directory is {actual}, "
                f"not {self.data}; stop that server, or take another port with: "
                "python3 -m tools.services start --new-port"
            )

    def _pid(self) -> int | None:
        try:
            return int((self.data / "postmaster.pid").read_text(encoding="utf-8").split("\n")[0])
        except (FileNotFoundError, ValueError):
            return None

    def _is_ours(self, pid: int) -> bool:
        arguments = _command_line(pid)
        return "-D" in arguments and _same_folder(arguments[arguments.index("-D") + 1], self.data)

    def _forget_stale_pid(self) -> None:
        """After a crash the file may name a process that is by now somebody else's.

        Deleted only once nothing works in the data directory any more: the file also keeps a
        second server away from what an orphan of the first still writes.
        """
        pid = self._pid()
        if pid is None or self._is_ours(pid) or not Path("/proc/self").exists():
            return
        deadline = time.monotonic() + ORPHAN_SECONDS_MAX
        while orphans := _working_in(self.data):
            if time.monotonic() > deadline:
                raise ServerUnreachable(
                    f"the server of {self.data} died, but processes {orphans} still work there "
                    f"after {ORPHAN_SECONDS_MAX} s; end them and run this again"
                )
            time.sleep(0.1)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    # ------------------------------------------------------------------ running programs

    def _as_server_user(self) -> list[str]:
        if os.geteuid() != 0:
            return []
        user = pwd.getpwnam(SERVER_USER)
        return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups"]

    def _quietly(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the programs; PG* variables of the caller must not lead it elsewhere."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            # Files, not pipes: the server that pg_ctl leaves behind would hold a pipe open.
            done = subprocess.run(
                [*self._as_server_user(), str(self.programs / program), *arguments],
                check=False,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**environment, "LC_ALL": "C", "PGCONNECT_TIMEOUT": "5"},
            )
            texts = []
            for stream in (out, err):
                stream.seek(0)
                texts.append(stream.read())
        return subprocess.CompletedProcess(done.args, done.returncode, *texts)

    def _run(self, program: str, *arguments: str) -> None:
        done = self._quietly(program, *arguments)
        if done.returncode != 0:
            tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
            raise ServerUnreachable(f"{program} failed ({done.returncode}); {self.log}:\n{tail}")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One start or stop at a time, however many terminals ask."""
        with (self.services / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _free_port() -> int:
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServerUnreachable(f"no port between {PORTS.start} and {PORTS.stop - 1} is free")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _same_folder(left: str, right: Path) -> bool:
    return os.path.realpath(left) == os.path.realpath(right)


def _working_in(folder: Path) -> list[int]:
    """The processes whose working directory is `folder`: all processes of a server are."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if _same_folder(str(link), folder):
                found.append(int(link.parent.name))
    return found


def _command_line(pid: int) -> list[str]:
    """The arguments of a live process; empty when it is gone or a zombie."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        if Path("/proc/self").exists():
            return []
        done = subprocess.run(
            ["ps", "-p", str(pid), "-o", "args="], check=False, capture_output=True, text=True
        )
        return done.stdout.split()
    return [os.fsdecode(part) for part in raw.split(b"\0")[:-1]]
