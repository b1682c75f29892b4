"""``goldseam consumers``: where consumers stand, how far behind, and how to move them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
import msgspec

from goldseam.broker.port import Admin, Span
from goldseam.broker.record import Partition
from goldseam.cli.applications import loaded
from goldseam.cli.console import (
    PROBLEMS,
    REFUSED,
    USAGE,
    json_option,
    required_store,
    run,
    show_json,
    show_table,
)
from goldseam.cli.consumer_lint import lint
from goldseam.consumers import claims
from goldseam.consumers.consumer import Consumer
from goldseam.consumers.lag import Lag, Trend, measure, trend
from goldseam.consumers.modes import EffectivelyOnce
from goldseam.consumers.workshop import make_tables, source_of
from goldseam.database.connection import Connection, Database
from goldseam.errors import InvalidInput
from goldseam.governance.keda import Scaling, lag_threshold, scaled_object
from goldseam.resilience.clock import SystemClock
from goldseam.runtime.application import Goldseam
from goldseam.runtime.brokers import open_broker
from goldseam.runtime.settings import BROKER_VARIABLE, STORE_VARIABLE, broker_url
from goldseam.runtime.wiring import open_database

OVER_SECONDS = 1.0
"""How far apart the two measurements of a trend are."""

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
Work = Callable[[Admin, Database], Awaitable[T]]

_LAG_COLUMNS = (
    "consumer", "records", "seconds", "direction", "catch up", "members", "advised", "advice",
)  # fmt: skip


@click.group()
def group() -> None:
    """Watch and move consumers. --app module:attribute says where they are declared.

    The attribute is an application, one consumer or a list of them. An application knows its
    broker and where the effects of its consumers are; for the others give --store and --broker.
    """


def app_options(function: F) -> F:
    """``--app``, ``--store``, ``--broker`` and ``--json``."""
    needed = click.option(
        "--app", "app", required=True, metavar="MODULE:ATTRIBUTE",
        help="An application, one consumer or a list of them.",
    )  # fmt: skip
    store = click.option(
        "--store", metavar="URL",
        help=f"Where their effects are; else as the application says, else {STORE_VARIABLE}.",
    )  # fmt: skip
    broker = click.option(
        "--broker", metavar="URL",
        help=f"The broker; else the application's, else {BROKER_VARIABLE}.",
    )  # fmt: skip
    return needed(store(broker(json_option(function))))


@group.command("list")
@app_options
def list_(app: str, store: str | None, broker: str | None, as_json: bool) -> None:
    """All consumers: mode, topics, and what each partition's holder has applied."""
    consumers = consumers_of(app)

    async def work(admin: Admin, database: Database) -> list[dict[str, Any]]:
        return [await _described(one, admin, database) for one in consumers]

    found = _with(*_places(app, store, broker), work)
    if as_json:
        show_json(found)
        return
    rows = [
        (one["name"], one["mode"], part["topic"], part["partition"], part["next_offset"],
         part["generation"], part["holder"])
        for one in found for part in one["partitions"] or [dict.fromkeys(_PARTS, "-")]
    ]  # fmt: skip
    show_table(("consumer", "mode", *_PARTS), rows)


_PARTS = ("topic", "partition", "next_offset", "generation", "holder")


@group.command()
@click.argument("name", required=False)
@app_options
@click.option("--over", type=float, default=OVER_SECONDS, help="Seconds between measurements (1).")
def lag(
    name: str | None,
    app: str,
    store: str | None,
    broker: str | None,
    as_json: bool,
    over: float,
) -> None:
    """How far behind NAME is (or all are), in records and seconds, and until when.

    Exit code 1: a lag grows, or nobody works on it.
    """
    consumers = consumers_of(app) if name is None else [_named(app, name)]

    async def work(admin: Admin, database: Database) -> list[tuple[Lag, Trend]]:
        clock = SystemClock()
        first = [await measure(one, admin, database, clock) for one in consumers]
        await asyncio.sleep(over)
        last = [await measure(one, admin, database, clock) for one in consumers]
        return [(now, trend(then, now)) for then, now in zip(first, last, strict=True)]

    found = _with(*_places(app, store, broker), work)
    if as_json:
        plain: list[Any] = [
            {**msgspec.to_builtins(one), "trend": msgspec.to_builtins(way)} for one, way in found
        ]
        show_json(plain)
    else:
        show_table(_LAG_COLUMNS, [_lag_line(*one) for one in found])
    stuck = [one for one, way in found if one.records and _is_stuck(one, way)]
    sys.exit(PROBLEMS if stuck else 0)


@group.command()
@click.argument("name")
@app_options
@click.option("--to", "to", required=True, help="oldest, newest, or an offset.")
@click.option("--topic", help="Only this topic.")
@click.option("--partition", type=int, help="Only this partition.")
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
@click.option("--yes", is_flag=True, help="Skipping records loses them for this consumer.")
def reset(
    name: str,
    app: str,
    store: str | None,
    broker: str | None,
    as_json: bool,
    to: str,
    topic: str | None,
    partition: int | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Move NAME, which must not be running, to another offset, in its database and at the broker.

    Going back repeats records: dedup drops what was applied. Going forward skips what lies
    between. Exit code 4: the group has members.
    """
    consumer = _named(app, name)
    if not yes and not dry_run:
        raise click.UsageError("a reset may skip or repeat records; look with --dry-run, add --yes")

    async def work(admin: Admin, database: Database) -> list[dict[str, Any]] | None:
        if await admin.members(name) and not dry_run:
            return None
        now = await _offsets(consumer, admin, database)
        spans = await _spans(consumer, admin, topic, partition)
        wanted = {place: _target(to, span) for place, span in spans.items()}
        if not dry_run:
            await _move(
                consumer, admin, database, wanted, source_of(_places(app, store, broker)[1])
            )
        return [
            {"topic": p.topic, "partition": p.number, "from": now.get(p), "to": offset}
            for p, offset in sorted(wanted.items())
        ]

    moved = _with(*_places(app, store, broker), work)
    if moved is None:
        click.echo(f"goldseam: {name} has members; stop them, then reset", err=True)
        sys.exit(REFUSED)
    if as_json:
        show_json({"consumer": name, "dry_run": dry_run, "moved": moved})
    else:
        show_table(("topic", "partition", "from", "to"), [tuple(one.values()) for one in moved])


@group.command()
@click.argument("name")
@click.option("--app", "app", required=True, metavar="MODULE:ATTRIBUTE")
@click.option("--broker", metavar="URL", help=f"The broker; else {BROKER_VARIABLE}.")
@json_option
@click.option("--deployment", help="What is scaled; the consumer's name unless said.")
@click.option("--namespace", help="Its namespace.")
@click.option("--rate", type=float, required=True, help="Records a second of one member, measured.")
@click.option("--max", "most", type=int, help="Replicas at most; never more than partitions.")
def manifest(
    name: str,
    app: str,
    broker: str | None,
    as_json: bool,
    deployment: str | None,
    namespace: str | None,
    rate: float,
    most: int | None,
) -> None:
    """A KEDA ScaledObject for NAME: as many members as its lag asks for. JSON, which is YAML."""
    consumer, url = _named(app, name), _broker(broker or _own_broker(app))

    async def partitions() -> dict[str, int]:
        opened = open_broker(url)
        try:
            admin = await opened.admin()
            topics = await admin.topics()
            await admin.close()
            return {one: topics[one].partitions for one in consumer.topics if one in topics}
        finally:
            await opened.close()

    scaling = Scaling(
        deployment=deployment or name,
        group=name,
        bootstrap=urlsplit(url).netloc.rpartition("@")[2].split(","),
        topics=run(partitions()),
        lag_threshold=lag_threshold(rate),
        max_replicas=most,
        namespace=namespace,
    )
    try:
        show_json(scaled_object(scaling))
        if not as_json:
            click.echo("apply it with: kubectl apply -f -", err=True)
    except InvalidInput as error:
        click.echo(f"goldseam: {error}", err=True)
        sys.exit(USAGE)


group.add_command(lint)


def consumers_of(path: str) -> list[Consumer]:
    """The consumers that ``module:attribute`` names.

    Raises:
        UsageError: it names something else.
    """
    found = loaded(path)
    declared = getattr(found, "consumers", found)
    if isinstance(declared, Mapping):
        declared = list(declared.values())
    some: Sequence[Any] = declared if isinstance(declared, Sequence) else [declared]
    consumers = [one() if isinstance(one, type) else getattr(one, "consumer", one) for one in some]
    if not consumers or not all(isinstance(one, Consumer) for one in consumers):
        raise click.UsageError(f"--app {path!r} names no consumers")
    return consumers


def _named(app: str, name: str) -> Consumer:
    consumers = {one.name: one for one in consumers_of(app)}
    if name not in consumers:
        known = ", ".join(sorted(consumers))
        click.echo(f"goldseam: there is no consumer {name!r}; there are: {known}", err=True)
        sys.exit(USAGE)
    return consumers[name]


def _broker(given: str | None) -> str:
    url = broker_url(given)
    if url is None:
        raise click.UsageError(
            f"no broker: give --broker kafka://host:9092 or sqlite:///broker.db, or set "
            f"{BROKER_VARIABLE}"
        )
    return url


def _own_broker(app: str) -> str | None:
    found = loaded(app)
    return found.broker_url if isinstance(found, Goldseam) else None


def _places(app: str, store: str | None, broker: str | None) -> tuple[str, str]:
    """Where the effects are, and the broker: as said, else as the application says."""
    found = loaded(app)
    if store is None and isinstance(found, Goldseam):
        if len(found.target_urls) > 1:
            raise click.UsageError(
                f"the consumers of {app} keep their effects in {len(found.target_urls)} databases; "
                "give --store URL for the one you mean"
            )
        store = next(iter(found.target_urls), None)
    return required_store(store), _broker(broker or _own_broker(app))


def _with(database_url: str, url: str, work: Work[T]) -> T:
    """Run ``work`` with the broker's desk and the consumers' database, both opened and closed."""

    async def inside() -> T:
        database, opened = open_database(database_url), open_broker(url)
        try:
            await database.transact(lambda c: make_tables(c, SystemClock()))
            admin = await opened.admin()
            try:
                return await work(admin, database)
            finally:
                await admin.close()
        finally:
            await opened.close()
            await database.close()

    return run(inside())


async def _described(one: Consumer, admin: Admin, database: Database) -> dict[str, Any]:
    found = await database.read(lambda c: claims.standings(c, one.name))
    told = await admin.offsets(one.name)
    held = [
        {"topic": s.place.topic, "partition": s.place.number, "next_offset": s.next_offset,
         "generation": s.generation, "holder": s.holder}
        for s in found
    ] or [
        {"topic": p.topic, "partition": p.number, "next_offset": offset, "generation": "-",
         "holder": "-"}
        for p, offset in sorted(told.items())
    ]  # fmt: skip
    return {
        "name": one.name,
        "mode": one.mode.name,
        "topics": list(one.topics),
        "members": len(await admin.members(one.name)),
        "partitions": held,
    }


async def _offsets(consumer: Consumer, admin: Admin, database: Database) -> Mapping[Partition, int]:
    if not isinstance(consumer.mode, EffectivelyOnce):
        return await admin.offsets(consumer.name)
    found = await database.read(lambda c: claims.standings(c, consumer.name))
    return {one.place: one.next_offset for one in found}


async def _spans(
    consumer: Consumer, admin: Admin, topic: str | None, partition: int | None
) -> dict[Partition, Span]:
    spans: dict[Partition, Span] = {}
    for name in consumer.topics:
        if topic in (None, name):
            spans |= await admin.spans(name)
    return {p: span for p, span in spans.items() if partition in (None, p.number)}


def _target(to: str, span: Span) -> int:
    if to in ("oldest", "newest"):
        return span.low if to == "oldest" else span.high
    if not to.isascii() or not to.isdigit():
        raise click.UsageError(f"--to {to!r} is neither oldest, newest nor an offset")
    return min(max(int(to), span.low), span.high)


async def _move(
    consumer: Consumer,
    admin: Admin,
    database: Database,
    offsets: Mapping[Partition, int],
    source: str,
) -> None:
    """The database first: it is the truth, and a member that lives after all is fenced."""

    async def operation(connection: Connection) -> None:
        now_us = SystemClock().now_us()
        await claims.move(
            connection, consumer.name, offsets, source=source, by="reset", now_us=now_us
        )

    if isinstance(consumer.mode, EffectivelyOnce):
        await database.transact(operation)
    await admin.set_offsets(consumer.name, offsets)


def _is_stuck(one: Lag, way: Trend) -> bool:
    return way.direction == "growing" or one.members == 0


def _lag_line(one: Lag, way: Trend) -> tuple[object, ...]:
    catch_up = "never" if way.catch_up_seconds is None else f"{way.catch_up_seconds:.0f} s"
    return (
        one.consumer, one.records, f"{one.seconds:.1f}", way.direction, catch_up, one.members,
        way.members_advised, way.advice,
    )  # fmt: skip
