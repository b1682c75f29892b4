"""``goldseam schema``: judge event classes against the store before they are deployed."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, NamedTuple, TypeVar

import click

from goldseam.cli.applications import application, imported, loaded
from goldseam.cli.console import (
    PROBLEMS,
    json_option,
    required_store,
    run,
    show_json,
    show_table,
    store_option,
)
from goldseam.cli.events import _plain
from goldseam.cli.schema_report import (
    Judged,
    as_junit,
    as_sarif,
    dropped_as_json,
    judged_as_json,
    written,
)
from goldseam.events.registry import Registry, registry
from goldseam.forgetting import facts as forgetting_facts
from goldseam.governance.evolution_gate import (
    checked_types,
    registered_schemas,
    replay_findings,
    schema_findings,
    schemas_of,
    upcaster_gaps,
)
from goldseam.governance.registration import register_all
from goldseam.governance.stored_sample import NEWEST_OF_EACH, Sample, sample
from goldseam.resilience.clock import SystemClock
from goldseam.runtime.keys import open_vault
from goldseam.runtime.settings import key_provider_url, keys_url
from goldseam.runtime.wiring import open_store
from goldseam.sagas import facts as saga_facts
from goldseam.store.event_store import EventStore
from goldseam.store.read import PAGE_EVENTS
from goldseam.versioning.compatibility import LEVELS, Level
from goldseam.versioning.errors import SchemaNotFound
from goldseam.versioning.schema_registry import SchemaRegistry
from goldseam.versioning.weak_schema import Dropped, DroppedFields

F = TypeVar("F", bound=Callable[..., Any])

LAST_EVENTS: Final = 10_000
"""How many of the newest events ``dropped`` looks at: lately, not ever."""


class Source(NamedTuple):
    """Where the classes come from, and the store they are judged against."""

    types: Registry
    store: str
    modules: tuple[str, ...]
    keys: tuple[str, str] | None = None


@click.group(name="schema")
def group() -> None:
    """Judge event classes against the store before they are deployed.

    Classes come from --module (imported; a second part after ":" names a Registry in it) or
    --app MODULE:ATTRIBUTE (a Goldseam). Nothing is appended to the log.
    """


def _classes(function: F) -> F:
    """``--module``, ``--app``, ``--store`` and ``--json``."""
    for option in (
        click.option("--app", metavar="MODULE:ATTRIBUTE", help="The Goldseam with the classes."),
        click.option(
            "--module", "modules", multiple=True, metavar="MODULE[:REGISTRY]",
            help="Import event classes from here; may be given several times.",
        ),
        json_option,
        store_option,
    ):  # fmt: skip
        function = option(function)
    return function


@group.command()
@_classes
@click.option(
    "--level", type=click.Choice(list(LEVELS)), help="Compatibility; else the registry's own level."
)
@click.option(
    "--newest-of-each", type=click.IntRange(1, 10_000), default=NEWEST_OF_EACH, show_default=True,
    help="Sampled events of each stored type and version.",
)  # fmt: skip
@click.option("--junit", metavar="FILE|-", help="Write JUnit XML for a CI server.")
@click.option("--sarif", metavar="FILE|-", help="Write SARIF 2.1.0 for a code host.")
@click.option("--keys", metavar="URL", help="Open sealed values; else stand-ins are read.")
@click.option("--key-provider", metavar="URL", help="Who wraps the keys.")
def check(
    modules: tuple[str, ...],
    app: str | None,
    store: str | None,
    as_json: bool,
    level: Level | None,
    newest_of_each: int,
    junit: str | None,
    sarif: str | None,
    keys: str | None,
    key_provider: str | None,
) -> None:
    """The evolution gate: can these classes read this store, and do their schemas fit?

    Exit codes: 0 yes, 1 no, 2 usage, 3 the store cannot be reached.
    """
    if (junit == "-") + (sarif == "-") + as_json > 1:
        raise click.UsageError("--json, --junit - and --sarif - all write to stdout; choose one")
    source = _source(modules, app, store, keys, key_provider)
    judged = run(_judge(source, level, newest_of_each))
    if junit is not None:
        written("--junit", junit, as_junit(judged.findings, judged.checked))
    if sarif is not None:
        log = as_sarif(judged.findings, source.types, source.modules)
        written("--sarif", sarif, json.dumps(log, indent=2))
    if as_json:
        show_json(judged_as_json(judged))
    elif "-" not in (junit, sarif):
        for one in judged.findings:
            click.echo(_plain(f"{one.level}: {one.rule}: {one.message}"))
    click.echo(
        f"{len(judged.checked)} type versions, {judged.sample} of {judged.stored} events read, "
        f"{judged.registered} schemas registered, {len(judged.findings)} findings",
        err=True,
    )
    sys.exit(PROBLEMS if judged.failed else 0)


async def _judge(source: Source, level: Level | None, newest_of_each: int) -> Judged:
    types = source.types
    async with _opened(source) as store:
        database = store.database
        taken: Sample = await database.read_one(lambda c: sample(c, newest_of_each))
        registered = await registered_schemas(database, SystemClock())
        judged: Level = level or "BACKWARD"
        if registered and level is None:
            judged = await SchemaRegistry(database, SystemClock()).level()
        findings = upcaster_gaps(types)
        findings += schema_findings(types, schemas_of(types), registered, judged)
        findings += await replay_findings(types, taken, store.sealer)
    stored = sum(one.events for one in taken.types)
    return Judged(
        findings,
        checked_types(types, taken),
        taken.size,
        stored,
        sum(map(len, registered.values())),
    )


@group.command()
@_classes
@click.option(
    "--last", type=click.IntRange(1), default=LAST_EVENTS, show_default=True,
    help="How many of the newest events to look at.",
)  # fmt: skip
@click.option("--fail", is_flag=True, help="Exit code 1 if fields are dropped.")
def dropped(
    modules: tuple[str, ...],
    app: str | None,
    store: str | None,
    as_json: bool,
    last: int,
    fail: bool,
) -> None:
    """Every event type whose fields were dropped lately, because its class does not know them."""
    looked_at, found = run(_dropped(_source(modules, app, store), last))
    if as_json:
        show_json({"events": looked_at, "dropped": [dropped_as_json(one) for one in found]})
    elif found:
        rows = [
            (one.type, one.type_version, one.events, one.newest_position,
             ", ".join(sorted(one.fields)), ", ".join(sorted(one.missing)) or "-")
            for one in found
        ]  # fmt: skip
        show_table(("type", "version", "events", "newest", "dropped", "not in them"), rows)
    click.echo(f"{looked_at} events, {len(found)} type versions with dropped fields", err=True)
    sys.exit(PROBLEMS if found and fail else 0)


async def _dropped(source: Source, last: int) -> tuple[int, list[Dropped]]:
    report = DroppedFields(source.types)
    async with _opened(source) as store:
        head = await store.head()
        after = max(0, head - last)
        while after < head and (page := await store.raw_all(after=after, limit=PAGE_EVENTS)):
            report.add(page)
            after = page[-1].position
    return report.looked_at, report.report()


# ------------------------------------------------------------------------------ the registry


@group.command()
@_classes
def register(modules: tuple[str, ...], app: str | None, store: str | None, as_json: bool) -> None:
    """Write down the schemas of these classes: what the next check compares with.

    Run it with each deployment. The same schema is registered only once. Exit code 4: a class
    does not go together with what is registered, and no upcaster leads to its version.
    """
    found = run(_register(_source(modules, app, store)))
    if as_json:
        keys = ("type", "version", "registered", "id")
        show_json([dict(zip(keys, row, strict=True)) for row in found])
    else:
        show_table(("type", "version", "registered", "id"), found)


async def _register(source: Source) -> list[tuple[str, int, int, int]]:
    async with _opened(source) as store:
        found = await register_all(store.database, source.types, SystemClock())
    return [(name, version, one.version, one.id) for name, version, one in found]


@group.command("list")
@store_option
@json_option
def list_(store: str | None, as_json: bool) -> None:
    """The event types that have schemas, their versions in the registry, and their level."""
    rows = run(_list(Source(registry, required_store(store), ())))
    if as_json:
        show_json(rows)
        return
    shown = [(one["type"], ", ".join(map(str, one["registered"])), one["level"]) for one in rows]
    show_table(("type", "registered", "level"), shown)


async def _list(source: Source) -> list[dict[str, Any]]:
    async with _opened(source) as store:
        known = await registered_schemas(store.database, SystemClock())
        schemas = SchemaRegistry(store.database, SystemClock())
        return [
            {
                "type": name,
                "registered": [version for version, _ in versions],
                "level": await schemas.level(name),
            }
            for name, versions in sorted(known.items())
        ]


@group.command()
@click.argument("event_type", metavar="TYPE")
@click.option("--version", type=click.IntRange(1), help="The registry's version; else the newest.")
@store_option
@json_option
def show(event_type: str, version: int | None, store: str | None, as_json: bool) -> None:
    """Print the JSON Schema that is registered for TYPE."""
    found, schema = run(_show(Source(registry, required_store(store), ()), event_type, version))
    shown = {"type": event_type, "registered": found, "schema": schema}
    show_json(shown if as_json else schema)


async def _show(source: Source, event_type: str, version: int | None) -> tuple[int, dict[str, Any]]:
    async with _opened(source) as store:
        known = await registered_schemas(store.database, SystemClock())
    versions = known.get(event_type)
    if not versions:
        raise SchemaNotFound("subject", event_type)
    found = dict(versions)
    wanted = max(found) if version is None else version
    if wanted not in found:
        raise SchemaNotFound("version", wanted)
    return wanted, found[wanted]


# ------------------------------------------------------------------------------ opening


def _source(
    modules: tuple[str, ...],
    app: str | None,
    store: str | None,
    keys: str | None = None,
    provider: str | None = None,
) -> Source:
    if not modules and not app:
        raise click.UsageError("no classes: give --module shop.events or --app shop.main:app")
    found = [loaded(one) if ":" in one else imported(one) for one in modules]
    types = next((one for one in found if isinstance(one, Registry)), registry)
    own = keys_url(keys), key_provider_url(provider)
    if (keys or provider) and not all(own):
        raise click.UsageError("opening sealed values needs both: --keys and --key-provider")
    pair = (own[0], own[1]) if own[0] and own[1] else None
    if app is None:
        return Source(types, required_store(store), modules, pair)
    twin = application(app).steering(store)
    types, declared = twin._registry, twin._keys  # noqa: SLF001 -- the command line's own twin
    return Source(types, twin.store_url, (*modules, app), pair or declared)


@asynccontextmanager
async def _opened(source: Source) -> AsyncIterator[EventStore]:
    """The store, and its keys if there are any; by no class, so that a gap is found, not raised."""
    async with AsyncExitStack() as stack:
        vault = None
        if source.keys is not None:
            vault = await open_vault(*source.keys, apply=False)
            stack.push_async_callback(vault.close)
        forgetting_facts.known_to(source.types)  # the toolkit's own facts are read by everybody
        saga_facts.known_to(source.types)
        types = Registry(open_to_unknown=True)
        store = await open_store(source.store, apply=False, registry=types, vault=vault)
        yield await stack.enter_async_context(store)
