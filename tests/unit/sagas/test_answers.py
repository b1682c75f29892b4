"""Answers twice, out of order, for nobody; locks that two want; people who are forgotten."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import pytest

from goldseam import (
    ANY,
    EventStore,
    Goldseam,
    NewEvent,
    Personal,
    Saga,
    asks,
    event,
    open_vault,
    step,
)
from goldseam.events.event import Metadata, Recorded
from goldseam.sagas.desk import Sagas
from goldseam.sagas.errors import SagaExists, SemanticallyLocked
from goldseam.sagas.facts import AnswerCameLate
from goldseam.sagas.saga import Call, Retry
from goldseam.sagas.semantic_locks import holder_of, refuse_locked
from goldseam.sagas.transitions import KEY
from tests.crashes.outside import query
from tests.support.eventually import eventually
from tests.support.hand_clock import HandClock
from tests.unit.sagas.definitions import Asked, Called, Denied, Granted, OrderReceived
from tests.unit.sagas.services import ALWAYS, Services, Trouble
from tests.unit.sagas.world import World


async def _said(
    store: EventStore, data: object, saga: str | None, causation: str | None = None
) -> Recorded[Any]:
    """A service's event, as a consumer would hand it over."""
    one = NewEvent(data, None, Metadata(correlation=saga, causation=causation))
    done = await store.append("services-1", [one], expected=ANY)
    return (await store.read_stream("services-1", after=done.version - 1))[0]


@pytest.fixture
def desk(store: EventStore) -> Sagas:
    """No coordinator runs: only what is told moves a saga."""
    return Sagas(store, [Asked(Services()), Called(Services())])


async def test_an_answer_told_twice_is_heard_once(store: EventStore, desk: Sagas) -> None:
    """Also when both are told at the same moment."""
    await desk.start(Asked, OrderReceived("1"), key="1")
    answer = await _said(store, Granted("place"), "asked/1")
    told = await asyncio.gather(*(desk.tell(answer) for _ in range(8)))
    assert [True] * 8 == told
    assert 1 == (await desk.load("asked/1")).state.step
    assert 1 == sum(one.data == Granted("place") for one in await desk.stream("asked/1"))


async def test_an_answer_to_an_older_command_does_not_take_the_next_step(
    store: EventStore, desk: Sagas
) -> None:
    """All services say the same word; causation tells whose word it is."""
    await desk.start(Asked, OrderReceived("1"), key="1")
    (command,) = await store.read_stream("to_place-asked/1")
    for number in range(2):  # the service answers a second time, with an event of its own
        answer = await _said(store, Granted("place"), "asked/1", str(command.id))
        assert await desk.tell(answer)
        assert 1 == (await desk.load("asked/1")).state.step, number
    late = [one for one in await desk.stream("asked/1") if isinstance(one.data, AnswerCameLate)]
    assert 1 == len(late)


async def test_what_is_for_no_saga_is_passed_over(store: EventStore, desk: Sagas) -> None:
    """Unknown sagas, other correlations, events that no step waits for: nothing is written."""
    await desk.start(Asked, OrderReceived("1"), key="1")
    head = await store.head()
    strangers = [
        await _said(store, Granted("x"), None),
        await _said(store, Granted("x"), "asked/nobody"),
        await _said(store, Granted("x"), "another/1"),
        await _said(store, Granted("x"), "called/1"),
        await _said(store, OrderReceived("x"), "asked/1"),
    ]
    assert [False] * 5 == [await desk.tell(one) for one in strangers]
    assert head + 5 == await store.head()


async def test_an_answer_after_the_end_is_kept_and_changes_nothing(
    store: EventStore, clock: HandClock
) -> None:
    """The saga is undone; then the payment says yes after all."""
    world = World(store, clock, "asked", Services({"charge": Trouble("stale", ALWAYS)}))
    assert "compensated" == await world.run()
    before = (await world.process().desk.load(world.saga)).state
    assert "compensated" == await world.later()
    after = (await world.process().desk.load(world.saga)).state
    assert (before.results, before.undo) == (after.results, after.undo)
    stream = await world.process().desk.stream(world.saga)
    assert any(isinstance(one.data, AnswerCameLate) for one in stream)


async def test_an_answer_between_two_attempts_is_taken(store: EventStore, clock: HandClock) -> None:
    """It comes after the deadline, in the pause before the command is sent again."""
    world = World(store, clock, "asked", Services())
    process = world.process()
    await process.lead()
    await world.begin(process)
    (command,) = await store.read_stream("to_place-asked/17")
    clock.seconds += 5.01
    waiting = await process.move(world.saga)
    assert (1, False) == (waiting.state.attempt, waiting.state.asked)
    answer = await _said(store, Granted("place"), "asked/17", str(command.id))
    assert await process.desk.tell(answer)
    state = (await process.desk.load(world.saga)).state
    assert (1, 0, True) == (state.step, state.attempt, state.asked)
    assert 1 == len(await store.read_stream("to_place-asked/17"))


async def test_each_attempt_carries_the_same_key(store: EventStore, clock: HandClock) -> None:
    """In the command's metadata too, for services that look for it there."""
    world = World(store, clock, "asked", Services({"reserve": Trouble("lost", ALWAYS)}))
    assert "compensated" == await world.run()
    sent = await store.read_stream("to_reserve-asked/17")
    keys = {one.metadata.extra[KEY] for one in sent}
    assert {"asked/17/reserve", "asked/17/reserve/undo"} == keys
    assert 4 == len(sent)
    assert all("asked/17" == one.metadata.correlation for one in sent)


async def test_the_index_does_not_take_a_late_answer_for_news(store_url: str) -> None:
    """It says what the saga waits for, and until when, as before."""
    async with Goldseam(store_url, sagas=[Asked(Services())], run=False) as app:
        await app.sagas.start(Asked, OrderReceived("1"), key="1")
    async with Goldseam(store_url, sagas=[Asked(Services())]) as app:
        (command,) = await app.store.read_stream("to_place-asked/1")
        answer = await _said(app.store, Granted("place"), "asked/1", str(command.id))
        await app.sagas.tell(answer)
        again = await _said(app.store, Granted("place"), "asked/1", str(command.id))

        async def at(version: int) -> bool:
            rows = await app.saga_list.find()
            return bool(rows) and rows[0].stream_version == version

        await eventually(lambda: at(6))
        before = (await app.saga_list.find())[0]
        assert before.asked
        assert before.due_us > 0
        await app.sagas.tell(again)
        await eventually(lambda: at(7))
        after = (await app.saga_list.find())[0]
        assert (before.asked, before.due_us, before.attempt, before.step) == (
            after.asked,
            after.due_us,
            after.attempt,
            after.step,
        )


# ---------------------------------------------------------------------------- semantic locks


async def test_of_many_that_want_a_thing_one_gets_it(store: EventStore, desk: Sagas) -> None:
    """All start at once; the others are told who has it, and have left nothing behind."""
    starts = [
        desk.start(Called, OrderReceived(f"{n}"), key=f"{n}", locks=("seat-12", f"own-{n}"))
        for n in range(8)
    ]
    found = await asyncio.gather(*starts, return_exceptions=True)
    begun = [one for one in found if not isinstance(one, BaseException)]
    refused = [one for one in found if isinstance(one, SemanticallyLocked)]
    assert (1, 7) == (len(begun), len(refused)), found
    assert {begun[0].id} == {one.holder for one in refused}
    assert begun[0].id == await holder_of(store, "seat-12")
    own = [await holder_of(store, f"own-{n}") for n in range(8)]
    assert 1 == sum(one is not None for one in own)


@pytest.mark.parametrize("ends", ["completed", "compensated"])
async def test_the_lock_is_free_when_the_saga_has_ended(
    store: EventStore, clock: HandClock, ends: str
) -> None:
    """And not before: while it runs, others are refused and it itself is not."""
    trouble = {"charge": Trouble("refuse", ALWAYS)} if ends == "compensated" else {}
    world = World(store, clock, "called", Services(trouble))
    desk = world.process().desk
    await desk.start(Called, OrderReceived("17"), key="17", locks=("seat-12",))
    with pytest.raises(SemanticallyLocked, match="seat-12"):
        await refuse_locked(store, "seat-12")
    await refuse_locked(store, "seat-12", saga="called/17")
    assert ends == await world.run()
    await refuse_locked(store, "seat-12")
    await desk.start(Called, OrderReceived("18"), key="18", locks=("seat-12",))
    assert "called/18" == await holder_of(store, "seat-12")


async def test_a_start_made_again_finds_the_same_saga(desk: Sagas) -> None:
    """At once from many callers, with its locks; other data under the same key is refused."""
    data = OrderReceived("1")
    found = await asyncio.gather(
        *(desk.start(Called, data, key="1", locks=("seat-12",)) for _ in range(8))
    )
    assert {"called/1"} == {one.id for one in found}
    with pytest.raises(SagaExists):
        await desk.start(Called, OrderReceived("1", 2), key="1")


async def test_control_without_a_lock_two_sagas_have_the_same_seat(desk: Sagas) -> None:
    """Both are half way with it, and each believes that it is alone."""
    for key in ("1", "2"):
        await desk.start(Called, OrderReceived(key), key=key)
    running = [(await desk.load(f"called/{key}")).state.status for key in ("1", "2")]
    assert ["running", "running"] == running


# ---------------------------------------------------------------------------- personal data


@event(name="test.sagas.ParcelOrdered")
class ParcelOrdered:
    """The data of a saga about somebody."""

    customer: str
    address: Annotated[str, Personal("customer")]


@event(name="test.sagas.AddressChecked")
class AddressChecked:
    """A result about somebody."""

    customer: str
    found: Annotated[str, Personal("customer")]


@event(name="test.sagas.ParcelSent")
class ParcelSent:
    """An answer about somebody."""

    customer: str
    to: Annotated[str, Personal("customer")]


class Parcel(Saga[ParcelOrdered]):
    """Waits until it may go on."""

    name = "parcel"
    retry = Retry(attempts=2, first_seconds=0.001, longest_seconds=0.002)

    def __init__(self) -> None:
        super().__init__()
        self.go, self.seen = asyncio.Event(), list[str]()

    @step(retry=retry)
    async def check(self, data: ParcelOrdered, call: Call) -> AddressChecked:
        await self.go.wait()
        self.seen.append(data.address)
        if data.address.startswith("fail"):
            raise ValueError(f"no such street: {data.address}")
        return AddressChecked(data.customer, data.address)

    @check.compensation(retry=retry)
    async def uncheck(self, data: ParcelOrdered, call: Call) -> None:
        self.seen.append(f"undone {data.address}")

    @asks("to_sender", done=ParcelSent, refused=Denied, nothing_to_undo=True)
    def send(self, data: ParcelOrdered, call: Call) -> Granted:
        return Granted("send")


async def _ends(app: Goldseam, saga: str, *status: str) -> None:
    async def there() -> bool:
        return (await app.sagas.load(saga)).state.status in status

    await eventually(there)


def _keys(folder: Path) -> dict[str, str]:
    return {"keys": f"sqlite:///{folder}/keys.db", "key_provider": f"file://{folder}/epochs"}


async def test_personal_data_is_sealed_in_the_store_and_not_in_the_index(
    store_url: str, tmp_path: Path
) -> None:
    """Neither the data nor a result nor an answer nor an error's text is there in the clear."""
    parcel = Parcel()
    async with Goldseam(store_url, sagas=[parcel], **_keys(tmp_path)) as app:
        parcel.go.set()
        await app.sagas.start(Parcel, ParcelOrdered("c-1", "Marker Street 5"), key="1")
        await eventually(lambda: len(parcel.seen) == 1)

        async def asked() -> bool:
            return (await app.sagas.load("parcel/1")).state.asked

        await eventually(asked)
        answer = await _said(app.store, ParcelSent("c-1", "Marker Street 5"), "parcel/1")
        await app.sagas.tell(answer)
        await _ends(app, "parcel/1", "completed")
        await app.sagas.start(Parcel, ParcelOrdered("c-2", "fail Marker Road 7"), key="2")
        await _ends(app, "parcel/2", "compensated")
        state = (await app.sagas.load("parcel/1")).state
        assert "Marker Street 5" == state.data.address == state.results["check"].found
        raw = b"".join(one.payload for one in await app.store.raw_all())
        assert b"Marker" not in raw
        assert b"no such street" in raw

        async def indexed() -> bool:
            return 2 == len([r for r in await app.saga_list.find() if r.status.startswith("comp")])

        await eventually(indexed)
    rows = query(store_url, "SELECT * FROM saga_index")
    assert 2 == len(rows)
    assert "Marker" not in repr(rows)


async def test_an_open_saga_of_a_forgotten_person_ends_and_stops_nobody(
    store_url: str, tmp_path: Path
) -> None:
    """It sees stand-ins; what it would keep about the person cannot be kept; so it is undone."""
    parcel = Parcel()
    async with Goldseam(store_url, sagas=[parcel], close_seconds=0.5, **_keys(tmp_path)) as app:
        await app.sagas.start(Parcel, ParcelOrdered("c-1", "Marker Street 5"), key="1")
        vault = await open_vault(*_keys(tmp_path).values())
        await vault.forget("main", "c-1", "asked for it")
        await vault.close()
    again = Parcel()
    again.go.set()
    async with Goldseam(store_url, sagas=[again], **_keys(tmp_path)) as app:
        await app.sagas.start(Parcel, ParcelOrdered("c-2", "Marker Road 7"), key="2")
        await _ends(app, "parcel/1", "compensated")
        assert "undone [forgotten]" in again.seen

        async def asked() -> bool:
            return (await app.sagas.load("parcel/2")).state.asked

        await eventually(asked)
        assert {} == app.failures
        assert "Marker Street" not in repr(await app.saga_list.show("parcel/1"))


async def test_an_answer_about_a_forgotten_person_still_moves_the_saga(
    store_url: str, tmp_path: Path
) -> None:
    """What was said is not kept; that it was said is."""
    parcel = Parcel()
    parcel.go.set()
    async with Goldseam(store_url, sagas=[parcel], **_keys(tmp_path)) as app:
        await app.sagas.start(Parcel, ParcelOrdered("c-1", "Marker Street 5"), key="1")

        async def asked() -> bool:
            return (await app.sagas.load("parcel/1")).state.asked

        await eventually(asked)
        answer = await _said(app.store, ParcelSent("c-1", "Marker Street 5"), "parcel/1")
        assert app.vault is not None
        await app.vault.forget("main", "c-1", "asked for it")
        for _ in range(2):
            assert await app.sagas.tell(answer)
        await _ends(app, "parcel/1", "completed")
