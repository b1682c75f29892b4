"""The coordinator as it runs: no saga waits for another, whatever that one does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from goldseam import Goldseam, Saga, SagaPlan, StepRefused, asks, event, step
from goldseam.resilience.clock import SystemClock
from goldseam.sagas.saga import Call, Retry
from tests.support.eventually import eventually
from tests.unit.sagas.definitions import Called, Granted, OrderReceived
from tests.unit.sagas.services import ALWAYS, Services, Trouble

QUICK = Retry(attempts=2, first_seconds=0.001, longest_seconds=0.002)


@event(name="test.sagas.Poison")
class Poison:
    """A command that cannot be written."""

    what: Any


class Odd(Saga[OrderReceived]):
    """A step that does what the order says, and one before it that is undone."""

    name = "odd"

    def __init__(self) -> None:
        super().__init__()
        self.undone: list[str] = []
        self.calls = 0
        self.go = asyncio.Event()

    @step(retry=QUICK)
    async def prepare(self, data: OrderReceived, call: Call) -> int:
        return 1

    @prepare.compensation(retry=QUICK)
    async def unprepare(self, data: OrderReceived, call: Call) -> None:
        self.undone.append(data.order)

    @step(retry=QUICK, timeout_seconds=60, nothing_to_undo=True)
    async def act(self, data: OrderReceived, call: Call) -> Any:
        self.calls += 1
        match data.order.partition("-")[0]:
            case "hang":
                await self.go.wait()
            case "object":
                return object()
            case "huge":
                return "x" * 20_000_000
            case "set":
                return {"a": {1, 2}}
            case "nan":
                return float("nan")
            case "cancelled":
                raise asyncio.CancelledError
            case "exits":
                raise ExceptionGroup("many", [ValueError(data.order)])
            case "refused":
                raise StepRefused("no")
        return None


class OddCommand(Saga[OrderReceived]):
    """Its second step asks with something that cannot be written."""

    name = "odd-command"

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    @step(retry=QUICK)
    async def prepare(self, data: OrderReceived, call: Call) -> int:
        self.calls.append("prepare")
        return 1

    @prepare.compensation(retry=QUICK)
    async def unprepare(self, data: OrderReceived, call: Call) -> None:
        self.calls.append("unprepare")

    @asks("to_odd", done=Granted, retry=QUICK, nothing_to_undo=True)
    def ask(self, data: OrderReceived, call: Call) -> Any:
        match data.order:
            case "unknown":
                return object()
            case "raises":
                raise KeyError(data.order)
        return Poison(object())


async def _ends(app: Goldseam, saga: str, status: str) -> None:
    async def there() -> bool:
        return (await app.sagas.load(saga)).state.status == status

    await eventually(there)


@pytest.mark.parametrize("what", ["object", "huge", "cancelled", "exits", "set", "nan", "refused"])
async def test_a_result_that_cannot_be_kept_is_as_good_as_none(store_url: str, what: str) -> None:
    """It is tried again, given up, and what was done is undone. A set can be kept."""
    odd = Odd()
    async with Goldseam(store_url, sagas=[odd]) as app:
        await app.sagas.start(Odd, OrderReceived(what), key=what)
        expected = "completed" if what == "set" else "compensated"
        await _ends(app, f"odd/{what}", expected)
        assert ([] if what == "set" else [what]) == odd.undone
        assert (2 if expected == "compensated" and what != "refused" else 1) == odd.calls
        assert {} == app.failures


@pytest.mark.parametrize("what", ["unknown", "poison", "raises"])
async def test_a_command_that_cannot_be_written_does_not_undo_the_step_before_it_twice(
    store_url: str, what: str
) -> None:
    """The step before has succeeded, and is called once; its own way back runs once."""
    odd = OddCommand()
    async with Goldseam(store_url, sagas=[odd]) as app:
        await app.sagas.start(OddCommand, OrderReceived(what), key=what)
        await _ends(app, f"odd-command/{what}", "compensated")
        assert ["prepare", "unprepare"] == odd.calls
        assert {} == app.failures


async def test_a_step_that_hangs_blocks_nobody(store_url: str) -> None:
    """A hundred others go by while it hangs; then it goes on."""
    odd = Odd()
    async with Goldseam(store_url, sagas=[odd]) as app:
        await app.sagas.start(Odd, OrderReceived("hang"), key="hang")
        await eventually(lambda: odd.calls == 1)
        for n in range(100):
            await app.sagas.start(Odd, OrderReceived(f"n-{n}"), key=f"n-{n}")
        for n in range(100):
            await _ends(app, f"odd/n-{n}", "completed")
        assert "running" == (await app.sagas.load("odd/hang")).state.status
        odd.go.set()
        await _ends(app, "odd/hang", "completed")


async def test_parked_sagas_block_nobody(store_url: str) -> None:
    """Half of them cannot be undone; the other half is done."""

    class Some(Called):
        name = "some"

    bad = Services({"ship": Trouble("refuse", ALWAYS), "release": Trouble("refuse", ALWAYS)})
    odd = Odd()
    async with Goldseam(store_url, sagas=[Some(bad), odd]) as app:
        for n in range(5):
            await app.sagas.start(Some, OrderReceived(f"{n}"), key=f"{n}")
            await app.sagas.start(Odd, OrderReceived(f"n-{n}"), key=f"{n}")
        for n in range(5):
            await _ends(app, f"some/{n}", "parked")
            await _ends(app, f"odd/{n}", "completed")

        async def indexed() -> bool:
            return 5 == len(await app.saga_list.find(status="parked"))

        await eventually(indexed)
        rows = await app.saga_list.find(status="parked")
        assert {("reserve", True)} == {(row.step, row.undoing) for row in rows}


async def test_a_timer_survives_a_restart(store_url: str) -> None:
    """The pause before the second attempt was begun by a process that is gone."""

    class Slow(Saga[OrderReceived]):
        name = "slow"
        calls: int = 0

        @step(retry=Retry(attempts=2, first_seconds=1, longest_seconds=1), nothing_to_undo=True)
        async def once_more(self, data: OrderReceived, call: Call) -> None:
            Slow.calls += 1
            if call.attempt == 1:
                raise RuntimeError("not yet")

    plan = SagaPlan(definitions=(Slow(),), lease_seconds=0.3)
    async with Goldseam(store_url, sagas=plan) as app:
        await app.sagas.start(Slow, OrderReceived("1"), key="1")
        await eventually(lambda: Slow.calls == 1)
    async with Goldseam(store_url, sagas=SagaPlan(definitions=(Slow(),))) as app:
        await _ends(app, "slow/1", "completed")
        failed = [one for one in await app.sagas.stream("slow/1") if hasattr(one.data, "due_us")]
        ended = (await app.sagas.stream("slow/1"))[-1]
        assert ended.recorded_us >= failed[-1].data.due_us
    assert 2 == Slow.calls


class Leaping(SystemClock):
    """Once it has begun, an hour passes at every so manyth reading."""

    def __init__(self, every: int) -> None:
        self._every, self._readings, self._hours = every, 0, 0
        self.begun = False

    def now_us(self) -> int:
        if self.begun:
            self._readings += 1
            self._hours += self._readings % self._every == 0
        return super().now_us() + self._hours * 3_600_000_000


@pytest.mark.parametrize("every", range(1, 11))
async def test_a_saga_whose_time_comes_while_it_is_put_to_sleep_wakes(
    tmp_path: object, every: int
) -> None:
    """Wherever the clock leaps after the step has failed, the second attempt is made."""
    clock = Leaping(every)

    class Twice(Saga[OrderReceived]):
        name = "twice"

        @step(retry=Retry(attempts=2, first_seconds=600), nothing_to_undo=True)
        async def once_more(self, data: OrderReceived, call: Call) -> None:
            if call.attempt == 1:
                clock.begun = True
                raise RuntimeError("not yet")

    plan = SagaPlan(definitions=(Twice(),), lease_seconds=1e9)
    async with Goldseam(f"sqlite:///{tmp_path}/store.db", sagas=plan, clock=clock) as app:
        await app.sagas.start(Twice, OrderReceived("1"), key="1")
        await _ends(app, "twice/1", "completed")


def _version(number: int, made: Callable[[str], None]) -> Saga[Any]:
    class Versioned(Saga[OrderReceived]):
        name = "versioned"
        version = number

        @step(retry=Retry(attempts=3, first_seconds=0.3), nothing_to_undo=True)
        async def first(self, data: OrderReceived, call: Call) -> None:
            made(f"{number}: first {call.attempt}")
            if data.order == "open" and number == 1 and call.attempt == 1:
                raise RuntimeError("left open")

    if number == 2:

        class Second(Versioned):
            @step(nothing_to_undo=True)
            async def second(self, data: OrderReceived, call: Call) -> None:
                made("2: second")

        return Second()
    return Versioned()


async def test_an_open_saga_keeps_the_version_it_began_with(store_url: str) -> None:
    """A new version is released while one is open; the old one ends as it began."""
    made: list[str] = []
    async with Goldseam(store_url, sagas=[_version(1, made.append)]) as app:
        await app.sagas.start("versioned", OrderReceived("open"), key="old")
        await eventually(lambda: made == ["1: first 1"])
    both = [_version(1, made.append), _version(2, made.append)]
    async with Goldseam(store_url, sagas=both) as app:
        await app.sagas.start("versioned", OrderReceived("x"), key="new")
        await _ends(app, "versioned/old", "completed")
        await _ends(app, "versioned/new", "completed")
    assert ["1: first 1", "1: first 2"] == [one for one in made if one.startswith("1")]
    assert ["2: first 1", "2: second"] == [one for one in made if one.startswith("2")]


def _coordinates(app: Goldseam) -> bool:
    runner = app._sagas._runner if app._sagas is not None else None
    return runner is not None and bool(runner.ownership.owns)


async def test_after_a_clean_stop_the_next_process_goes_on_at_once(store_url: str) -> None:
    """Neither its lease nor its name among the living is waited for, though both last an hour."""
    made: list[str] = []
    plan = SagaPlan(definitions=(_version(1, made.append),), lease_seconds=3_600)
    async with Goldseam(store_url, sagas=plan) as app:
        await app.sagas.start("versioned", OrderReceived("open"), key="old")
        await eventually(lambda: made == ["1: first 1"])
    for _ in range(4):  # by chance, a name that sorts behind the dead one's
        async with Goldseam(store_url, sagas=plan) as app:
            await eventually(lambda: _coordinates(app))
    async with Goldseam(store_url, sagas=plan) as app:
        await _ends(app, "versioned/old", "completed")


async def test_a_version_that_is_missing_is_said_and_blocks_nobody(
    store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The class was removed too early: those sagas wait, named; all others go on."""
    made: list[str] = []
    async with Goldseam(store_url, sagas=[_version(1, made.append)]) as app:
        await app.sagas.start("versioned", OrderReceived("open"), key="old")
        await eventually(lambda: made == ["1: first 1"])
    async with Goldseam(store_url, sagas=[_version(2, made.append)]) as app:
        await eventually(lambda: "saga versioned/old" in app.failures)
        await app.sagas.start("versioned", OrderReceived("x"), key="new")
        await _ends(app, "versioned/new", "completed")
        assert "version 1" in app.failures["saga versioned/old"]
        assert "versions 2" in caplog.text
        story = await app.saga_list.show("versioned/old")
        assert "running" == story.row.status
    async with Goldseam(store_url, sagas=[_version(1, made.append)]) as app:
        await _ends(app, "versioned/old", "completed")
        assert {} == app.failures


async def test_control_in_one_loop_a_step_that_hangs_blocks_everybody() -> None:
    """The usual program: one worker that takes one saga after the other."""
    odd, done = Odd(), []

    async def worker() -> None:
        for order in ("hang", "n-1"):
            await odd.steps["act"].act.method(odd, OrderReceived(order), None)
            done.append(order)

    task = asyncio.create_task(worker())
    await eventually(lambda: odd.calls == 1)
    await asyncio.sleep(0.05)
    assert [] == done
    task.cancel()
