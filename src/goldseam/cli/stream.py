"""``goldseam stream``: read, list, tail and append from the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import click
import msgspec

from goldseam.cli.console import json_option, required_store, run, show_json, store_option
from goldseam.errors import InvalidEvent
from goldseam.events.event import Metadata, Recorded
from goldseam.events.names import DEFAULT_TENANT
from goldseam.events.registry import Registry, Untyped
from goldseam.runtime.wiring import open_store
from goldseam.store.event_store import EventStore
from goldseam.store.expected import ANY, EXISTS, NEW, ExpectedVersion
from goldseam.store.read import PAGE_EVENTS_MAX

_WORDS: dict[str, ExpectedVersion] = {"any": ANY, "exists": EXISTS, "new": NEW}


def _tenant_option(function: Any) -> Any:
    return click.option("--tenant", default=DEFAULT_TENANT, show_default=True)(function)


@click.group()
def group() -> None:
    """Read, list, tail and append streams."""


@group.command(name="list")
@store_option
@_tenant_option
@json_option
@click.option("--after", default="", help="Only names after this one.")
@click.option("--limit", type=click.IntRange(1, PAGE_EVENTS_MAX), default=100, show_default=True)
def list_streams(store: str | None, tenant: str, after: str, limit: int, as_json: bool) -> None:
    """Stream names and their versions."""
    found = run(_list(required_store(store), tenant, after, limit))
    if as_json:
        show_json([{"stream": name, "version": version} for name, version in found])
    else:
        for name, version in found:
            click.echo(f"{version:>8}  {name}")


@group.command()
@click.argument("stream")
@store_option
@_tenant_option
@json_option
@click.option("--after", type=click.IntRange(min=0), default=0, help="Versions above this one.")
@click.option("--limit", type=click.IntRange(1, PAGE_EVENTS_MAX), default=100, show_default=True)
@click.option("--backwards", is_flag=True, help="Newest first.")
def read(
    stream: str,
    store: str | None,
    tenant: str,
    after: int,
    limit: int,
    backwards: bool,
    as_json: bool,
) -> None:
    """The events of STREAM. Payloads are shown: mind who looks over your shoulder."""
    events = run(_read(required_store(store), tenant, stream, after, limit, backwards))
    if as_json:
        show_json([shown(event) for event in events])
    else:
        for event in events:
            click.echo(line(event))


@group.command()
@store_option
@_tenant_option
@json_option
@click.option("--after", type=click.IntRange(min=0), help="Positions above this one; else now.")
@click.option("--category", help="Only streams of this category.")
@click.option("--limit", type=click.IntRange(min=1), help="Stop after so many events.")
def tail(
    store: str | None,
    tenant: str,
    after: int | None,
    category: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """Follow the log live, one event a line; end with Ctrl-C."""
    run(_tail(required_store(store), tenant, after, category, limit, as_json))


@group.command()
@click.argument("stream")
@click.argument("event_type")
@click.argument("data")
@store_option
@_tenant_option
@json_option
@click.option("--expected", required=True, help="any, exists, new, or the version it must have.")
@click.option("--type-version", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--key", help="Idempotency key: a second run with it writes nothing new.")
@click.option("--actor", help="Who does this; kept in the event's metadata.")
def append(
    stream: str,
    event_type: str,
    data: str,
    store: str | None,
    tenant: str,
    expected: str,
    type_version: int,
    key: str | None,
    actor: str | None,
    as_json: bool,
) -> None:
    """Append one event of EVENT_TYPE with the JSON object DATA (or - for stdin) to STREAM."""
    fields = _fields(event_type, sys.stdin.read() if data == "-" else data)
    event = Untyped(event_type, type_version, fields)
    metadata = Metadata(actor=actor)
    done = run(
        _append(required_store(store), tenant, stream, event, _expected(expected), key, metadata)
    )
    if as_json:
        show_json({"position": done.position, "version": done.version, "replayed": done.replayed})
    else:
        click.echo(f"position {done.position}, version {done.version}")


def _fields(event_type: str, data: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data.encode("utf-8", "strict"))
    except (msgspec.DecodeError, UnicodeError) as error:
        raise click.UsageError(f"DATA is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise click.UsageError(str(InvalidEvent(event_type, "its data must be a JSON object")))
    return found


def _expected(text: str) -> ExpectedVersion:
    if text in _WORDS:
        return _WORDS[text]
    if text.isascii() and text.isdigit():
        return int(text)
    raise click.UsageError(f"--expected {text!r} is not any, exists, new or a version")


def shown(event: Recorded[Any]) -> dict[str, Any]:
    """An event as one JSON object."""
    data = event.data
    fields = data.fields() if isinstance(data, Untyped) else msgspec.to_builtins(data)
    return {
        "position": event.position,
        "stream": event.stream,
        "version": event.version,
        "type": event.type,
        "type_version": event.type_version,
        "id": str(event.id),
        "recorded_at": event.recorded_at.isoformat(),
        "data": fields,
        "metadata": msgspec.to_builtins(event.metadata),
    }


def line(event: Recorded[Any]) -> str:
    """An event on one line."""
    whole = shown(event)
    when = event.recorded_at.strftime("%Y-%m-%d %H:%M:%S")
    data = json.dumps(whole["data"], ensure_ascii=True, default=str)
    return f"{event.position:>8}  {when}  {event.stream}@{event.version}  {event.type} {data}"


async def _open(url: str, tenant: str) -> EventStore:
    store = await open_store(url, apply=False, registry=Registry(open_to_unknown=True))
    return store if tenant == DEFAULT_TENANT else store.for_tenant(tenant)


async def _list(url: str, tenant: str, after: str, limit: int) -> list[tuple[str, int]]:
    async with await _open(url, tenant) as store:
        return await store.streams(after=after, limit=limit)


async def _read(
    url: str, tenant: str, stream: str, after: int, limit: int, backwards: bool
) -> list[Recorded[Any]]:
    async with await _open(url, tenant) as store:
        if backwards:
            return await store.read_stream_backwards(stream, limit=limit)
        return await store.read_stream(stream, after=after, limit=limit)


async def _tail(
    url: str,
    tenant: str,
    after: int | None,
    category: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    async with await _open(url, tenant) as store:
        start = await store.head() if after is None else after
        seen = 0
        events: AsyncIterator[Recorded[Any]] = store.follow(after=start, category=category)
        async for event in events:
            click.echo(json.dumps(shown(event), default=str) if as_json else line(event))
            seen += 1
            if seen == limit:
                return


async def _append(
    url: str,
    tenant: str,
    stream: str,
    event: Untyped,
    expected: ExpectedVersion,
    key: str | None,
    metadata: Metadata,
) -> Any:
    async with await _open(url, tenant) as store:
        return await store.append(stream, [event], expected=expected, key=key, metadata=metadata)
