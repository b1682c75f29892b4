"""store/duplicate-append: one intention, sent from several processes at once, is stored once.

Three processes send the same append, eight times each, at the same moment. The control leaves
the key out.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest

from goldseam import ANY, IdempotencyMismatch, NewEvent, open_store
from goldseam.telemetry.signals import signals
from tests.faults.ledger import ParcelScanned, stored
from tests.faults.processes import program

PROCESSES = 3
COPIES = 8


def _everybody_sends(url: str, **order: object) -> list[dict[str, Any]]:
    """The answers of all copies of all processes."""
    with ExitStack() as stack:
        clients = [stack.enter_context(program("client", url)) for _ in range(PROCESSES)]
        assert ["ready"] * PROCESSES == [client.line() for client in clients]
        for client in clients:
            client.say(json.dumps({"stream": "parcel-1", "copies": COPIES, **order}))
        return [answer for client in clients for answer in json.loads(client.line())]


def _marks(url: str) -> list[str]:
    return [one.mark for one in stored(url)]


async def test_one_key_from_several_processes_at_once_is_stored_once(store_url: str) -> None:
    """One of all the senders writes; every other one gets its answer."""
    await (await open_store(store_url)).close()
    answers = _everybody_sends(store_url, marks=["a", "b"], key="scan-1")
    assert PROCESSES * COPIES == len(answers)
    assert {(1, 2)} == {(answer["first"], answer["last"]) for answer in answers}
    assert 1 == sum(not answer["replayed"] for answer in answers)
    assert ["a", "b"] == _marks(store_url)


async def test_the_same_event_ids_from_several_processes_at_once_are_stored_once(
    store_url: str,
) -> None:
    """The ids alone are enough."""
    await (await open_store(store_url)).close()
    ids = [str(uuid4()), str(uuid4())]
    answers = _everybody_sends(store_url, marks=["a", "b"], ids=ids)
    assert {(1, 2)} == {(answer["first"], answer["last"]) for answer in answers}
    assert 1 == sum(not answer["replayed"] for answer in answers)
    assert ["a", "b"] == _marks(store_url)


async def test_another_content_under_a_used_key_is_refused(store_url: str) -> None:
    """A key is one intention: a second one with it is told so, and nothing is written."""
    async with await open_store(store_url) as store:
        await store.append("parcel-1", [ParcelScanned(mark="a")], expected=ANY, key="scan-1")
        before = signals.value("goldseam_idempotency_mismatches_total")
        with pytest.raises(IdempotencyMismatch, match="scan-1"):
            await store.append("parcel-1", [ParcelScanned(mark="b")], expected=ANY, key="scan-1")
        assert before + 1 == signals.value("goldseam_idempotency_mismatches_total")
    assert ["a"] == _marks(store_url)


async def test_another_content_under_a_used_event_id_is_refused(store_url: str) -> None:
    """An event id names one fact for ever."""
    one = uuid4()
    async with await open_store(store_url) as store:
        first = NewEvent(ParcelScanned(mark="a"), id=one)
        await store.append("parcel-1", [first], expected=ANY)
        other = NewEvent(ParcelScanned(mark="b"), id=one)
        with pytest.raises(IdempotencyMismatch):
            await store.append("parcel-1", [other], expected=ANY)
    assert ["a"] == _marks(store_url)


async def test_control_without_a_key_every_copy_is_stored(store_url: str) -> None:
    """The same senders without key or ids: each copy becomes an event."""
    await (await open_store(store_url)).close()
    answers = _everybody_sends(store_url, marks=["a"])
    assert PROCESSES * COPIES == len({answer["last"] for answer in answers})
    assert ["a"] * (PROCESSES * COPIES) == _marks(store_url)
