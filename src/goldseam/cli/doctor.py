"""``goldseam doctor``: one screen that says whether this store is safe and ready."""

from __future__ import annotations

import sys
from typing import NamedTuple

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
from goldseam.database.connection import Database
from goldseam.errors import SchemaError
from goldseam.runtime.wiring import open_store


class Finding(NamedTuple):
    """One thing that was looked at."""

    check: str
    verdict: str
    detail: str


@click.command()
@store_option
@json_option
def command(store: str | None, as_json: bool) -> None:
    """Reachable? Tables right? Durable? Exit 1 when something must be mended."""
    findings = run(_examine(required_store(store)))
    if as_json:
        show_json([finding._asdict() for finding in findings])
    else:
        show_table(Finding._fields, findings)
    sys.exit(PROBLEMS if any(finding.verdict == "bad" for finding in findings) else 0)


async def _examine(url: str) -> list[Finding]:
    try:
        store = await open_store(url, apply=False)
    except SchemaError as error:
        return [Finding("tables", "bad", str(error))]
    async with store:
        head = await store.head()
        findings = [
            Finding("reachable", "good", store.database.dialect),
            Finding("tables", "good", "what this version needs"),
            Finding("log", "good", f"{head:,} positions"),
        ]
        examine = _sqlite if store.database.dialect == "sqlite" else _postgresql
        return findings + await examine(store.database)


async def _sqlite(database: Database) -> list[Finding]:
    synchronous = int((await database.fetch("PRAGMA synchronous"))[0][0])
    journal = str((await database.fetch("PRAGMA journal_mode"))[0][0])
    durable = synchronous >= 2
    return [
        Finding(
            "durable",
            "good" if durable else "bad",
            f"synchronous={synchronous}, journal={journal}: "
            + (
                "RPO 0 on this disk"
                if durable
                else "acknowledged events may be lost at power loss; drop ?durability= from the URL"
            ),
        )
    ]


async def _postgresql(database: Database) -> list[Finding]:
    settings = {}
    for name in ("fsync", "synchronous_commit", "synchronous_standby_names", "full_page_writes"):
        found = await database.fetch("SELECT current_setting(:name)", {"name": name})
        settings[name] = str(found[0][0])
    findings = [
        _must_be_on("fsync", settings["fsync"]),
        _must_be_on("full_page_writes", settings["full_page_writes"]),
        _durability(settings["synchronous_commit"]),
        _standby(settings["synchronous_standby_names"]),
    ]
    idle = await database.fetch(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
        " AND state_change < now() - interval '1 minute'"
    )
    verdict = "warn" if idle[0][0] else "good"
    detail = f"{idle[0][0]} session(s) idle in a transaction for over a minute"
    return [*findings, Finding("idle transactions", verdict, detail)]


def _must_be_on(name: str, value: str) -> Finding:
    return Finding(name, "good" if value == "on" else "bad", f"{name}={value}")


def _durability(value: str) -> Finding:
    bad = value in ("off", "local")
    return Finding("durable", "bad" if value == "off" else "warn" if bad else "good",
                   f"synchronous_commit={value}")  # fmt: skip


def _standby(names: str) -> Finding:
    if names:
        return Finding("RPO 0 at failover", "good", f"synchronous_standby_names={names}")
    reason = "no synchronous standby: losing the server may lose acknowledged events; not RPO 0"
    return Finding("RPO 0 at failover", "warn", reason)
