"""Runs Apache Kafka brokers that belong to one folder, in KRaft mode, and touches no others.

Fault tests need only `KafkaCluster(root, jars)` with a root of their own.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

MARKER = "made-by-goldseam-services"
"""The file that says which checkout made a folder; without it we do not touch the folder."""

START_SECONDS_MAX = 120
STOP_SECONDS_MAX = 60
HEAP_MEBIBYTES = 320
PORTS = range(20_000, 32_000)
"""Below the ports that outgoing connections are given."""

STARTED = "Kafka Server started"
"""What a broker writes to its log when it takes requests."""


class KafkaRefused(Exception):
    """The folder is not ours, so we do not use it."""


class KafkaUnreachable(Exception):
    """Our brokers do not start."""


class KafkaCluster:
    """Combined brokers and controllers, numbered from 1; their files are in `root/.services`.

    `config` is added to every broker's configuration. `disks` says where a broker keeps its topics
    if that is not below `root`.

    Attributes:
        through: the port that others reach a broker by, if that is not its own: a proxy's. Set it
            between `prepare` and `start`.
    """

    def __init__(
        self,
        root: Path,
        jars: Path,
        *,
        brokers: int = 3,
        name: str = "kafka",
        config: dict[str, str] | None = None,
        disks: Mapping[int, Path] | None = None,
    ) -> None:
        self.root, self.jars, self.name = root.resolve(), jars, name
        self.numbers = range(1, brokers + 1)
        self.services = self.root / ".services"
        self.home = self.services / name
        self.through: dict[int, int] = {}
        self._config, self._disks = config or {}, disks or {}

    # ------------------------------------------------------------------ the cluster

    def start(self) -> str:
        """Start every broker that does not run; returns the bootstrap servers."""
        with self._alone():
            self.prepare()
            for number in self.numbers:
                self.launch(number)
            for number in self.numbers:
                self.wait_until_started(number)
            (self.services / f"{self.name}.bootstrap").write_text(self.bootstrap() + "\n")
            return self.bootstrap()

    def prepare(self) -> None:
        """Choose the ports and write them down, once. Raises KafkaRefused."""
        marker = self.home / MARKER
        if self.home.exists() and any(self.home.iterdir()):
            owner = marker.read_text().strip() if marker.is_file() else None
            if owner != str(self.root):
                raise KafkaRefused(
                    f"{self.home} was made by {owner or 'somebody else'}, not by this checkout "
                    f"({self.root}); move that folder away"
                )
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        marker.write_text(f"{self.root}\n")
        if not (self.home / "state.json").is_file():
            ports = _free_ports(2 * len(self.numbers))
            cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            state = {"cluster": cluster.replace("-", "x"), "ports": ports}
            (self.home / "state.json").write_text(json.dumps(state))

    def stop(self) -> bool:
        """Stop all brokers at once; returns whether any ran."""
        (self.services / f"{self.name}.bootstrap").unlink(missing_ok=True)
        running = [number for number in self.numbers if self.running(number)]
        for number in running:
            self.signal(number, signal.SIGCONT)
            self.signal(number, signal.SIGTERM)
        for number in running:
            if not self._gone(number, STOP_SECONDS_MAX / 4):  # a lone survivor waits for a quorum
                self.kill(number)
        return bool(running)

    def remove(self) -> None:
        """Kill everything and delete its files: for tests."""
        for number in self.numbers:
            self.kill(number)
        shutil.rmtree(self.home, ignore_errors=True)

    def bootstrap(self) -> str:
        """The addresses of all brokers."""
        return ",".join(f"127.0.0.1:{self._advertised(number)}" for number in self.numbers)

    # ------------------------------------------------------------------ one broker

    def folder(self, number: int) -> Path:
        """The folder of one broker."""
        return self.home / f"broker-{number}"

    def data(self, number: int) -> Path:
        """Where one broker keeps its topics."""
        return self._disks.get(number, self.folder(number)) / "data"

    def log(self, number: int) -> Path:
        """What one broker has said."""
        return self.folder(number) / "server.log"

    def port(self, number: int) -> int:
        """The port that clients of one broker use."""
        return self._ports()[number][0]

    def launch(self, number: int) -> None:
        """Start one broker unless it runs; does not wait."""
        if self.running(number):
            return
        if not (self.data(number) / "meta.properties").is_file():
            self._format(number)
        with self.log(number).open("wb") as log:
            process = subprocess.Popen(
                [*self._java(), "kafka.Kafka", str(self._properties(number))],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        (self.folder(number) / "pid").write_text(str(process.pid))
        _children[process.pid] = process

    def wait_until_started(self, number: int) -> None:
        """Return when one broker takes requests. Raises KafkaUnreachable."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while STARTED not in self.log(number).read_text(errors="replace"):
            if not self.running(number) or time.monotonic() > deadline:
                tail = self.log(number).read_text(errors="replace")[-2_000:]
                raise KafkaUnreachable(f"broker {number} of {self.home} does not start: {tail}")
            time.sleep(0.1)

    def kill(self, number: int) -> None:
        """SIGKILL one broker, as a crash would."""
        self.signal(number, signal.SIGKILL)
        self._gone(number, STOP_SECONDS_MAX)

    def signal(self, number: int, what: signal.Signals) -> None:
        """Send a signal to one broker, if it runs."""
        if self.running(number):
            os.kill(self._pid(number) or 0, what)

    def wipe(self, number: int) -> None:
        """Empty the disk of a broker that does not run: it comes back as a new machine."""
        shutil.rmtree(self.data(number), ignore_errors=True)

    def running(self, number: int) -> bool:
        """Whether one broker's process is alive."""
        pid = self._pid(number)
        if pid is None:
            return False
        child = _children.get(pid)
        if child is not None:  # our own: its command line is empty for a moment while it starts
            return child.poll() is None
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
        return str(self.folder(number)).encode() in command

    # ------------------------------------------------------------------ parts

    def _advertised(self, number: int) -> int:
        return self.through.get(number, self.port(number))

    def _gone(self, number: int, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.running(number):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def _state(self) -> dict[str, object]:
        try:
            state: dict[str, object] = json.loads((self.home / "state.json").read_text())
        except FileNotFoundError:
            raise KafkaUnreachable("Kafka was never started here; run: make services") from None
        return state

    def _ports(self) -> dict[int, tuple[int, int]]:
        """The broker's and the controller's port of each number."""
        ports = self._state()["ports"]
        assert isinstance(ports, list)
        return {n: (ports[2 * n - 2], ports[2 * n - 1]) for n in self.numbers}

    def _properties(self, number: int) -> Path:
        ports = self._ports()
        copies = min(3, len(self.numbers))
        voters = ",".join(f"{n}@127.0.0.1:{ports[n][1]}" for n in self.numbers)
        mine, controller = ports[number]
        settings = {
            "process.roles": "broker,controller",
            "node.id": number,
            "controller.quorum.voters": voters,
            "listeners": f"BROKER://127.0.0.1:{mine},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"BROKER://127.0.0.1:{self._advertised(number)}",
            "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "BROKER",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self.data(number),
            "auto.create.topics.enable": "false",
            "default.replication.factor": copies,
            "min.insync.replicas": max(1, copies - 1),
            "unclean.leader.election.enable": "false",
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": 3,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": max(1, copies - 1),
            "transaction.state.log.num.partitions": 3,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": max(1, copies - 1),
            "group.initial.rebalance.delay.ms": 0,
            "broker.heartbeat.interval.ms": 500,
            "broker.session.timeout.ms": 4_000,
            "replica.lag.time.max.ms": 6_000,
            "num.network.threads": 2,
            "num.io.threads": 4,
            "background.threads": 2,
            "log.index.size.max.bytes": 1_048_576,
            **self._config,
        }
        path = self.folder(number) / "server.properties"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        return path

    def _format(self, number: int) -> None:
        properties = self._properties(number)
        command = [*self._java(), "kafka.tools.StorageTool", "format", "--ignore-formatted"]
        done = subprocess.run(
            [*command, "-t", str(self._state()["cluster"]), "-c", str(properties)],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise KafkaUnreachable(f"broker {number} cannot be formatted: {done.stderr[-1_000:]}")

    def _java(self) -> list[str]:
        quiet = "-Dorg.slf4j.simpleLogger."
        return [
            "java",
            f"-Xmx{HEAP_MEBIBYTES}m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Djava.net.preferIPv4Stack=true",
            f"{quiet}defaultLogLevel=warn",
            f"{quiet}log.kafka.server.KafkaRaftServer=info",
            f"{quiet}log.org.apache.kafka.coordinator.group=info",
            "-cp",
            f"{self.jars}/*",
        ]

    def _pid(self, number: int) -> int | None:
        try:
            return int((self.folder(number) / "pid").read_text())
        except (FileNotFoundError, ValueError):
            return None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self.services.mkdir(parents=True, exist_ok=True)
        with (self.services / f"{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


_children: dict[int, subprocess.Popen[bytes]] = {}
"""Brokers that this process has started: it must collect them when they end."""


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found
