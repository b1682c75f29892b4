"""Runs MirrorMaker 2 in dedicated mode between two clusters of this machine: the second region.

Offsets of groups are translated, and imprecisely so: a consumer that fails over reads again what it
has read. See docs/failures/broker-all-brokers-down.md.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tools.kafka_cluster import KafkaCluster

START_SECONDS_MAX = 120
STOP_SECONDS_MAX = 30
HEAP_MEBIBYTES = 256
STARTED = "Kafka MirrorMaker started"
"""What MirrorMaker writes to its log when its connectors are handed out."""


class MirrorUnreachable(Exception):
    """MirrorMaker does not start."""


class MirrorMaker:
    """Copies topics and the offsets of groups from one cluster to another, under the same names.

    `topics` and `groups` are regular expressions. Records keep their partition and their order;
    what was not copied when the source died is not in the target.
    """

    def __init__(
        self, source: KafkaCluster, target: KafkaCluster, *, topics: str = ".*", groups: str = ".*"
    ) -> None:
        self.source, self.target = source, target
        self.home = target.services / f"mirror-{source.name}-to-{target.name}"
        self._topics, self._groups = topics, groups

    @property
    def log(self) -> Path:
        """What it has said."""
        return self.home / "mirror.log"

    def start(self) -> None:
        """Start it unless it runs, and wait for its connectors. Raises MirrorUnreachable."""
        if self.running():
            return
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [*self._java(), "org.apache.kafka.connect.mirror.MirrorMaker", self._properties()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        (self.home / "pid").write_text(str(process.pid))
        _children[process.pid] = process
        self._wait_until_started()

    def stop(self) -> bool:
        """Stop it in good order; returns whether it ran."""
        return self._end(signal.SIGTERM) or self._end(signal.SIGKILL)

    def kill(self) -> None:
        """SIGKILL it, as the end of its machine would."""
        self._end(signal.SIGKILL)

    def remove(self) -> None:
        """Kill it and delete its files: for tests."""
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    def running(self) -> bool:
        """Whether its process is alive."""
        pid = self._pid()
        if pid is None:
            return False
        child = _children.get(pid)
        if child is not None:
            return child.poll() is None
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
        return str(self.home).encode() in command

    # ------------------------------------------------------------------ parts

    def _end(self, how: signal.Signals) -> bool:
        """Send a signal and wait; returns whether it ran and is gone."""
        pid = self._pid()
        if pid is None or not self.running():
            return False
        os.kill(pid, how)
        deadline = time.monotonic() + STOP_SECONDS_MAX
        while self.running() and time.monotonic() < deadline:
            time.sleep(0.05)
        return not self.running()

    def _wait_until_started(self) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while STARTED not in (said := self.log.read_text(errors="replace")):
            if not self.running() or time.monotonic() > deadline:
                raise MirrorUnreachable(
                    f"MirrorMaker in {self.home} does not start: {said[-2_000:]}"
                )
            time.sleep(0.1)

    def _properties(self) -> str:
        way = f"{self.source.name}->{self.target.name}"
        copies = min(3, len(self.target.numbers))
        settings: dict[str, object] = {
            "clusters": f"{self.source.name},{self.target.name}",
            f"{self.source.name}.bootstrap.servers": self.source.bootstrap(),
            f"{self.target.name}.bootstrap.servers": self.target.bootstrap(),
            f"{way}.enabled": "true",
            f"{way}.topics": self._topics,
            f"{way}.groups": self._groups,
            f"{self.target.name}->{self.source.name}.enabled": "false",
            "replication.policy.class": "org.apache.kafka.connect.mirror.IdentityReplicationPolicy",
            "replication.factor": copies,
            "emit.heartbeats.enabled": "false",
            "sync.group.offsets.enabled": "true",
            "sync.group.offsets.interval.seconds": 1,
            "emit.checkpoints.interval.seconds": 1,
            "refresh.topics.interval.seconds": 1,
            "refresh.groups.interval.seconds": 1,
            "sync.topic.acls.enabled": "false",
            "tasks.max": 1,
        }
        for topic in ("checkpoints.topic", "offset-syncs.topic", "heartbeats.topic"):
            settings[f"{topic}.replication.factor"] = copies
        for storage in ("offset", "status", "config"):
            settings[f"{storage}.storage.replication.factor"] = copies
        path = self.home / "mirror.properties"
        path.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
        return str(path)

    def _java(self) -> list[str]:
        quiet = "-Dorg.slf4j.simpleLogger."
        return [
            "java",
            f"-Xmx{HEAP_MEBIBYTES}m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Djava.net.preferIPv4Stack=true",
            f"{quiet}defaultLogLevel=warn",
            f"{quiet}log.org.apache.kafka.connect.mirror.MirrorMaker=info",
            "-cp",
            f"{self.target.jars}/*",
        ]

    def _pid(self) -> int | None:
        try:
            return int((self.home / "pid").read_text())
        except (FileNotFoundError, ValueError):
            return None


_children: dict[int, subprocess.Popen[bytes]] = {}
"""Those that this process has started: it must collect them when they end."""
