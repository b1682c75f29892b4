"""``goldseam outbox``: how far the log is relayed; send what waits, forget what was sent."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
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
from goldseam.leadership.lease import Leases
from goldseam.outbox import checkpoint
from goldseam.outbox.prune import KEEP_SECONDS, prune_outbox
from goldseam.outbox.relay import Relay
from goldseam.outbox.routing import by_category
from goldseam.outbox.sources import LogSource, OutboxSource, RelaySource
from goldseam.outbox.status import RelayStatus, relay_status
from goldseam.outbox.table import LANES
from goldseam.resilience.clock import SystemClock, uuid7_bytes
from goldseam.runtime.brokers import open_broker
from goldseam.runtime.settings import BROKER_VARIABLE, broker_url
from goldseam.runtime.wiring import open_store
from goldseam.store.event_store import EventStore

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@click.group()
def group() -> None:
    """The relay between the log (or the outbox table) and its topics."""


def relay_options(function: F) -> F:
    """``--relay``, ``--table``, ``--store`` and ``--json``."""
    name = click.option("--relay", default="log", show_default=True, help="The relay's name.")
    which = click.option(
        "--table", is_flag=True, help="The outbox table of a CQRS system, not the event log."
    )
    return name(which(store_option(json_option(function))))


@group.command()
@relay_options
@click.option("--max-pending", type=int, help="Exit code 1 when more than this waits.")
def status(
    relay: str, table: bool, store: str | None, as_json: bool, max_pending: int | None
) -> None:
    """Each shard: checkpoint, head, what waits and since when, who relays it."""

    async def work(opened: EventStore) -> list[RelayStatus]:
        clock, database = SystemClock(), opened.database
        await database.transact(lambda c: checkpoint.apply_tables(c, clock))
        await Leases(database, clock).prepare()
        source = _source(opened, "", table)
        shards = await _shards(opened, relay, table)
        return [
            await relay_status(relay, source, database, clock, shard, shards)
            for shard in range(shards)
        ]

    found = run(_with(store, work))
    if as_json:
        show_json([msgspec.to_builtins(one) for one in found])
    else:
        header = ("shard", "checkpoint", "head", "pending", "oldest s", "holder", "fence")
        show_table(header, [_line(one) for one in found])
    if max_pending is not None and any(one.pending > max_pending for one in found):
        sys.exit(PROBLEMS)


@group.command()
@relay_options
@click.option("--broker", metavar="URL", help=f"The broker; else {BROKER_VARIABLE}.")
@click.option("--prefix", default="", help="Before the category in a topic's name.")
def flush(
    relay: str, table: bool, store: str | None, as_json: bool, broker: str | None, prefix: str
) -> None:
    """Relay what waits, then stop. Exit code 4: another process relays it."""
    url = broker_url(broker)
    if url is None:
        raise click.UsageError(f"no broker: give --broker URL or set {BROKER_VARIABLE}")

    async def work(opened: EventStore) -> list[int]:
        clock, database = SystemClock(), opened.database
        await database.transact(lambda c: checkpoint.apply_tables(c, clock))
        source, shards = _source(opened, prefix, table), await _shards(opened, relay, table)
        opened_broker = open_broker(url)
        holder = f"flush-{uuid7_bytes().hex()}"
        try:
            publisher = await opened_broker.publisher("goldseam-flush")
            made = [
                Relay(
                    relay, source, publisher, database, clock,
                    holder=holder, shard=shard, shards=shards,
                )
                for shard in range(shards)
            ]  # fmt: skip
            positions = [await one.flush() for one in made]
            await publisher.close()
        finally:
            await opened_broker.close()
        return positions

    positions = run(_with(store, work))
    if as_json:
        show_json({"relay": relay, "positions": positions})
    else:
        click.echo(f"relayed up to {', '.join(map(str, positions))}")


@group.command()
@store_option
@json_option
@click.option("--relay", default="outbox", show_default=True, help="The relay of the table.")
@click.option("--keep-seconds", type=click.FloatRange(min=0), default=KEEP_SECONDS)
def prune(store: str | None, as_json: bool, relay: str, keep_seconds: float) -> None:
    """Forget rows of the outbox table that are relayed and old enough. The log loses nothing."""

    async def work(opened: EventStore) -> int:
        clock = SystemClock()
        await opened.database.transact(lambda c: checkpoint.apply_tables(c, clock))
        return await prune_outbox(opened.database, relay, clock, keep_seconds=keep_seconds)

    count = run(_with(store, work))
    if as_json:
        show_json({"pruned": count})
    else:
        click.echo(f"pruned {count} row(s)")


@group.command()
@store_option
@json_option
@click.option("--relay", default="log", show_default=True, help="The relay's name.")
@click.option("--shards", type=click.IntRange(min=1, max=64), required=True)
def reshard(store: str | None, as_json: bool, relay: str, shards: int) -> None:
    """Give a relay another number of shards; stop its processes first.

    All shards begin at the lowest checkpoint: what lies above is sent again, under the same ids.
    """

    async def work(opened: EventStore) -> int:
        clock = SystemClock()
        await opened.database.transact(lambda c: checkpoint.apply_tables(c, clock))
        now_us = clock.now_us()
        return await opened.database.transact(
            lambda c: checkpoint.reshard(c, relay, shards, now_us)
        )

    position = run(_with(store, work))
    if as_json:
        show_json({"relay": relay, "shards": shards, "position": position})
    else:
        click.echo(f"{relay}: {shards} shard(s), each from position {position}")


async def _with(store: str | None, work: Callable[[EventStore], Coroutine[Any, Any, T]]) -> T:
    async with await open_store(required_store(store)) as opened:
        return await work(opened)


def _source(opened: EventStore, prefix: str, table: bool) -> RelaySource:
    if table:
        return OutboxSource(opened.database, f"/goldseam/{opened.store_id}/outbox")
    return LogSource(opened, by_category(prefix))


async def _shards(opened: EventStore, relay: str, table: bool) -> int:
    if table:
        return LANES
    found = await opened.database.read_one(lambda c: checkpoint.checkpoints(c, relay))
    return max((one.shards for one in found), default=1)


def _line(one: RelayStatus) -> tuple[object, ...]:
    age = f"{one.oldest_seconds:.1f}"
    return (
        one.shard, one.position, one.head, one.pending, age, one.holder or "-", one.token or "-",
    )  # fmt: skip
