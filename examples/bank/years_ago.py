"""The bank's first two years: what it wrote then is in the log for ever.

Version 1 of a deposit had an amount; version 2 said the currency too; today's, in events.py, calls
the amount totalAmount. Nobody rewrote anything: the old events are read through two upcasters.
"""

from __future__ import annotations

import msgspec

from examples.bank.events import AccountOpened
from goldseam import NEW, Registry, open_store

ACCOUNT = "account-old"

first_year, second_year = Registry(), Registry()


@first_year.event(name="DepositApplied", version=1)
class FirstDeposit(msgspec.Struct, frozen=True):
    """Money came in."""

    amount: int


@second_year.event(name="DepositApplied", version=2)
class SecondDeposit(msgspec.Struct, frozen=True):
    """Money came in, in some currency."""

    amount: int
    currency: str


first_year.register(AccountOpened)


async def write(store_url: str, deposits: int = 20) -> list[tuple[int, int]]:
    """Write the first two years of :data:`ACCOUNT`; position and cents of each deposit."""
    written = []
    async with await open_store(store_url, registry=first_year) as store:
        await store.append(ACCOUNT, [AccountOpened("customer-old")], expected=NEW)
        for n in range(deposits):
            done = await store.append(ACCOUNT, [FirstDeposit(100 + n)], expected=1 + n)
            written.append((done.position, 100 + n))
    async with await open_store(store_url, registry=second_year) as store:
        for n in range(deposits):
            facts = [SecondDeposit(200 + n, "USD")]
            done = await store.append(ACCOUNT, facts, expected=1 + deposits + n)
            written.append((done.position, 200 + n))
    return written
