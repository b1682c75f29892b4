"""``goldseam outbox``: how far a log is relayed; send what waits, forget what was sent."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import click
import msgspec

from goldseam.cli.console import (
    PROBLEMS,
    json_option,
    required_store,
    run,
    show_json,
    show_table,
    store_option,
)  # fmt: skip
from goldseam.cli.outbox_options import (
    LOG_RELAY,
    Asked,
    asked,
    asked_broker,
    opened,
    relay_options,
)  # fmt: skip
from goldseam.database.connection import Database
from goldseam.outbox import checkpoint
from goldseam.outbox.prune import KEEP_SECONDS, prune_outbox
from goldseam.outbox.relay import Relay
from goldseam.outbox.status import RelayStatus, relay_status
from goldseam.outbox.topics import MakesTopics
from goldseam.resilience.clock import SystemClock, uuid7_bytes
from goldseam.runtime.brokers import open_broker
from goldseam.runtime.outbox_relay import RELAY, SOURCE, OutboxRelay, prepare_outbox
from goldseam.runtime.settings import BROKER_VARIABLE
from goldseam.runtime.wiring import open_database

LOOK_SECONDS = 1.0
"""How often a failure is looked for and said."""

T = TypeVar("T")

broker_option = click.option("--broker", metavar="URL", help=f"The broker; else {BROKER_VARIABLE}.")
source_option = click.option(
    "--source", default=SOURCE, show_default=True,
    help="Names your service in every record of the table, for ever.",
)  # fmt: skip


@click.group()
def group() -> None:
    """The relay between a log (or an outbox table) and its topics.

    An application's relay runs with `goldseam run MODULE:APP`; the relay of an outbox table with
    `goldseam outbox run`.
    """


@group.command()
@relay_options
@click.option("--max-pending", type=click.IntRange(min=0), help="Exit code 1 when more waits.")
def status(
    app_path: str | None, relay: str | None, table: bool, store: str | None, as_json: bool,
    max_pending: int | None,
) -> None:  # fmt: skip
    """Each shard: checkpoint, head, what waits and since when, who relays it."""
    chosen = asked(app_path, relay, table, store)
    found = run(_statuses(chosen))
    if as_json:
        show_json([msgspec.to_builtins(one) for one in found])
    else:
        header = ("shard", "checkpoint", "head", "pending", "oldest s", "holder", "fence")
        show_table(header, [_line(one) for one in found])
    # The lanes of a table are apart; shards of a log count the same positions.
    waiting = (sum if table else max)(one.pending for one in found)
    if max_pending is not None and waiting > max_pending:
        sys.exit(PROBLEMS)


async def _statuses(chosen: Asked) -> list[RelayStatus]:
    async with opened(chosen) as found:
        return [
            await relay_status(
                chosen.relay, found.source, found.database, SystemClock(), shard, found.shards
            )
            for shard in range(found.shards)
        ]


@group.command()
@relay_options
@broker_option
@click.option("--prefix", default="", help="Before the category in a topic's name.")
@source_option
def flush(
    app_path: str | None, relay: str | None, table: bool, store: str | None, as_json: bool,
    broker: str | None, prefix: str, source: str,
) -> None:  # fmt: skip
    """Relay what waits, then stop. Exit code 4: another process relays it."""
    chosen = asked(app_path, relay, table, store, prefix=prefix, source=source)
    positions = run(_flushed(chosen, asked_broker(chosen, broker)))
    if as_json:
        show_json({"relay": chosen.relay, "positions": positions})
    else:
        click.echo(f"{chosen.relay}: relayed up to {', '.join(map(str, positions))}")


async def _flushed(chosen: Asked, url: str) -> list[int]:
    clock, broker = SystemClock(), open_broker(url)
    holder = f"flush-{uuid7_bytes().hex()}"
    try:
        async with opened(chosen) as found:
            publisher = MakesTopics(
                await broker.publisher("goldseam-flush"), broker, await broker.admin(),
                found.database, chosen.relay,
            )  # fmt: skip
            made = [
                Relay(
                    chosen.relay, found.source, publisher, found.database, clock,
                    holder=holder, shard=shard, shards=found.shards,
                )
                for shard in range(found.shards)
            ]  # fmt: skip
            return [await one.flush() for one in made]
    finally:
        await broker.close()


@group.command("run")
@store_option
@broker_option
@source_option
def run_(store: str | None, broker: str | None, source: str) -> None:
    """Relay an outbox table until told to stop (SIGTERM, SIGINT). Start as many as you like."""
    chosen = asked(None, None, True, store, source=source)
    run(_relaying(chosen, asked_broker(chosen, broker)))


async def _relaying(chosen: Asked, url: str) -> None:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with OutboxRelay(chosen.store, url, source=chosen.source, name=chosen.relay) as relay:
        click.echo(f"running: relay {chosen.relay}", err=True)
        working = asyncio.ensure_future(relay.run())
        said: str | None = None
        while not (stopping.is_set() or working.done()):
            if relay.failure != said:
                said = relay.failure
                click.echo(f"relay {chosen.relay}: {said or 'well again'}", err=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await stopping.wait()
        relay.stop()
        await working


@group.command()
@store_option
def prepare(store: str | None) -> None:
    """Make or upgrade the tables of the outbox, beside your own."""
    run(prepare_outbox(required_store(store)))
    click.echo("the outbox is ready")


@group.command()
@store_option
@json_option
@click.option("--relay", default=RELAY, show_default=True, help="The relay of the table.")
@click.option(
    "--keep-seconds", type=click.FloatRange(min=0), default=KEEP_SECONDS, show_default=True,
    help="How long sent rows stay.",
)  # fmt: skip
def prune(store: str | None, as_json: bool, relay: str, keep_seconds: float) -> None:
    """Forget rows of the outbox table that are relayed and old enough. The log loses nothing."""

    async def work(database: Database) -> int:
        return await prune_outbox(database, relay, SystemClock(), keep_seconds=keep_seconds)

    count = run(_with(store, work))
    if as_json:
        show_json({"pruned": count})
    else:
        click.echo(f"pruned {count} row(s)")


@group.command()
@store_option
@json_option
@click.option("--relay", default=LOG_RELAY, show_default=True, help="The relay's name.")
@click.option(
    "--shards", type=click.IntRange(min=1, max=64), required=True, help="As relay_shards= says."
)
def reshard(store: str | None, as_json: bool, relay: str, shards: int) -> None:
    """Give a relay another number of shards; stop its processes first.

    All shards begin at the lowest checkpoint: what lies above is sent again, under the same ids.
    """

    async def work(database: Database) -> int:
        now_us = SystemClock().now_us()
        return await database.transact(lambda c: checkpoint.reshard(c, relay, shards, now_us))

    position = run(_with(store, work))
    if as_json:
        show_json({"relay": relay, "shards": shards, "position": position})
    else:
        click.echo(f"{relay}: {shards} shard(s), each from position {position}")


@group.command()
@store_option
@json_option
@click.option("--relay", default=LOG_RELAY, show_default=True, help="The relay's name.")
@click.option(
    "--to", "position", type=click.IntRange(min=0), required=True,
    help="The last position that need not be sent again.",
)  # fmt: skip
def rewind(store: str | None, as_json: bool, relay: str, position: int) -> None:
    """Send again what follows a position, as after a broker has lost it. Consumers know the ids."""

    async def work(database: Database) -> list[int]:
        now_us = SystemClock().now_us()
        return await database.transact(lambda c: checkpoint.rewind(c, relay, position, now_us))

    positions = run(_with(store, work))
    if as_json:
        show_json({"relay": relay, "positions": positions})
    else:
        click.echo(f"{relay}: goes on from {', '.join(map(str, positions)) or 'the beginning'}")


async def _with(store: str | None, work: Callable[[Database], Coroutine[Any, Any, T]]) -> T:
    database = open_database(required_store(store))
    try:
        await database.transact(lambda c: checkpoint.apply_tables(c, SystemClock()))
        return await work(database)
    finally:
        await database.close()


def _line(one: RelayStatus) -> tuple[object, ...]:
    age = f"{one.oldest_seconds:.1f}"
    return (
        one.shard, one.position, one.head, one.pending, age, one.holder or "-", one.token or "-",
    )  # fmt: skip
