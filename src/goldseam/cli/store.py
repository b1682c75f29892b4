"""``goldseam store``: create, upgrade, check, verify, prune."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import click

from goldseam.cli.console import (
    PROBLEMS,
    json_option,
    required_store,
    run,
    show_json,
    show_table,
    store_option,
)
from goldseam.database import schema
from goldseam.database.connection import Connection
from goldseam.database.statements import statements
from goldseam.resilience.clock import SystemClock, uuid7_bytes
from goldseam.runtime.wiring import open_database, open_store
from goldseam.store import identity
from goldseam.store.retention import KEY_DAYS_KEPT, prune_keys
from goldseam.store.verify import Damage, verify

DAMAGES_SHOWN = 100
"""Damaged events named one by one; the rest are counted."""


@click.group()
def group() -> None:
    """Create, upgrade, check and verify a store."""


@group.command()
@store_option
@json_option
def plan(store: str | None, as_json: bool) -> None:
    """Show which migrations are applied and which are pending; changes nothing."""
    steps = run(_plan(required_store(store)))
    rows = [
        (f"{one.migration.number:04}", one.migration.phase, one.migration.name, one.state)
        for one in steps
    ]
    if as_json:
        keys = ("number", "phase", "name", "state")
        show_json([dict(zip(keys, row, strict=True)) for row in rows])
    else:
        show_table(("number", "phase", "name", "state"), rows)
    sys.exit(PROBLEMS if any(one.state == "changed" for one in steps) else 0)


@group.command()
@store_option
@json_option
def apply(store: str | None, as_json: bool) -> None:
    """Create the tables, or bring them to this version."""
    done = run(_apply(required_store(store)))
    names = [f"{one.number:04}_{one.phase}_{one.name}" for one in done]
    if as_json:
        show_json({"applied": names})
    else:
        click.echo("\n".join(f"applied {name}" for name in names) or "nothing to apply")


@group.command()
@store_option
@json_option
def check(store: str | None, as_json: bool) -> None:
    """Exit 0 if the tables are exactly what this version needs, else 1 and why."""
    run(_check(required_store(store)))
    if as_json:
        show_json({"ok": True})
    else:
        click.echo("the store's tables are what this version needs")


@group.command(name="verify")
@store_option
@json_option
def verify_command(store: str | None, as_json: bool) -> None:
    """Prove the log: checksums, no missing position or version, hash chains, immutability."""
    report = run(_verify(required_store(store), quiet=as_json))
    if as_json:
        show_json(report)
    else:
        _show_report(report)
    sys.exit(PROBLEMS if report["damaged"] else 0)


@group.command()
@store_option
@json_option
def info(store: str | None, as_json: bool) -> None:
    """Identity, head, streams' tenants, keys and snapshots."""
    facts = run(_info(required_store(store)))
    if as_json:
        show_json(facts)
    else:
        for name, value in facts.items():
            click.echo(f"{name:>10}  {value}")


@group.command()
@store_option
@json_option
@click.option(
    "--keys-older-than-days",
    "days",
    type=click.IntRange(min=1),
    default=KEY_DAYS_KEPT,
    show_default=True,
    help="Forget idempotency keys older than this; a retry after that writes again.",
)
def prune(store: str | None, days: int, as_json: bool) -> None:
    """Forget idempotency keys that no retry can need any more."""
    count = run(_prune(required_store(store), days))
    if as_json:
        show_json({"pruned_keys": count})
    else:
        click.echo(f"forgot {count} idempotency key(s) older than {days} day(s)")


async def _plan(url: str) -> list[schema.Step]:
    database = open_database(url)
    try:
        return await database.read(identity.plan)
    finally:
        await database.close()


async def _apply(url: str) -> list[schema.Migration]:
    database = open_database(url)
    clock = SystemClock()

    async def operation(connection: Connection) -> list[schema.Migration]:
        return await identity.apply(connection, clock, uuid7_bytes)

    try:
        return await database.transact(operation)
    finally:
        await database.close()


async def _check(url: str) -> None:
    async with await open_store(url, apply=False):
        return


async def _verify(url: str, quiet: bool) -> dict[str, Any]:
    clock = SystemClock()
    started, damages, last = clock.monotonic(), [], None
    async with await open_store(url, apply=False) as store:
        async for last in verify(store.database):
            damages += last.damages
            if not quiet and sys.stderr.isatty():
                click.echo(f"\r{last.events:,} events", err=True, nl=False)
    assert last is not None
    seconds = clock.monotonic() - started
    return {
        "events": last.events,
        "streams": last.streams,
        "head": last.position,
        "damaged": len(damages),
        "damages": [one._asdict() for one in damages[:DAMAGES_SHOWN]],
        "seconds": round(seconds, 3),
        "events_per_second": round(last.events / seconds) if seconds else 0,
    }


def _show_report(report: dict[str, Any]) -> None:
    click.echo(
        f"{report['events']:,} events in {report['streams']:,} streams up to position "
        f"{report['head']:,}, {report['events_per_second']:,} events/s"
    )
    for one in report["damages"]:
        damage = Damage(**one)
        place = f"position {damage.position} {damage.stream!r} version {damage.version}"
        click.echo(f"{damage.what}: {place}: {damage.reason}")
    if report["damaged"] > len(report["damages"]):
        click.echo(f"... and {report['damaged'] - len(report['damages'])} more")
    click.echo(f"{report['damaged']} damage(s)" if report["damaged"] else "nothing is damaged")


async def _info(url: str) -> dict[str, Any]:
    async with await open_store(url, apply=False) as store:
        sql = statements("goldseam.store", store.database.dialect)
        tenants = await store.database.fetch(sql["list_tenants"])
        keys = (await store.database.fetch(sql["count_keys"]))[0][0]
        snapshots = (await store.database.fetch(sql["count_snapshots"]))[0][0]
        return {
            "store": str(store.store_id),
            "dialect": store.database.dialect,
            "head": await store.head(),
            "tenants": {str(tenant): int(count) for tenant, count in tenants},
            "keys": int(keys),
            "snapshots": int(snapshots),
        }


async def _prune(url: str, days: int) -> int:
    async with await open_store(url, apply=False) as store:
        return await prune_keys(store.database, store.clock, timedelta(days=days))
