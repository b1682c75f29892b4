"""``goldseam projections``: watch and steer projections, also those of a running process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import click
import msgspec

from goldseam.cli.applications import steering
from goldseam.cli.console import (
    PROBLEMS,
    USAGE,
    json_option,
    run,
    show_json,
    show_table,
    store_option,
)
from goldseam.errors import CorruptCheckpoint
from goldseam.projections.hosted import HostedProjection, Status
from goldseam.projections.rebuild import Progress
from goldseam.runtime.application import Goldseam

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
Work = Callable[[Goldseam], Coroutine[Any, Any, T]]

_COLUMNS = ("projection", "state", "position", "head", "lag events", "lag seconds", "parked")


@click.group()
def group() -> None:
    """Watch and steer projections. --app module:attribute says where they are declared.

    The attribute is a Goldseam application, one projection or a list of them. What a command
    writes is seen by the process that runs the projection within a second.
    """


def app_options(function: F) -> F:
    """``--app``, ``--store`` and ``--json``."""
    needed = click.option("--app", "app", required=True, metavar="MODULE:ATTRIBUTE")
    return needed(store_option(json_option(function)))


@group.command("list")
@app_options
def list_(app: str, store: str | None, as_json: bool) -> None:
    """All projections and how far behind each is. Exit code 1: one cannot be trusted."""

    async def work(opened: Goldseam) -> list[dict[str, Any]]:
        return [await _status_or_error(one) for one in opened.projections.values()]

    found = _with(app, store, work)
    if as_json:
        show_json(found)
    else:
        show_table(_COLUMNS, [_line(one) for one in found])
    sys.exit(PROBLEMS if any("error" in one for one in found) else 0)


@group.command()
@click.argument("name")
@app_options
def status(name: str, app: str, store: str | None, as_json: bool) -> None:
    """Where the projection NAME stands."""
    found = _plain(_with(app, store, lambda opened: _named(opened, name).status()))
    if as_json:
        show_json(found)
    else:
        for key, value in {**found, **found.pop("lag")}.items():
            click.echo(f"{key:<18}{value}")


@group.command()
@click.argument("name")
@app_options
def pause(name: str, app: str, store: str | None, as_json: bool) -> None:
    """Stop applying events to NAME; it goes on serving reads."""
    _steer(app, store, as_json, name, lambda one: one.pause())


@group.command()
@click.argument("name")
@app_options
def resume(name: str, app: str, store: str | None, as_json: bool) -> None:
    """Let NAME go on where it was paused."""
    _steer(app, store, as_json, name, lambda one: one.resume())


@group.command()
@click.argument("name")
@app_options
@click.option("--yes", is_flag=True, help="Readers will see empty tables until it has caught up.")
def reset(name: str, app: str, store: str | None, as_json: bool, yes: bool) -> None:
    """Empty the tables of NAME and begin anew. With readers there, use rebuild instead."""
    if not yes:
        raise click.UsageError(
            f"reset empties what readers of {name} see; add --yes, or use rebuild"
        )
    _steer(app, store, as_json, name, lambda one: one.reset())


@group.command()
@click.argument("name")
@app_options
@click.option("--progress", is_flag=True, help="Show how far it is, on stderr.")
@click.option("--force", is_flag=True, help="Swap although events were parked.")
@click.option("--abort", is_flag=True, help="Throw away a rebuild that was begun.")
def rebuild(
    name: str,
    app: str,
    store: str | None,
    as_json: bool,
    progress: bool,
    force: bool,
    abort: bool,
) -> None:
    """Build new tables for NAME beside the live ones and swap; resumes one that was cut off."""
    if abort:
        done = _with(app, store, lambda opened: _named(opened, name).abort_rebuild())
        if as_json:
            show_json({"aborted": done})
        else:
            click.echo("aborted; the live tables are untouched" if done else "nothing was building")
        return
    show = _progress_line if progress else None
    _steer(app, store, as_json, name, lambda one: one.rebuild(show, force=force))


@group.command()
@click.argument("name")
@app_options
def rollback(name: str, app: str, store: str | None, as_json: bool) -> None:
    """Show the tables of NAME from before the last swap again."""
    _steer(app, store, as_json, name, lambda one: one.rollback())


@group.command()
@click.argument("name")
@app_options
@click.option("--sequence", help="Only this sequence, usually a stream.")
def parked(name: str, app: str, store: str | None, as_json: bool, sequence: str | None) -> None:
    """Events that NAME could not apply, and those behind them. Exit code 1: there are some."""
    found = _with(app, store, lambda opened: _named(opened, name).parked(sequence))
    if as_json:
        show_json([_plain(one) for one in found])
    elif found:
        rows = [
            (one.sequence, one.position, one.type, one.error or "(queued)", one.attempts)
            for one in found
        ]
        show_table(("sequence", "position", "type", "error", "attempts"), rows)
    sys.exit(PROBLEMS if found else 0)


@group.command()
@click.argument("name")
@app_options
@click.option("--sequence", help="Only this sequence, usually a stream.")
def retry(name: str, app: str, store: str | None, as_json: bool, sequence: str | None) -> None:
    """Apply what NAME has parked, in order. Exit code 1: a sequence is still stopped."""
    found = _with(app, store, lambda opened: _named(opened, name).retry(sequence))
    if as_json:
        show_json([_plain(one) for one in found])
    else:
        rows = [(one.sequence, one.applied, one.left, one.error) for one in found]
        show_table(("sequence", "applied", "left", "error"), rows)
    sys.exit(PROBLEMS if any(one.error for one in found) else 0)


@group.command()
@click.argument("name")
@app_options
@click.option("--sequence", required=True, help="The sequence to give up, usually a stream.")
@click.option("--reason", required=True, help="Kept with the events.")
def discard(
    name: str, app: str, store: str | None, as_json: bool, sequence: str, reason: str
) -> None:
    """Give up what NAME has parked of one sequence: it is never applied."""
    count = _with(app, store, lambda opened: _named(opened, name).discard(sequence, reason))
    if as_json:
        show_json({"sequence": sequence, "discarded": count})
    else:
        click.echo(f"discarded {count} event(s) of {sequence}")


def _steer(
    app: str,
    store: str | None,
    as_json: bool,
    name: str,
    command: Callable[[HostedProjection], Coroutine[Any, Any, Any]],
) -> None:
    done = _with(app, store, lambda opened: command(_named(opened, name)))
    if as_json:
        show_json(_plain(done))
    else:
        click.echo(f"{name}: {done.state}, position {done.position}, generation {done.generation}")


def _with(app: str, store: str | None, work: Work[T]) -> T:
    """Run ``work`` with the application that ``--app`` names, without running its projections."""
    opened = steering(app, store)

    async def inside() -> T:
        async with opened:
            return await work(opened)

    return run(inside())


def _named(opened: Goldseam, name: str) -> HostedProjection:
    if name not in opened.projections:
        known = ", ".join(sorted(opened.projections)) or "none"
        click.echo(f"goldseam: there is no projection {name!r}; there are: {known}", err=True)
        sys.exit(USAGE)
    return opened.projections[name]


async def _status_or_error(one: HostedProjection) -> dict[str, Any]:
    try:
        found = await one.status()
    except CorruptCheckpoint as error:
        return {"name": one.name, "error": str(error)}
    status: dict[str, Any] = _plain(found)
    return status


def _line(one: dict[str, Any]) -> tuple[object, ...]:
    if "error" in one:
        return one["name"], "CORRUPT", "-", "-", "-", "-", "-"
    lag = one["lag"]
    seconds = f"{lag['seconds']:.1f}"
    return (
        one["name"], one["state"], lag["position"], lag["head"], lag["events"], seconds,
        lag["parked_events"],
    )  # fmt: skip


def _plain(value: Status | Any) -> Any:
    plain: Any = msgspec.to_builtins(value)
    return plain


def _progress_line(made: Progress) -> None:
    eta = "?" if made.eta_seconds is None else f"{made.eta_seconds:.0f}"
    click.echo(
        f"{made.position}/{made.target} {made.percent:.1f} % "
        f"{made.events_per_second:.0f} events/s, {eta} s left",
        err=True,
    )
