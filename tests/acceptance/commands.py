"""`goldseam` as a process of its own, in a folder of the test, and looks into its files."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka.admin import AdminClient

from goldseam import ANY, open_store
from tests.acceptance.river_app import OrderPlaced

ROOT = Path(__file__).resolve().parents[2]
BOOTSTRAP = ROOT / ".services" / "kafka.bootstrap"
APP = "tests.acceptance.river_app:app"
SECONDS_MAX = 60.0
"""For a broken program, not a measurement."""


class Done(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its one document."""
        return json.loads(self.out)


class Place:
    """A folder with a shop in it, and the broker of the shop."""

    def __init__(self, folder: Path, broker: str) -> None:
        mark = secrets.token_hex(4)
        self.folder, self.broker = folder, broker
        self.topic, self.consumer = f"river-{mark}", f"billing-{mark}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if "GOLDSEAM" not in name},
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
            "RIVER_BROKER": broker,
            "RIVER_TOPIC": self.topic,
            "RIVER_CONSUMER": self.consumer,
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        """The command, running."""
        return subprocess.Popen(
            [sys.executable, "-m", "goldseam", *words],
            cwd=self.folder, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def __call__(self, *words: str, code: int | None = 0) -> Done:
        """The command, done; its exit code must be ``code`` unless that is None."""
        with self.start(*words) as process:
            out, err = process.communicate(timeout=SECONDS_MAX)
        done = Done(process.returncode, out, err)
        assert code in (None, done.code), f"exit code {done.code}: {err or out}"
        return done

    def order(self, count: int, *, cents: int = 5) -> None:
        """Append so many orders, over three streams in turn."""

        async def inside() -> None:
            async with await open_store(f"sqlite:///{self.folder / 'shop.db'}") as store:
                for n in range(count):
                    await store.append(f"order-{n % 3}", [OrderPlaced(cents)], expected=ANY)

        asyncio.run(inside())

    def sql(self, statement: str, *values: object, file: str = "shop.db") -> list[tuple[Any, ...]]:
        """What an outsider sees, or does, in one of the folder's files."""
        with closing(sqlite3.connect(self.folder / file, timeout=30)) as raw, raw:
            return list(raw.execute(statement, values).fetchall())

    def count(self, table: str) -> int:
        """Rows of a table; 0 while it is not there yet."""
        try:
            return int(self.sql(f"SELECT count(*) FROM {table}")[0][0])
        except sqlite3.OperationalError:
            return 0

    def until(self, condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
        """Wait for ``condition`` while ``process`` lives."""
        end = time.monotonic() + SECONDS_MAX
        while not condition():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end, "it never came to pass"
            time.sleep(0.05)


def places(request: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    """A place on the embedded broker or, as ``request.param`` says, on three real Kafka brokers."""
    if request.param == "embedded":
        yield Place(folder, "sqlite:///broker.db")
        return
    if not BOOTSTRAP.is_file():
        pytest.skip("missing part: Kafka is not started; run: make services")
    place = Place(folder, f"kafka://{BOOTSTRAP.read_text(encoding='utf-8').strip()}")
    yield place
    desk = AdminClient({"bootstrap.servers": place.broker.partition("://")[2]})
    made = [name for name in desk.list_topics(timeout=30).topics if place.topic in name]
    for removed in desk.delete_topics(made).values() if made else ():
        removed.result(30)
