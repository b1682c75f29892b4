"""Four-step sagas on PostgreSQL, 32 at a time, beside dbos 3.4 and beside their events alone.

``python -m benchmarks.sagas``: rates, then how long 10,000 open sagas take to move again after a
SIGKILL, then how late timers are.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import psycopg

from benchmarks.measure import Run, Scenario, measure
from goldseam import Goldseam, Saga, event, open_store, step
from goldseam.events.event import Metadata, NewEvent
from goldseam.resilience.clock import SystemClock
from goldseam.sagas.desk import Instance
from goldseam.sagas.facts import SagaCompleted, SagaStarted, StepCompleted
from goldseam.sagas.saga import Call, Retry

URL_FILE = Path(".services/postgres.url")
AT_ONCE = 32
SAGAS = 3_000
DBOS_WORKFLOWS = 300
DBOS = "dbos==3.4.0"
OPEN_SAGAS = 10_000
OPEN_SECONDS_MAX = 30.0
TIMERS = 1_000
TIMER_SECONDS = 2.0
LATE_SECONDS_MAX = 0.2


@event(name="bench.sagas.OrderReceived")
class OrderReceived:
    """What a saga is about."""

    order: str
    amount: int


class Fulfilment(Saga[OrderReceived]):
    """order, inventory, payment, shipment: each step costs nothing."""

    name = "fulfilment"

    @step()
    async def place(self, data: OrderReceived, call: Call) -> int:
        return data.amount

    @place.compensation()
    async def cancel(self, data: OrderReceived, call: Call) -> None: ...

    @step()
    async def reserve(self, data: OrderReceived, call: Call) -> int:
        return data.amount

    @reserve.compensation()
    async def release(self, data: OrderReceived, call: Call) -> None: ...

    @step()
    async def charge(self, data: OrderReceived, call: Call) -> int:
        return data.amount

    @charge.compensation()
    async def refund(self, data: OrderReceived, call: Call) -> None: ...

    @step()
    async def ship(self, data: OrderReceived, call: Call) -> int:
        return data.amount

    @ship.compensation()
    async def recall(self, data: OrderReceived, call: Call) -> None: ...


class Held(Fulfilment):
    """Its first step does not return while ``held``."""

    name = "held"
    held = True

    @step(timeout_seconds=3_600, nothing_to_undo=True)
    async def wait(self, data: OrderReceived, call: Call) -> None:
        if self.held:
            await asyncio.Event().wait()


class Timed(Saga[OrderReceived]):
    """Its step fails once; the second attempt says when it came."""

    name = "timed"

    def __init__(self) -> None:
        super().__init__()
        self.came_us: dict[str, int] = {}

    @step(
        retry=Retry(attempts=2, first_seconds=TIMER_SECONDS, longest_seconds=TIMER_SECONDS),
        nothing_to_undo=True,
    )
    async def again(self, data: OrderReceived, call: Call) -> None:
        if call.attempt == 1:
            raise RuntimeError("not yet")
        self.came_us[call.saga] = SystemClock().now_us()


class Postgres:
    """A schema for one run after the other, and a database for the peer."""

    def __init__(self, base: str) -> None:
        self.base, self._made = base, list[str]()
        self._environment: Path | None = None

    def url(self) -> str:
        """The URL of a store that nobody has used."""
        schema = f"bench_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(self.base, autocommit=True) as raw:
            raw.execute(f"CREATE SCHEMA {schema}")
        self._made.append(f"DROP SCHEMA {schema} CASCADE")
        return f"{self.base}?schema={schema}"

    def peer_url(self) -> str:
        """The URL of a database of the peer's own, on the same server."""
        name = f"bench_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(self.base, autocommit=True) as raw:
            raw.execute(f"CREATE DATABASE {name}")
        self._made.append(f"DROP DATABASE {name} WITH (FORCE)")
        return f"{self.base.rpartition('/')[0]}/{name}"

    def drop(self) -> None:
        """Leave nothing behind."""
        with psycopg.connect(self.base, autocommit=True) as raw:
            for statement in self._made:
                raw.execute(statement)
        self._made.clear()


class Ends:
    """Tells when a saga has ended: each change of this process passes by here."""

    def __init__(self, app: Goldseam) -> None:
        self._waiting: dict[str, asyncio.Future[Instance]] = {}
        next_: Callable[[Instance], None] | None = app.sagas.on_change
        if next_ is None:
            raise RuntimeError("the coordinator does not run")
        self._next = next_
        app.sagas.on_change = self._changed

    def of(self, saga: str) -> asyncio.Future[Instance]:
        """The future of its end; ask before it is started."""
        return self._waiting.setdefault(saga, asyncio.get_running_loop().create_future())

    def _changed(self, instance: Instance) -> None:
        self._next(instance)
        if not instance.state.open:
            waiting = self._waiting.pop(instance.id, None)
            if waiting is not None:
                waiting.set_result(instance)


async def _many(app: Goldseam, ends: Ends, first: int, count: int) -> float:
    """Sagas per second: so many at once, each started and waited for."""

    async def worker(number: int) -> None:
        for n in range(first + number, first + count, AT_ONCE):
            ended = ends.of(f"fulfilment/{n}")
            await app.sagas.start(Fulfilment, OrderReceived(f"{n}", n), key=f"{n}")
            if (await ended).state.status != "completed":
                raise RuntimeError(f"saga {n} was not completed")

    began = perf_counter()
    await asyncio.gather(*(worker(number) for number in range(AT_ONCE)))
    return count / (perf_counter() - began)


def _application(url: str, *sagas: Saga[Any]) -> Goldseam:
    return Goldseam(url, sagas=sagas)


async def _owned(app: Goldseam) -> None:
    """Until the coordinator has its lease."""
    runner = app._sagas._runner if app._sagas is not None else None
    while runner is None or not runner.ownership.owns:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def ours(postgres: Postgres, count: int) -> float:
    """Sagas per second, with everything that an application runs beside them."""
    async with _application(postgres.url(), Fulfilment()) as app:
        await _owned(app)
        ends = Ends(app)
        await _many(app, ends, 0, AT_ONCE)
        return await _many(app, ends, AT_ONCE, count)


def _facts(n: int) -> list[list[object]]:
    """What one saga appends, append by append."""
    begun: list[object] = [SagaStarted("fulfilment", 1), OrderReceived(f"{n}", n)]
    steps: list[list[object]] = [[StepCompleted(s, n)] for s in ("place", "reserve", "charge")]
    return [begun, *steps, [StepCompleted("ship", n), SagaCompleted()]]


async def events_alone(postgres: Postgres, count: int) -> float:
    """The same events in the same appends by as many writers, and nothing else."""
    async with await open_store(postgres.url()) as store:

        async def writer(number: int) -> None:
            for n in range(number, count, AT_ONCE):
                stream, version = f"saga-fulfilment/{n}", 0
                metadata = Metadata(correlation=f"fulfilment/{n}")
                for facts in _facts(n):
                    events = [NewEvent(one, None, metadata) for one in facts]
                    await store.append(stream, events, expected=version)
                    version += len(events)

        began = perf_counter()
        await asyncio.gather(*(writer(number) for number in range(AT_ONCE)))
        return count / (perf_counter() - began)


def peer_environment(folder: Path) -> Path:
    """A Python of the peer's own: its packages are none of ours."""
    subprocess.run([sys.executable, "-m", "venv", folder / "peer"], check=True)
    python = folder / "peer" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", DBOS, "psycopg[binary]"], check=True)
    return python


async def peer(postgres: Postgres, python: Path) -> float:
    """Four-step workflows of dbos per second, 32 threads, on the same server."""
    program = Path(__file__).with_name("sagas_dbos.py")
    process = await asyncio.create_subprocess_exec(
        str(python),
        str(program),
        postgres.peer_url(),
        str(AT_ONCE),
        str(DBOS_WORKFLOWS),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return float(out.split()[-1])


# ------------------------------------------------------------------------ resumed after a kill


async def hold(url: str, count: int) -> None:
    """Have so many sagas open, say so, and wait to be killed."""
    async with _application(url, Held()) as app:
        await _owned(app)

        async def worker(number: int) -> None:
            for n in range(number, count, AT_ONCE):
                await app.sagas.start(Held, OrderReceived(f"{n}", n), key=f"{n}")

        await asyncio.gather(*(worker(number) for number in range(AT_ONCE)))
        print("open", flush=True)
        await asyncio.Event().wait()


async def resumed(postgres: Postgres, count: int) -> float:
    """Seconds from the start of the next process until the last of so many sagas has moved on."""
    url = postgres.url()
    program = [sys.executable, "-m", "benchmarks.sagas", "--hold", url, "--open", str(count)]
    process = await asyncio.create_subprocess_exec(*program, stdout=asyncio.subprocess.PIPE)
    if process.stdout is None or await process.stdout.readline() != b"open\n":
        raise RuntimeError("the process that is to be killed has not come so far")
    process.kill()
    await process.wait()
    began, moved = perf_counter(), set[str]()
    held = Held()
    held.held = False
    all_moved = asyncio.Event()

    def changed(instance: Instance) -> None:
        moved.add(instance.id)
        if len(moved) == count:
            all_moved.set()

    async with _application(url, held) as app:
        next_ = app.sagas.on_change

        def both(instance: Instance) -> None:
            if next_ is not None:
                next_(instance)
            changed(instance)

        app.sagas.on_change = both
        await all_moved.wait()
        took = perf_counter() - began
        app._supervisor.stopping.set()
    return took


# ------------------------------------------------------------------------ how late timers are


async def lateness(postgres: Postgres, count: int) -> list[float]:
    """Seconds after its due time at which each of so many second attempts was made, sorted."""
    timed = Timed()
    async with _application(postgres.url(), timed) as app:
        await _owned(app)
        ends = Ends(app)
        waiting = [ends.of(f"timed/{n}") for n in range(count)]
        for n in range(count):
            await app.sagas.start(Timed, OrderReceived(f"{n}", n), key=f"{n}")
        await asyncio.gather(*waiting)
        late = []
        for saga, came_us in timed.came_us.items():
            stream = await app.sagas.stream(saga)
            due_us = next(one.data.due_us for one in stream if hasattr(one.data, "due_us"))
            late.append((came_us - due_us) / 1e6)
    return sorted(late)


def _rates(postgres: Postgres, python: Path | None) -> list[Scenario]:
    alone = "the same appends, EventStore.append"
    beside: dict[str, tuple[float, Run]] = {
        alone: (0.6, lambda: events_alone(postgres, SAGAS)),
    }
    if python is not None:
        beside["dbos 3.4, 32 threads"] = (10.0, lambda: peer(postgres, python))
    return [
        Scenario(
            "four-step sagas, 32 at a time", target, lambda: ours(postgres, SAGAS), {name: limit}
        )
        for name, (target, limit) in beside.items()
    ]


async def _show_rates(scenarios: list[Scenario], rounds: int) -> None:
    for scenario in scenarios:
        found = await measure(scenario, rounds)
        ((name, values),) = found.limits.items()
        print(
            f"{scenario.name}: {median(found.ours):,.0f} sagas/s beside {median(values):,.0f} "
            f"({name}): {found.ratio:.2f}, not below {scenario.target:.2f}",
            flush=True,
        )


async def _show_times(postgres: Postgres) -> None:
    late = await lateness(postgres, TIMERS)
    print(
        f"timers: p50 {median(late) * 1e3:.1f} ms, p99 {late[int(len(late) * 0.99)] * 1e3:.1f} ms "
        f"late, not above {LATE_SECONDS_MAX * 1e3:.0f} ms",
        flush=True,
    )
    took = await resumed(postgres, OPEN_SAGAS)
    print(
        f"{OPEN_SAGAS:,} open sagas after a kill: all have moved in {took:.1f} s, "
        f"not above {OPEN_SECONDS_MAX:.0f} s"
    )


async def main(rounds: int, *, with_peer: bool, python: str | None) -> None:
    """All of it, on the PostgreSQL of ``make services``."""
    postgres = Postgres(URL_FILE.read_text(encoding="utf-8").strip())
    with tempfile.TemporaryDirectory() as folder:
        own = Path(python) if python else None
        if with_peer and own is None:
            own = peer_environment(Path(folder))
        try:
            await _show_rates(_rates(postgres, own if with_peer else None), rounds)
            await _show_times(postgres)
        finally:
            postgres.drop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-peer", action="store_true")
    parser.add_argument("--peer-python", help="a Python that has dbos; made for the run if absent")
    parser.add_argument("--hold", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--open", type=int, default=OPEN_SAGAS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hold:
        asyncio.run(hold(options.hold, options.open))
    else:
        asyncio.run(
            main(
                options.rounds,
                with_peer=not options.without_peer,
                python=options.peer_python,
            )
        )
