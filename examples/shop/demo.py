"""``make demo``: a year and a half of a real music shop, broken on purpose, and the proof.

Four services in three processes, spoken to over HTTP only. At the end their databases are
opened with plain SQL and held against the file of purchases: it balances, or exit 1.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from examples.shop import faults
from examples.shop.client import ShopClient
from examples.shop.ledger import balance
from examples.shop.places import cleared, made
from examples.shop.processes import Processes
from examples.shop.purchases import HOME, Purchase, customers, expected, purchases
from examples.shop.replay import Replay
from examples.shop.settings import Settings
from examples.shop.show import Progress, say, show_ledger

FOLDER = Path("demo/shop")
MARKER = "made-by-the-shop-demo"
"""Only a folder with this file in it is emptied."""
LOOK_SECONDS = 0.25
PATIENCE_SECONDS = 300.0
GIVE_UP_SECONDS = 600.0

Fault = Callable[[faults.Scene], None]


def main() -> None:
    """Run the whole story; exit 1 when the ledger does not balance."""
    options = _options()
    settings = Settings(
        folder=options.folder,
        database=options.database,
        broker=options.broker,
        prefix=options.prefix,
        patience_seconds=PATIENCE_SECONDS,
    )
    _emptied(settings.folder)
    made(settings)
    shop, balanced = Processes(settings), False
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        balanced = run(shop, purchases(options.orders))
        if balanced and not options.once:
            _serve(shop)
    except faults.BrokenPromise as broken:
        sys.exit(f"BROKEN PROMISE: {broken}; see {settings.folder}/*.log")
    except KeyboardInterrupt:
        sys.exit("Stopped before the ledger.")
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing that was started is left behind
        shop.stop()
        if balanced:  # else somebody wants to look
            cleared(settings)
    sys.exit(0 if balanced else 1)


def _emptied(folder: Path) -> None:
    """Make ``folder``, or empty it if an earlier demo made it."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        sys.exit(f"{folder} is not empty and no earlier demo made it; give another --folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARKER).touch()


def run(shop: Processes, bought: list[Purchase]) -> bool:
    """Replay ``bought`` with all faults on the way; whether the ledger balances."""
    settings = shop.settings
    seconds = shop.start_all()
    say(f"The shop is open at http://127.0.0.1:{shop.port}/orders after {seconds:.1f} s: its "
        f"services meet at {_shown(settings.river)} and nowhere else.")  # fmt: skip
    wrong = wrong_order(bought)
    replay = Replay(shop.port, bought, wrong=wrong)
    say(f"{len(bought):,} purchases by {len(customers(bought)):,} customers of CDNOW, "
        f"{bought[0].day} to {bought[-1].day}, are ordered again.")  # fmt: skip
    progress = Progress(len(bought))
    forgotten = ordinary(bought, len(bought) // 3).customer_id
    trouble = Trouble(shop, replay, wrong, bought[0].customer_id)
    replay.start()
    trouble.start()
    _while_ordering(shop, replay, progress, trouble)
    took = progress.seconds
    trouble.ended()
    faults.forget(faults.Scene(shop, ShopClient(shop.port)), forgotten)
    say(f"{replay.lost_answers} answers were lost and asked for again, {replay.sent_twice} orders"
        f" sent twice: {replay.replayed} got the first answer once more.")  # fmt: skip
    faults.expect(
        not replay.unexpected, "every order must be taken", *replay.unexpected[:1] or (None,)
    )
    _settled(shop, wrong)
    ledger = balance(settings, bought, replay.acknowledged, wrong)
    parked, alarms = ledger.outcomes["parked"], shop.alarms()
    say(f"Refusals: {ledger.outcomes['compensated']} orders were turned back; {parked} whose "
        f"refund was refused, too, are parked, and {alarms} alarms were raised.")  # fmt: skip
    faults.expect(alarms >= parked, "each parked saga must raise an alarm", None)
    show_ledger(ledger, took)
    return ledger.balances


class Trouble(threading.Thread):
    """Lets the faults happen, one after the other, each when so many orders were placed."""

    def __init__(self, shop: Processes, replay: Replay, wrong: str, somebody: str) -> None:
        super().__init__(daemon=True)
        self._shop, self._replay = shop, replay
        self._ahead: list[tuple[float, Fault]] = [
            (0.15, faults.kill_payments),
            (0.35, faults.poison),
            (0.50, faults.rebuild),
            (0.60, partial(faults.heal_price, order=wrong)),
            (0.75, partial(faults.read_your_own_write, customer=somebody)),
        ]
        self._broken: BaseException | None = None

    def run(self) -> None:
        """Wait for the moment of each."""
        scene = faults.Scene(self._shop, ShopClient(self._shop.port))
        try:
            for share, fault in self._ahead:
                while self._replay.placed < share * self._replay.total:
                    time.sleep(LOOK_SECONDS)
                fault(scene)
        except Exception as error:
            self._broken = error

    def check(self) -> None:
        """Raise what went wrong with a fault itself."""
        if self._broken is not None:
            raise self._broken

    def ended(self) -> None:
        """Wait for the last one."""
        self.join()
        self.check()


def _while_ordering(shop: Processes, replay: Replay, progress: Progress, trouble: Trouble) -> None:
    client, deadline = ShopClient(shop.port), time.monotonic() + GIVE_UP_SECONDS
    while True:
        counts = _counts(client)
        ended = sum(counts.get(how, 0) for how in ("completed", "compensated", "parked"))
        replay.ended(ended)
        progress.show(replay.placed, counts)
        trouble.check()
        if ended >= replay.total:
            break
        if time.monotonic() > deadline:
            raise faults.BrokenPromise(f"every saga must end, and {replay.total - ended} did not")
        time.sleep(LOOK_SECONDS)
    replay.join()


def _settled(shop: Processes, wrong: str) -> None:
    """Wait until the read models and the counting consumers have everything."""
    client = ShopClient(shop.port)
    head = client.get("/read-models").body["head"]
    reply = client.get(f"/orders?after={head}", Prefer="wait=30")
    faults.expect(reply.status == 200, "the list of orders must catch up", reply)
    faults.caught_up(shop.settings, wrong)


def _counts(client: ShopClient) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in client.get("/sagas?limit=1").body["counts"]:
        counts[one["status"]] = counts.get(one["status"], 0) + one["count"]
    return counts


def wrong_order(bought: list[Purchase]) -> str:
    """The order that is entered with ten times its price."""
    return ordinary(bought, len(bought) // 4).order_id


def ordinary(bought: list[Purchase], start: int) -> Purchase:
    """The first purchase from ``start`` on that nothing speaks against."""
    return next(
        one for one in bought[start:]
        if expected(one).outcome == "completed" and one.cents and one.country == HOME
    )  # fmt: skip


def _serve(shop: Processes) -> None:
    say(f"The shop goes on: http://127.0.0.1:{shop.port}/orders, its dashboard "
        f"http://127.0.0.1:{shop.port}/dashboard; stop with Ctrl-C.")  # fmt: skip
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        say("Closed.")


def _shown(url: str) -> str:
    return url.rpartition("@")[2]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.shop.demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="exit after the ledger")
    parser.add_argument("--orders", type=int, help="only so many of the purchases")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--database", help="postgresql://... instead of SQLite files")
    parser.add_argument("--broker", help="kafka://... instead of the embedded broker")
    parser.add_argument("--prefix", default="shop_", help="of topics and schemas")
    return parser.parse_args()


if __name__ == "__main__":
    main()
