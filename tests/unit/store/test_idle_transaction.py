"""PostgreSQL ends a transaction that stands idle: an outage for the caller, nothing of the data."""

from __future__ import annotations

import asyncio

import pytest

from goldseam.database.connection import Connection
from goldseam.errors import StoreUnavailable
from tests.support.river import target


async def _sleeps(connection: Connection) -> None:
    await connection.fetch("SET LOCAL idle_in_transaction_session_timeout = 50")
    await asyncio.sleep(0.5)
    await connection.fetch("SELECT 1")


async def test_it_is_said_as_an_outage(postgres_schema_url: str) -> None:
    """Whoever tries again does so; a consumer does not park the record."""
    async with target(postgres_schema_url) as database:
        with pytest.raises(StoreUnavailable, match="idle"):
            await database.transact(_sleeps)
        assert [(1,)] == [tuple(row) for row in await database.fetch("SELECT 1")]
