"""``goldseam migrate``: copy a store through a transform while writes go on, then cut over."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from goldseam.cli.console import PROBLEMS, json_option, run, show_json, show_table
from goldseam.events.registry import Registry
from goldseam.migration.migration import CutOver, Migration, Status, Told, reopen
from goldseam.migration.preview import SAMPLE_EVENTS, Preview
from goldseam.migration.runner import SILENCE_SECONDS
from goldseam.migration.tokens import translated
from goldseam.migration.transform import load_transform
from goldseam.migration.verification import Report
from goldseam.runtime.wiring import open_database, open_store

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_PHASES = {"copy": "copying", "verify": "comparing", "preview": "reading"}


class _Verbs(click.Group):
    """``goldseam migrate SOURCE TARGET`` is ``goldseam migrate run SOURCE TARGET``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Verbs, name="migrate")
def group() -> None:
    """Copy SOURCE into the empty store TARGET through a transform, while writes go on.

    run, then cutover; abort leaves the source as it was. Each can be killed and run again.
    SOURCE and TARGET are store URLs; `goldseam migrate SOURCE TARGET` is `migrate run`.
    """


def _stores(function: F) -> F:
    """SOURCE, TARGET, --transform, --json."""
    for decorate in (
        json_option,
        click.option(
            "--take-over-after",
            "silence",
            type=click.FloatRange(min=0),
            default=SILENCE_SECONDS,
            show_default=True,
            help="Seconds without a sign of life after which another runner is taken for dead.",
        ),
        click.option(
            "--transform",
            metavar="MODULE:NAME",
            help="A function from a fact to what takes its place, or a Transform.",
        ),
        click.argument("target", metavar="TARGET"),
        click.argument("source", metavar="SOURCE"),
    ):
        function = decorate(function)
    return function


@group.command("run")
@_stores
@click.option("--dry-run", is_flag=True, help="Show what the transform would do; write nothing.")
@click.option(
    "--sample", type=click.IntRange(0, 1_000), default=SAMPLE_EVENTS, help="Changes to show."
)
def run_(
    source: str,
    target: str,
    transform: str | None,
    silence: float,
    dry_run: bool,
    sample: int,
    as_json: bool,
) -> None:
    """Copy what the source has, compare, and be ready to cut over. Run it again at any time."""
    if dry_run:
        with _progress(as_json) as told:
            found = run(_preview(source, transform, sample, told))
        if as_json:
            show_json(msgspec.to_builtins(found))
        else:
            _show_preview(found)
        return
    with _progress(as_json) as told:
        report, where = run(_copied(source, target, transform, silence, told))
    if as_json:
        show_json({"verified": report.ok, **_flat(where), "report": msgspec.to_builtins(report)})
    else:
        _show_report(report)
        _show_status(where)
        if report.ok and where.progress is not None and where.progress.phase == "copying":
            click.echo("ready; next: goldseam migrate cutover SOURCE TARGET", err=True)
    sys.exit(0 if report.ok else PROBLEMS)


@group.command()
@_stores
def status(source: str, target: str, transform: str | None, silence: float, as_json: bool) -> None:
    """Where the migration stands; changes nothing."""
    found = run(_with(source, target, transform, silence, lambda one: one.status(), apply=False))
    if as_json:
        show_json(_flat(found))
    else:
        _show_status(found)


@group.command()
@_stores
def verify(source: str, target: str, transform: str | None, silence: float, as_json: bool) -> None:
    """Compare source and target: chains, counts, each event, the position map."""
    with _progress(as_json) as told:
        report = run(
            _with(source, target, transform, silence, lambda one: one.verify(told), apply=False)
        )
    if as_json:
        show_json({"ok": report.ok, **msgspec.to_builtins(report)})
    else:
        _show_report(report)
    sys.exit(0 if report.ok else PROBLEMS)


@group.command()
@_stores
@click.option(
    "--read-models",
    "read_models",
    multiple=True,
    metavar="URL",
    help="A database whose projections follow the source: they go on in the target.",
)
@click.option(
    "--pause-max", type=click.FloatRange(min=0.1), default=30.0, help="Longest pause in seconds."
)
def cutover(
    source: str,
    target: str,
    transform: str | None,
    silence: float,
    read_models: Sequence[str],
    pause_max: float,
    as_json: bool,
) -> None:
    """Close the source for writes, copy the rest, declare the target the store."""
    with _progress(as_json) as told:

        def work(one: Migration) -> Coroutine[Any, Any, CutOver]:
            return one.cutover(told, pause_seconds_max=pause_max)

        done = run(_with(source, target, transform, silence, work, read_models=read_models))
    if as_json:
        show_json(msgspec.to_builtins(done))
    else:
        _show_cutover(done)
    sys.exit(PROBLEMS if any(one.verdict != "translated" for one in done.projections) else 0)


@group.command()
@_stores
@click.option(
    "--target-is-lost", is_flag=True, help="Only open the source; nobody can be asked any more."
)
def abort(
    source: str,
    target: str,
    transform: str | None,
    silence: float,
    target_is_lost: bool,
    as_json: bool,
) -> None:
    """Give up: the source is as it was and takes writes. Refused once the cut-over is done."""
    if target_is_lost:
        done = run(_reopen(source))
    else:
        done = run(_with(source, target, transform, silence, lambda one: one.abort(), apply=False))
    if as_json:
        show_json({"aborted": done})
    else:
        click.echo("aborted; the source takes writes" if done else "there was nothing to abort")


@group.command()
@click.argument("value", metavar="TOKEN")
@click.argument("target", metavar="TARGET")
@json_option
def token(value: str, target: str, as_json: bool) -> None:
    """Translate a position token of the old store into one of TARGET."""
    found = run(_translated(value, target))
    if found is None:
        click.echo("goldseam: the token is not of the store that TARGET came from", err=True)
        sys.exit(PROBLEMS)
    position, fresh = found
    if as_json:
        show_json({"position": position, "token": fresh})
    else:
        click.echo(fresh)


@asynccontextmanager
async def _opened(
    source: str,
    target: str,
    transform: str | None,
    silence: float,
    *,
    apply: bool = True,
    read_models: Sequence[str] = (),
) -> AsyncIterator[Migration]:
    sys.path.insert(0, str(Path.cwd()))
    named = load_transform(transform)
    registry = Registry(open_to_unknown=True)
    async with AsyncExitStack() as stack:
        old = await stack.enter_async_context(
            await open_store(source, apply=False, registry=registry)
        )
        new = await stack.enter_async_context(
            await open_store(target, apply=apply, registry=registry)
        )
        databases = [open_database(url) for url in read_models]
        for database in databases:
            stack.push_async_callback(database.close)
        yield Migration(old, new, named, read_models=databases, silence_seconds=silence)


async def _with(
    source: str,
    target: str,
    transform: str | None,
    silence: float,
    work: Callable[[Migration], Coroutine[Any, Any, T]],
    *,
    apply: bool = True,
    read_models: Sequence[str] = (),
) -> T:
    async with _opened(
        source, target, transform, silence, apply=apply, read_models=read_models
    ) as one:
        return await work(one)


async def _copied(
    source: str, target: str, transform: str | None, silence: float, told: Told
) -> tuple[Report, Status]:
    async with _opened(source, target, transform, silence) as one:
        return await one.run(told), await one.status()


async def _preview(source: str, transform: str | None, sample: int, told: Told) -> Preview:
    """The target is not even looked at: a dry run cannot write to it."""
    sys.path.insert(0, str(Path.cwd()))
    named = load_transform(transform)
    registry = Registry(open_to_unknown=True)
    async with await open_store(source, apply=False, registry=registry) as old:
        head = await old.head()
        one = Migration(old, old, named)
        return await one.preview(sample=sample, told=lambda at: told("preview", at, max(head, at)))


async def _reopen(source: str) -> bool:
    async with await open_store(source, apply=False) as old:
        return await reopen(old)


async def _translated(value: str, target: str) -> tuple[int, str] | None:
    async with await open_store(target, apply=False) as new:
        position = await new.database.read_one(lambda c: translated(c, value))
        return None if position is None else (position, new.token(position))


@contextmanager
def _progress(quiet: bool) -> Iterator[Told]:
    """A bar on a terminal's stderr; elsewhere nothing."""
    if quiet or not sys.stderr.isatty():
        yield lambda _what, _at, _of: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def told(what: str, at: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(_PHASES.get(what, what), total=of)
            bar.update(tasks[what], completed=at, total=of)

        yield told


def _flat(found: Status) -> dict[str, Any]:
    where = {"source_head": found.source_head, "lag": found.lag, "source_moved_to": found.moved_to}
    return {**where, "migration": msgspec.to_builtins(found.progress)}


def _show_status(found: Status) -> None:
    one = found.progress
    if one is None:
        click.echo("no migration into this store")
    else:
        click.echo(f"phase      {one.phase}, transform {one.transform!r}")
        click.echo(f"copied     {one.source_position:,} of {found.source_head:,} source events")
        click.echo(f"target     {one.target_position:,} events")
        click.echo(f"verified   up to source position {one.verified_position:,}")
        if one.phase == "done":
            click.echo(f"pause      {one.pause_us / 1_000:,.1f} ms")
    closed = f"closed, moved to {found.moved_to}" if found.moved_to else "takes writes"
    click.echo(f"source     {closed}")


def _show_report(report: Report) -> None:
    click.echo(
        f"{report.expected_events:,} events expected, {report.found_events:,} found in "
        f"{report.streams:,} streams; {report.different_events:,} differ, "
        f"{len(report.damages):,} damage(s), position map "
        f"{'agrees' if report.map_agrees else 'DIFFERS'}"
    )
    for one in report.differences:
        columns = ", ".join(one.columns)
        click.echo(f"  position {one.target_position} {one.stream!r}: {columns}")
    for stream in report.stream_differences:
        counts = f"{stream.expected} expected, {stream.found} found"
        click.echo(f"  stream {stream.stream!r} of {stream.tenant!r}: {counts}")
    for damage in report.damages:
        click.echo(f"  {damage.what} at {damage.position}: {damage.reason}")


def _show_cutover(done: CutOver) -> None:
    click.echo(
        f"the target is the store: {done.target_position:,} events, nobody could write for "
        f"{done.pause_seconds * 1000:,.1f} ms ({done.copied_in_pause:,} events copied in it)"
    )
    if done.projections:
        show_table(
            ("projection", "was at", "is at", "verdict"),
            [
                (one.projection, one.source_position, one.target_position or "-", one.verdict)
                for one in done.projections
            ],
        )


def _show_preview(found: Preview) -> None:
    click.echo(
        f"{found.source_events:,} events become {found.target_events:,}; "
        f"{found.unchanged:,} stay as they are"
    )
    names = sorted(found.before.keys() | found.after.keys())
    show_table(
        ("type", "before", "after"),
        [(name, found.before.get(name, 0), found.after.get(name, 0)) for name in names],
    )
    for change in found.sample:
        click.echo(f"@@ position {change.position} @@")
        click.echo(f"- {_line(change.before)}")
        for one in change.after:
            click.echo(f"+ {_line(one)}")


def _line(one: Any) -> str:
    fields = msgspec.json.encode(one.fields).decode()
    return f"{one.stream} {one.type} v{one.type_version} {fields}"
