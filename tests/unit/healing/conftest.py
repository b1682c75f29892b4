"""A store whose events can be corrected."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from goldseam import EventStore, open_store
from tests.unit.healing.bank import registry


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[EventStore]:
    async with await open_store(store_url, registry=registry) as store:
        yield store
