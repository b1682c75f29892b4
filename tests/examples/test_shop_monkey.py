"""2,000 orders while services, relays, the database and brokers are killed at random."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from examples.shop.books import rows
from examples.shop.faults import sums_agree
from examples.shop.ledger import balance
from examples.shop.places import made
from examples.shop.processes import LAYOUT, Processes
from examples.shop.purchases import purchases
from examples.shop.replay import Replay
from examples.shop.settings import Settings
from tests.faults.server import own_server
from tools import kafka_jars
from tools.kafka_cluster import KafkaCluster
from tools.postgres_server import PostgresServer

ORDERS = 2_000
SEED = 20_261_124
PAUSE_SECONDS = (2.0, 5.0)
SETTLE_SECONDS = 60.0
PLACE_SECONDS = 900.0
PATIENCE_SECONDS = 600.0
"""The saga outwaits the monkey: an answer may be late, and then the order is not turned back."""

OPEN = "SELECT count(*) FROM saga_index WHERE status IN ('running', 'compensating')"
ENDED = "SELECT count(*) FROM saga_index WHERE status NOT IN ('running', 'compensating')"


class Monkey(threading.Thread):
    """Kills something every few seconds, and starts it again."""

    def __init__(self, shop: Processes, database: PostgresServer, cluster: KafkaCluster) -> None:
        super().__init__(daemon=True)
        self._shop, self._database, self._cluster = shop, database, cluster
        self._dice, self._stopping = random.Random(SEED), threading.Event()
        self.killed: list[str] = []
        self.failed: BaseException | None = None

    def run(self) -> None:
        deeds: list[Callable[[], str]] = [
            *[lambda name=name: self._service(name) for name in LAYOUT],
            self._postgres,
            self._broker,
        ]
        try:
            while not self._stopping.wait(self._dice.uniform(*PAUSE_SECONDS)):
                self.killed.append(self._dice.choice(deeds)())
        except BaseException as error:
            self.failed = error

    def check(self) -> None:
        """Raise what went wrong with its own work."""
        if self.failed is not None:
            raise self.failed

    def stop(self) -> None:
        """Let it finish what it does: everything runs again afterwards."""
        self._stopping.set()
        self.join()
        self.check()

    def _service(self, name: str) -> str:
        self._shop.kill(name)
        self._shop.start(name)
        return name

    def _postgres(self) -> str:
        self._database.kill()
        while self._database.running():
            time.sleep(0.05)
        self._database.start()
        return "postgresql"

    def _broker(self) -> str:
        number = self._dice.choice(list(self._cluster.numbers))
        self._cluster.kill(number)
        self._cluster.launch(number)
        self._cluster.wait_until_started(number)
        return "broker"


@pytest.fixture
def database() -> Iterator[PostgresServer]:
    with own_server() as server:
        yield server


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[KafkaCluster]:
    jars = kafka_jars.find()
    if jars is None:
        pytest.skip("missing part: Kafka's jars are not here; run: make services")
    (tmp_path / "kafka").mkdir()
    made_here = KafkaCluster(tmp_path / "kafka", jars)
    made_here.start()
    yield made_here
    made_here.remove()


def _ended(settings: Settings) -> int:
    try:
        return int(rows(settings, "orders", ENDED)[0][0])
    except Exception:  # the database is being killed, too
        return 0


def _wait(ready: Callable[[], bool], seconds: float, claim: str) -> float:
    began = time.monotonic()
    while not ready():
        assert time.monotonic() - began < seconds, f"{claim}, and in {seconds} s did not"
        time.sleep(0.2)
    return time.monotonic() - began


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_every_order_ends_under_the_monkey(
    tmp_path: Path, database: PostgresServer, cluster: KafkaCluster
) -> None:
    """Completed, compensated or parked within a minute of the last kill; to the cent; once each."""
    settings = Settings(
        folder=tmp_path / "shop",
        database=database.url(),
        broker=f"kafka://{cluster.bootstrap()}",
        patience_seconds=PATIENCE_SECONDS,
    )
    settings.folder.mkdir()
    made(settings)
    shop, bought = Processes(settings), purchases(ORDERS)
    try:
        shop.start_all()
        replay, monkey = Replay(shop.port, bought, wrong=""), Monkey(shop, database, cluster)
        replay.start()
        monkey.start()
        _wait(
            lambda: _all_placed(replay, settings, monkey),
            PLACE_SECONDS,
            "every order must be placed",
        )
        monkey.stop()
        replay.join()
        took = _wait(
            lambda: _ended(settings) == ORDERS, SETTLE_SECONDS, "every saga must end or be parked"
        )
        _wait(lambda: sums_agree(settings), SETTLE_SECONDS, "the sums must catch up")
        ledger = balance(settings, bought, replay.acknowledged, "")
        print(f"{len(monkey.killed)} kills: {monkey.killed}; settled {took:.1f} s after the last")
        alarms = shop.alarms()
    finally:
        shop.stop()

    assert [] == replay.unexpected
    assert [] == ledger.problems
    assert (0, 0) == (ledger.lost, ledger.doubled)
    assert 0 == int(rows(settings, "orders", OPEN)[0][0])
    assert ORDERS == sum(ledger.outcomes.values())
    assert alarms >= ledger.outcomes["parked"] > 0
    assert len(set(monkey.killed)) >= 3, "the monkey did next to nothing"


def _all_placed(replay: Replay, settings: Settings, monkey: Monkey) -> bool:
    monkey.check()
    replay.ended(_ended(settings))
    return replay.placed == ORDERS
