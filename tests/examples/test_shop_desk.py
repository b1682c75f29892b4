"""A service that hears a message twice answers it once: on both databases."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from examples.shop.messages import Order, PaymentProcessed, PaymentRequested, told
from examples.shop.payments import till
from examples.shop.service import Desk, Reactions, as_it_is
from goldseam import ANY, EventStore, Recorded, open_store

DB: Any = None
WANTED = told(PaymentRequested, Order("17", "0004", "title 001", 2, 2_933, "card", "US"))


def heard() -> Recorded[PaymentRequested]:
    return Recorded(
        1, "payment_commands-17", 1, "PaymentRequested", 1, WANTED, "main", 0, uuid4().bytes, b"{}"
    )


class Careless(Desk):
    """Charges whatever it hears."""

    async def _answer(self, heard: Recorded[Any]) -> None:
        paid = told(PaymentProcessed, heard.data)
        await self._store().append("payment-17", [paid], expected=ANY)


async def _charges(url: str, kind: type[Desk], *messages: Recorded[PaymentRequested]) -> int:
    async with await open_store(url) as store:

        def opened() -> EventStore:
            return store

        reactions: Reactions = {PaymentRequested: as_it_is}
        desk = kind("till", ("payment_commands",), till, "payment", reactions, opened)
        await asyncio.gather(*(desk.apply_batch([one], DB) for one in messages))
        found = await store.read_stream("payment-17")
    return sum(isinstance(one.data, PaymentProcessed) for one in found)


def test_a_message_that_comes_again_is_charged_once(store_url: str) -> None:
    """After a crash between the charge and the commit of the offset; even at the same time."""
    one = heard()

    assert 1 == asyncio.run(_charges(store_url, Desk, one, one, one))


def test_another_request_for_the_same_order_charges_nothing(store_url: str) -> None:
    """It has a key of its own, and the till remembers the order."""
    assert 1 == asyncio.run(_charges(store_url, Desk, heard(), heard()))


def test_control_a_careless_service_charges_again(store_url: str) -> None:
    """Without the key and the till's memory a customer pays three times."""
    one = heard()

    assert 3 == asyncio.run(_charges(store_url, Careless, one, one, one))
