"""producer/duplicate-send-on-retry: an answer is lost, all is sent again, and it has the same ids.

A publisher stores what it is given and says that it does not know. What is on the topic is read
from outside. The control makes new ids for its retry.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec

from goldseam.broker.errors import BrokerUnreachable
from goldseam.broker.record import Record
from goldseam.resilience.clock import uuid7_bytes
from goldseam.telemetry.signals import signals
from tests.support.eventually import eventually
from tests.support.relays import (
    LosesAnswers,
    checkpoint,
    delivered,
    firsts,
    log,
    logged,
    relay_of,
    sender,
)

EVENTS = 9
BATCH_EVENTS = 4
LOST = 2


async def test_a_retry_after_a_lost_answer_has_the_same_ids_and_keeps_the_order(
    store_url: str, broker_url: str
) -> None:
    """Delivered more than once, applied once: the id says which ones are the same."""
    before = signals.value("goldseam_relay_retries_total")
    async with log(store_url, EVENTS) as store, sender(broker_url) as inner:
        publisher = LosesAnswers(inner, LOST)
        one = relay_of(store, publisher, batch_events=BATCH_EVENTS)
        task = asyncio.create_task(one.run())
        await one.prepare()
        await eventually(lambda: checkpoint(store_url) == EVENTS)
        one.stop()
        await task
    found = delivered(broker_url)
    assert EVENTS + LOST * BATCH_EVENTS == len(found)
    assert firsts(logged(store_url)) == firsts(found)
    assert before + LOST == signals.value("goldseam_relay_retries_total")


async def test_control_a_retry_under_new_ids_is_a_second_fact(broker_url: str) -> None:
    """Nobody downstream can know that the two are one."""
    async with sender(broker_url) as inner:
        publisher = LosesAnswers(inner, 1)
        for _ in range(2):
            body = msgspec.json.encode({"paid": 5})
            made = _uuid_text(uuid7_bytes())
            record = Record("tick", b"tick-0", body, (("ce_id", made),))
            try:
                await publisher.publish([record])
            except BrokerUnreachable:
                continue
    counts = Counter(one.event_id for one in delivered(broker_url))
    assert [1, 1] == list(counts.values())


def _uuid_text(id_: bytes) -> bytes:
    return id_.hex().encode()
