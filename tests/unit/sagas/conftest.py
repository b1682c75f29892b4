"""A store whose clock is moved by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from goldseam import EventStore
from tests.support.hand_clock import HandClock
from tests.unit.sagas.world import open_world_store


@pytest.fixture
def clock() -> HandClock:
    """Of the store, the sagas and their services."""
    return HandClock()


@pytest.fixture
async def store(store_url: str, clock: HandClock) -> AsyncIterator[EventStore]:
    """An empty store, once on SQLite and once on PostgreSQL."""
    store = await open_world_store(store_url, clock)
    yield store
    await store.close()


@pytest.fixture
async def sqlite_store(tmp_path: object, clock: HandClock) -> AsyncIterator[EventStore]:
    """An empty store on SQLite only: for many cases of what no database sees differently."""
    store = await open_world_store(f"sqlite:///{tmp_path}/store.db", clock)
    yield store
    await store.close()
