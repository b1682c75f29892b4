"""Which relay a command of ``goldseam outbox`` means: an application's, the log's, the table's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

import click

from goldseam.cli.applications import application
from goldseam.cli.console import json_option, required_store, store_option
from goldseam.database.connection import Database
from goldseam.leadership.lease import Leases
from goldseam.outbox import checkpoint
from goldseam.outbox.routing import by_category
from goldseam.outbox.sources import LogSource, RelaySource
from goldseam.outbox.table import LANES
from goldseam.resilience.clock import SystemClock
from goldseam.runtime.application import Goldseam
from goldseam.runtime.outbox_relay import RELAY, SOURCE, table_source
from goldseam.runtime.settings import BROKER_VARIABLE, broker_url
from goldseam.runtime.wiring import open_database, open_store
from goldseam.store.event_store import EventStore
from goldseam.versioning.schema_ids import SchemaGuids
from goldseam.versioning.schema_registry import SchemaRegistry

LOG_RELAY = "main"
"""What an application calls its relay unless it says otherwise."""

F = TypeVar("F", bound=Callable[..., Any])


class Asked(NamedTuple):
    """What the options say."""

    app: Goldseam | None
    relay: str
    table: bool
    store: str
    prefix: str
    source: str


class Found(NamedTuple):
    """The relay's place and what it reads."""

    database: Database
    source: RelaySource
    shards: int


def relay_options(function: F) -> F:
    """``--app``, ``--relay``, ``--table``, ``--store`` and ``--json``."""
    options = (
        click.option(
            "--app", "app_path", metavar="MODULE:APP",
            help="Take store, broker, relay and topics from this application.",
        ),
        click.option(
            "--table", is_flag=True, help="The outbox table of a CQRS system, not the event log."
        ),
        click.option(
            "--relay", help=f"The relay's name; {LOG_RELAY}, or {RELAY} with --table, unless said."
        ),
        store_option,
        json_option,
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def asked(
    app_path: str | None, relay: str | None, table: bool, store: str | None,
    *, prefix: str = "", source: str = SOURCE,
) -> Asked:  # fmt: skip
    """The options together.

    Raises:
        UsageError: they contradict each other, or say no store.
    """
    if app_path is None:
        name = relay or (RELAY if table else LOG_RELAY)
        return Asked(None, name, table, required_store(store), prefix, source)
    if table or prefix or relay:
        raise click.UsageError("--app says it all: leave out --table, --relay and --prefix")
    app = application(app_path)
    name = app.relaying[0] or ""
    if not name:
        raise click.UsageError(f"{app_path} relays nothing: it was made with relay=None")
    return Asked(app, name, False, store or app.store_url, prefix, source)


def asked_broker(chosen: Asked, given: str | None) -> str:
    """The broker's URL.

    Raises:
        UsageError: nobody says which.
    """
    own = None if chosen.app is None else chosen.app.broker_url
    url = given or own or broker_url()
    if url is None:
        raise click.UsageError(f"no broker: give --broker URL or set {BROKER_VARIABLE}")
    return url


@asynccontextmanager
async def opened(chosen: Asked) -> AsyncIterator[Found]:
    """The relay's database with its tables made, its source and its shards."""
    if chosen.table:
        database = open_database(chosen.store)
        try:
            await _prepare(database)
            yield Found(database, table_source(database, chosen.source, SystemClock()), LANES)
        finally:
            await database.close()
    elif chosen.app is not None:
        async with chosen.app.running(store_url=chosen.store, parts=()) as app:
            yield await _log(app.store, chosen)
    else:
        async with await open_store(chosen.store) as store:
            yield await _log(store, chosen)


async def _log(store: EventStore, chosen: Asked) -> Found:
    await _prepare(store.database)
    clock, routing = SystemClock(), by_category(chosen.prefix)
    stored = await store.database.read_one(lambda c: checkpoint.checkpoints(c, chosen.relay))
    shards = max((one.shards for one in stored), default=1)
    if chosen.app is not None:
        routing, shards = chosen.app.relaying[2], chosen.app.relaying[1]
    ids = SchemaGuids(SchemaRegistry(store.database, clock), clock, store.registry)
    return Found(store.database, LogSource(store, routing, schema_ids=ids), shards)


async def _prepare(database: Database) -> None:
    clock = SystemClock()
    await database.transact(lambda c: checkpoint.apply_tables(c, clock))
    await Leases(database, clock).prepare()
