"""The demo's bank as a process of its own, and the customers who write down what it answered."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

from examples.bank.client import BankClient, Reply
from examples.bank.ledger import Acknowledged

ACCOUNTS = 8
CLIENTS = 4
SEED = 20_261_123


class Bank:
    """The bank's process: started, killed, started again."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "bank.db"
        self.log = folder / "bank.log"
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start it and wait until it answers; the seconds that took."""
        began = time.monotonic()
        command = [sys.executable, "-m", "examples.bank", "serve", f"sqlite:///{self.path}"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--port", str(self.port)], stdout=log, stderr=log
            )
        client = BankClient(self.port)
        while client.get("/healthz").status != 200:
            time.sleep(0.02)
        return time.monotonic() - began

    def kill(self) -> None:
        """SIGKILL: no goodbye, no flush, no chance to tidy up."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Ask it to end, as a supervisor would."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(timeout=20)


class Customers:
    """Clients that deposit and withdraw, and write down what the bank acknowledged."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.acknowledged: list[Acknowledged] = []
        self.refused = 0
        self.repeated = 0
        self.replayed = 0
        self._lock = threading.Lock()

    def note(self, reply: Reply, account: str, kind: str, amount: int) -> Reply:
        """Write an acknowledged answer down."""
        with self._lock:
            if reply.status == 201:
                one = Acknowledged(account, kind, amount, reply.body["position"])
                if one not in self.acknowledged:
                    self.acknowledged.append(one)
                self.replayed += bool(reply.body["replayed"])
            else:
                self.refused += 1
        return reply

    def trade(self, number: int, writes: int, stop: threading.Event) -> None:
        """One client: random deposits and withdrawals, each under a key of its own."""
        client, dice = BankClient(self.port), random.Random(SEED + number)
        for _ in range(writes):
            if stop.is_set():
                break
            account = f"account-{dice.randrange(ACCOUNTS)}"
            kind, path = dice.choice(
                [("DepositApplied", "deposit"), ("MoneyWithdrawn", "withdraw")]
            )
            amount = dice.randrange(1, 50) * (10 if path == "deposit" else 1)
            key = str(uuid.UUID(int=dice.getrandbits(128)))
            reply = client.post(
                f"/accounts/{account}/{path}", {"amount": amount}, Idempotency_Key=f'"{key}"'
            )
            self.note(reply, account, kind, amount)
        with self._lock:
            self.repeated += client.repeated

    def crowd(self, writes: int, stop: threading.Event | None = None) -> list[threading.Thread]:
        """Several clients at once, each with so many writes."""
        stop, first = stop or threading.Event(), 100 * len(self.acknowledged)
        threads = [
            threading.Thread(target=self.trade, args=(first + n, writes, stop))
            for n in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        return threads


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
