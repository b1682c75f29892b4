"""A store migration beside its two halves: replay the source, append in batches to a new store."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import psycopg

from benchmarks.measure import Run, Scenario
from benchmarks.payload import order, registry
from goldseam import ANY, EventStore, NewEvent, Recorded, open_store
from goldseam.migration.migration import Migration
from goldseam.migration.transform import Fact

COPIED_EVENTS = 20_000
BATCH_EVENTS = 100
STREAMS = 50
TARGET_RATIO = 0.5

Place = Callable[[], AbstractAsyncContextManager[str]]
"""Gives the URL of an empty store, and takes it away afterwards."""


def renamed(fact: Fact) -> Fact:
    """A transform that rewrites every event: decode, change, encode."""
    fields = fact.fields
    return fact.but(
        type="OrderTaken", fields={**fields, "total_amount": fields.pop("total")}, type_version=2
    )


class Migrations:
    """Scenarios from one filled source; targets are made and dropped in each run."""

    def __init__(self, folder: Path, postgres: str | None) -> None:
        self._folder, self._postgres = folder, postgres
        self._sources: dict[str, str] = {}

    def scenarios(self) -> list[Scenario]:
        """SQLite to SQLite always; the others where there is a PostgreSQL."""
        found = [self._scenario("SQLite to SQLite", "sqlite", self._file)]
        if self._postgres is not None:
            found += [
                self._scenario("SQLite to PostgreSQL", "sqlite", self._schema),
                self._scenario("PostgreSQL to PostgreSQL", "postgresql", self._schema),
            ]
        return found

    def _scenario(self, name: str, source: str, target: Place) -> Scenario:
        return Scenario(
            f"migration, {name}",
            TARGET_RATIO,
            self._ours(source, target, None),
            {"replay, then append 100 at a time": self._halves(source, target)},
            beside={"with a transform of every event": self._ours(source, target, renamed)},
        )

    def _ours(self, source: str, target: Place, transform: Any) -> Run:
        """Events per second from the first page to the end of the source, map and all."""

        async def run() -> float:
            url = await self._source(source)
            async with (
                target() as new,
                await open_store(url, registry=registry) as old_store,
                await open_store(new, registry=registry) as new_store,
            ):
                copying = Migration(old_store, new_store, transform)
                start = perf_counter()
                copied = await copying.copy()
                seconds = perf_counter() - start
                assert copied.source_position == COPIED_EVENTS
                return COPIED_EVENTS / seconds

        return run

    def _halves(self, source: str, target: Place) -> Run:
        """First everything is read as typed events, then everything is appended."""

        async def run() -> float:
            url = await self._source(source)
            async with (
                target() as new,
                await open_store(url, registry=registry) as old_store,
                await open_store(new, registry=registry) as new_store,
            ):
                start = perf_counter()
                events = [event async for event in old_store.replay()]
                await _append_all(new_store, events)
                return len(events) / (perf_counter() - start)

        return run

    async def _source(self, kind: str) -> str:
        """The URL of the filled source, filled when it is first asked for."""
        if kind not in self._sources:
            url = f"sqlite:///{self._folder / 'migrated.db'}"
            if kind == "postgresql":
                assert self._postgres is not None
                url = new_schema(self._postgres)
            async with await open_store(url, registry=registry) as store:
                await _fill(store)
            self._sources[kind] = url
        return self._sources[kind]

    @asynccontextmanager
    async def _file(self) -> AsyncIterator[str]:
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            yield f"sqlite:///{folder}/target.db"

    @asynccontextmanager
    async def _schema(self) -> AsyncIterator[str]:
        assert self._postgres is not None
        url = new_schema(self._postgres)
        try:
            yield url
        finally:
            await asyncio.to_thread(drop_schema, url)

    def drop(self) -> None:
        """Leave nothing behind on the server."""
        if "postgresql" in self._sources:
            drop_schema(self._sources["postgresql"])


async def _fill(store: EventStore) -> None:
    for start in range(0, COPIED_EVENTS, BATCH_EVENTS):
        new = [order(start + n) for n in range(BATCH_EVENTS)]
        await store.append(f"order-{start // BATCH_EVENTS % STREAMS}", new, expected=ANY)


async def _append_all(store: EventStore, events: list[Recorded[Any]]) -> None:
    """One stream's run of events at a time, at most 100, ids kept: what a script would do."""
    at = 0
    while at < len(events):
        stream, end = events[at].stream, at + 1
        while end < len(events) and end - at < BATCH_EVENTS and events[end].stream == stream:
            end += 1
        batch = [NewEvent(one.data, id=one.id, metadata=one.metadata) for one in events[at:end]]
        await store.append(stream, batch, expected=ANY)
        at = end


def new_schema(postgres: str) -> str:
    schema = f"bench_{secrets.token_hex(4)}"
    with psycopg.connect(postgres, autocommit=True) as raw:
        raw.execute(f"CREATE SCHEMA {schema}")
    return f"{postgres}?schema={schema}"


def drop_schema(url: str) -> None:
    schema = urlsplit(url).query.removeprefix("schema=")
    with psycopg.connect(url.partition("?")[0], autocommit=True) as raw:
        raw.execute(f"DROP SCHEMA {schema} CASCADE")
