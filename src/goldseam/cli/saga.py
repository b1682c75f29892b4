"""``goldseam saga``: look at sagas of both kinds, and steer those that need a human."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from goldseam.cli.applications import application
from goldseam.cli.console import (
    PROBLEMS,
    json_option,
    run,
    show_json,
    show_table,
    store_option,
)
from goldseam.resilience.clock import MICROSECONDS_PER_SECOND
from goldseam.runtime.application import Goldseam
from goldseam.sagas.board import ALL_STATUSES
from goldseam.sagas.desk import Instance
from goldseam.sagas.flows import FlowStory
from goldseam.sagas.listing import LIST_MAX, SagaRow, SagaStory

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

TROUBLE = ("parked", "overdue")
_COLUMNS = ("saga", "status", "step", "attempt", "since", "error")


@click.group()
def group() -> None:
    """Look at sagas and steer them. --app module:attribute is the application that has them.

    Orchestrated sagas and choreographed flows are shown alike; only the orchestrated ones can be
    steered: a flow has nobody who could be told.
    """


def app_options(function: F) -> F:
    """``--app``, ``--store`` and ``--json``."""
    needed = click.option("--app", "app", required=True, metavar="MODULE:APP")
    return needed(store_option(json_option(function)))


def order_options(function: F) -> F:
    """``--by`` and ``--reason``."""
    by = click.option("--by", "who", required=True, help="Who asks; kept in the saga's stream.")
    reason = click.option("--reason", "why", required=True, help="Why; kept with it.")
    return by(reason(function))


@group.command("list")
@app_options
@click.option("--status", type=click.Choice(ALL_STATUSES), help="Only these.")
@click.option("--definition", help="Only sagas or flows of this name.")
@click.option("--limit", type=click.IntRange(1, LIST_MAX), default=50, show_default=True)
def list_(
    app: str,
    store: str | None,
    as_json: bool,
    status: str | None,
    definition: str | None,
    limit: int,
) -> None:
    """Sagas by their last change, the newest first. Exit code 1: one is parked or overdue."""

    async def work(open_app: Goldseam) -> tuple[list[SagaRow], list[tuple[str, int, str, int]]]:
        board = open_app.saga_list
        found = await board.find(status=status or "", definition=definition or "", limit=limit)
        return found, await board.counts()

    found, counts = _with(app, store, work)
    totals = [
        {"definition": d, "version": v, "status": s, "count": n}
        for d, v, s, n in counts
        if definition in (None, d)
    ]
    if as_json:
        show_json({"sagas": [msgspec.to_builtins(one) for one in found], "counts": totals})
    else:
        show_table(_COLUMNS, [_line(one) for one in found])
        for total in totals:
            click.echo(
                f"{total['definition']} v{total['version']}: {total['count']} {total['status']}",
                err=True,
            )
    is_stuck = any(one.status in TROUBLE for one in found) or any(
        total["status"] in TROUBLE for total in totals
    )
    sys.exit(PROBLEMS if is_stuck else 0)


@group.command()
@click.argument("saga")
@app_options
def show(saga: str, app: str, store: str | None, as_json: bool) -> None:
    """Everything that has happened to SAGA (fulfilment/order-17), and what is still to do."""
    story = _with(app, store, lambda open_app: open_app.saga_list.show(saga))
    if as_json:
        show_json(msgspec.to_builtins(story))
        return
    row = story.row
    click.echo(f"{row.saga}: {row.status}{f', at {row.step}' if row.step else ''}")
    if row.error:
        click.echo(f"why: {row.error}")
    _show_story(story)


def _show_story(story: SagaStory | FlowStory) -> None:
    if isinstance(story, FlowStory):
        rows = [(_time(e.at_us), e.type, e.stream, e.event_id, e.causation) for e in story.events]
        show_table(("time", "event", "stream", "id", "caused by"), rows)
        if story.unanswered:
            click.echo(f"nobody has reacted to: {', '.join(story.unanswered)}")
        return
    if story.undo:
        click.echo(f"still to be undone: {', '.join(story.undo)}")
    lines = [
        (one.version, _time(one.at_us), one.fact, _brief(one.details), one.actor or "")
        for one in story.happened
    ]
    show_table(("version", "time", "fact", "details", "by"), lines)


@group.command()
@click.argument("saga")
@app_options
@order_options
def retry(saga: str, app: str, store: str | None, as_json: bool, who: str, why: str) -> None:
    """Try again, at once and with all its attempts, what has failed in SAGA."""
    _steered(_with(app, store, lambda a: a.sagas.retry(saga, by=who, reason=why)), as_json=as_json)


@group.command()
@click.argument("saga")
@app_options
@order_options
def compensate(saga: str, app: str, store: str | None, as_json: bool, who: str, why: str) -> None:
    """Turn the running SAGA back: what has taken effect is undone in reverse order."""
    _steered(
        _with(app, store, lambda a: a.sagas.compensate(saga, by=who, reason=why)), as_json=as_json
    )


@group.command()
@click.argument("saga")
@app_options
@order_options
def resume(saga: str, app: str, store: str | None, as_json: bool, who: str, why: str) -> None:
    """Go on with the parked SAGA, after what could not be undone was undone by hand."""
    _steered(_with(app, store, lambda a: a.sagas.resume(saga, by=who, reason=why)), as_json=as_json)


@group.command()
@click.argument("what", metavar="SAGA_OR_DEFINITION")
@app_options
@click.option("--svg", is_flag=True, help="SVG instead of Mermaid text.")
@click.option("--output", type=click.Path(path_type=Path), help="A file instead of stdout.")
def diagram(
    what: str, app: str, store: str | None, as_json: bool, svg: bool, output: Path | None
) -> None:
    """Draw a definition, or one saga with what it has done and what it is at."""
    text = _with(app, store, lambda open_app: open_app.saga_list.diagram(what, as_svg=svg))
    if output is not None:
        output.write_text(text, encoding="utf-8")
        click.echo(f"written: {output}", err=True)
    elif as_json:
        show_json({"of": what, "format": "svg" if svg else "mermaid", "text": text})
    else:
        click.echo(text, nl=False)


def _with(app: str, store: str | None, work: Callable[[Goldseam], Awaitable[T]]) -> T:
    async def opened() -> T:
        async with application(app).steering(store) as open_app:
            return await work(open_app)

    return run(opened())


def _steered(instance: Instance, *, as_json: bool) -> None:
    state = instance.state
    if as_json:
        step = state.doing(instance.saga)
        show_json({"saga": instance.id, "status": state.status, "step": step})
    else:
        click.echo(f"{instance.id}: {state.status}; whoever runs the sagas goes on with it")


def _line(one: SagaRow) -> tuple[object, ...]:
    step = f"undo {one.step}" if one.undoing and one.step else one.step
    return (one.saga, one.status, step, one.attempt, _time(one.started_us), one.error)


def _time(us: int) -> str:
    moment = datetime.fromtimestamp(us / MICROSECONDS_PER_SECOND, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _brief(details: Any) -> str:
    if not isinstance(details, dict):
        return str(details)
    return ", ".join(f"{k}={v}" for k, v in details.items() if v not in ("", False, None, ()))
