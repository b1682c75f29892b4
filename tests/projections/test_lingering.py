"""A projection that lingers takes what has gathered, not every event as it comes."""

from __future__ import annotations

from typing import Any

import pytest

from goldseam import ANY, EventStore, Goldseam
from goldseam.projections.hosted import HostedProjection
from goldseam.projections.source import Page, StoreSource
from tests.projections.bank import Balances, DepositApplied

MORE = 5


class _Patient(Balances):
    linger_seconds = 0.1


class _Busy(StoreSource):
    """While a page is read, the log grows by one more event."""

    def __init__(self, store: EventStore) -> None:
        super().__init__(store)
        self.pages = 0

    async def page(self, after: int, limit: int) -> Page:
        found = await super().page(after, limit)
        self.pages += 1
        if self.pages <= MORE:
            await self._store.append("account-1", [DepositApplied(1)], expected=ANY)
        return found


@pytest.mark.parametrize(("projection", "goes_to"), [(_Patient(), 1), (Balances(), 1 + MORE)])
async def test_what_comes_while_a_page_is_applied_waits_for_its_company(
    store_url: str, projection: Any, goes_to: int
) -> None:
    """Without lingering each single event has a transaction of its own, as soon as it can."""
    async with Goldseam(store_url) as app:
        await app.store.append("account-1", [DepositApplied(1)], expected=ANY)
        hosted = HostedProjection(projection, _Busy(app.store), app.store.database)
        await hosted.prepare()
        reached = await hosted.runner.catch_up()
        assert goes_to == reached.position
        if goes_to == 1:
            assert 1 + MORE > (await hosted.runner.catch_up()).position > 1
