"""The demo's shop as processes: started, killed, started again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from examples.shop import settings as names
from examples.shop.client import ShopClient
from examples.shop.settings import Settings

LAYOUT = {
    "orders": ("serve", "orders"),
    "warehouse": ("run", "inventory", "shipping"),
    "payments": ("run", "payments"),
}
"""Which services share a process: each could have its own."""

ALARM = "ALARM: saga"
STOP_SECONDS = 30
START_SECONDS = 60


class Processes:
    """The shop's processes, and what they are told by their environment."""

    def __init__(self, settings: Settings, *, port: int | None = None) -> None:
        self.settings, self.port = settings, port or _free_port()
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start one, or start it again."""
        command = [sys.executable, "-m", "examples.shop", *LAYOUT[name]]
        if name == "orders":
            command += ["--port", str(self.port)]
        with self.log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, **environment(self.settings)}
            )

    def start_all(self) -> float:
        """Start the shop and wait until it answers; the seconds that took."""
        began = time.monotonic()
        for name in LAYOUT:
            self.start(name)
        self.wait_for_door()
        return time.monotonic() - began

    def wait_for_door(self) -> None:
        """Return when the shop answers.

        Raises:
            RuntimeError: it does not.
        """
        client, deadline = ShopClient(self.port), time.monotonic() + START_SECONDS
        while self._running["orders"].poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    client.get("/healthz")
                    client.close()
                    return
            time.sleep(0.05)
        raise RuntimeError(f"the shop does not answer; see {self.log('orders')}")

    def kill(self, name: str) -> None:
        """SIGKILL: no goodbye, no flush, no chance to tidy up."""
        self._running[name].kill()
        self._running[name].wait()

    def stop(self) -> None:
        """Ask all to end, as a supervisor would; end what does not."""
        for one in self._running.values():
            if one.poll() is None:
                one.terminate()
        for one in self._running.values():
            try:
                one.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()

    def alarms(self) -> int:
        """How many sagas the orders service has called a human for."""
        return self.log("orders").read_text(encoding="utf-8").count(ALARM)

    def log(self, name: str) -> Path:
        """What it says."""
        return self.settings.folder / f"{name}.log"


def environment(settings: Settings) -> dict[str, str]:
    """The settings as a process is told them."""
    return {
        names.FOLDER: str(settings.folder),
        names.PREFIX: settings.prefix,
        names.PATIENCE: str(settings.patience_seconds),
        names.DATABASE: settings.database or "",
        names.BROKER: settings.broker or "",
        names.REDIS: settings.redis or "",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
