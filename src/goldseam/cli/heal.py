"""``goldseam heal``: correct a wrong event by an appended correction, after showing the effect."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import click
import msgspec

from goldseam.cli.applications import imported, loaded, steering
from goldseam.cli.console import (
    PROBLEMS,
    json_option,
    required_store,
    run,
    show_json,
    show_table,
    store_option,
)
from goldseam.healing.approval import approve as approve_proposal
from goldseam.healing.approval import decline as decline_proposal
from goldseam.healing.approval import pending as pending_proposals
from goldseam.healing.approval import propose as make_proposal
from goldseam.healing.bulk import BulkResult, heal_all, read_rows
from goldseam.healing.heal import heal, healed_before
from goldseam.healing.plan import Change, plan
from goldseam.healing.preview import Preview, lines, preview
from goldseam.healing.projecting import request_reprojections
from goldseam.healing.report import Healing, healings
from goldseam.healing.request import Request, Typed, checked, parsed_id
from goldseam.runtime.application import Goldseam

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_EVENT = "event"


class _EventFirst(click.Group):
    """A group whose first argument may be an event id instead of a verb."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """``goldseam heal ID --set ...`` is ``goldseam heal event ID --set ...``."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [_EVENT, *args]
        return super().parse_args(ctx, args)


@click.group(cls=_EventFirst)
def group() -> None:
    """Correct wrong events: goldseam heal EVENT_ID --set amount=100 --reason ... --ticket ...

    --app module:attribute is a Goldseam application, one projection or a list of them; --app
    module alone is enough where only the event classes are needed.
    """


def _app_options(function: F) -> F:
    """``--app``, ``--store`` and ``--json``."""
    needed = click.option("--app", "app", required=True, metavar="MODULE[:ATTRIBUTE]")
    return needed(store_option(json_option(function)))


def _request_options(function: F) -> F:
    """What every correction says."""
    setting = click.option(
        "--set", "settings", multiple=True, required=True, metavar="FIELD=VALUE",
        help="The right value of a field; may be given several times.",
    )  # fmt: skip
    reason = click.option("--reason", required=True, help="Why it is wrong; kept for ever.")
    ticket = click.option("--ticket", required=True, help="Where that is discussed: JIRA-567.")
    return setting(reason(ticket(_by_option(function))))


def _by_option(function: F) -> F:
    who = click.option("--by", default=getpass.getuser, help="Who does this; else the login name.")
    return who(function)


@group.command(_EVENT, hidden=True)
@click.argument("event_id")
@_request_options
@_app_options
@click.option("--aggregate", multiple=True, metavar="MODULE:ATTRIBUTE", help="Show its state too.")
@click.option("--dry-run", is_flag=True, help="Show what would change and append nothing.")
@click.option("--yes", is_flag=True, help="Append without asking.")
def event(
    event_id: str,
    settings: Sequence[str],
    reason: str,
    ticket: str,
    by: str,
    app: str,
    store: str | None,
    as_json: bool,
    aggregate: Sequence[str],
    dry_run: bool,
    yes: bool,
) -> None:
    """Correct the event EVENT_ID, or the correction of that id. Exit code 4: refused."""
    request = _request(event_id, settings, reason, ticket, by)
    application, kinds = _application(app, store), [loaded(one) for one in aggregate]
    if not (dry_run or yes or sys.stdin.isatty()):
        raise click.UsageError("nobody is here to be asked; add --yes, or --dry-run to look first")

    async def work(opened: Goldseam) -> None:
        done, shown = await healed_before(opened.store, request), None
        if done is None:
            planned = await plan(opened.store, request)
            shown = await preview(
                opened.store,
                planned,
                aggregates=kinds,
                projections=list(opened.projections.values()),
            )
            if not as_json:
                click.echo("\n".join(lines(shown)))
            if not dry_run and _agreed(yes):
                done = await heal(
                    opened.store, request.event_id, request.changes,
                    reason=reason, ticket=ticket, corrected_by=by,
                )  # fmt: skip
        rebuilt = [] if done is None else await _reproject(opened)
        _show_done(shown, done, rebuilt, as_json)

    _with(application, work)


def _agreed(yes: bool) -> bool:
    return yes or click.confirm("append this correction?", err=True)


def _show_done(
    shown: Preview | None, done: Healing | None, rebuilt: Sequence[str], as_json: bool
) -> None:
    if as_json:
        show_json({"preview": _plain(shown), "healing": _plain(done), "reprojecting": rebuilt})
        return
    if done is None:
        click.echo("nothing was appended", err=True)
        return
    before = " before" if done.replayed else ""
    click.echo(f"healed{before}: correction {done.correction_id}, position {done.position}")
    for name in rebuilt:
        click.echo(f"projection {name} is being rebuilt beside its live tables", err=True)


@group.command()
@_app_options
@click.option("--after", type=click.IntRange(min=0), default=0, help="Positions above this one.")
@click.option("--limit", type=click.IntRange(min=1), help="Stop after so many.")
def report(app: str, store: str | None, as_json: bool, after: int, limit: int | None) -> None:
    """Every correction in the log: what, before, after, why, who, who approved, when."""

    async def work(opened: Goldseam) -> list[Healing]:
        found = []
        async for one in healings(opened.store, after=after):
            found.append(one)
            if len(found) == limit:
                break
        return found

    found = _with(_application(app, store), work)
    if as_json:
        show_json([_plain(one) for one in found])
        return
    header = ("when", "stream", "type", "change", "reason", "ticket", "by", "approved by", "event")
    show_table(header, [_line(one) for one in found])


def _line(one: Healing) -> tuple[object, ...]:
    return (
        one.recorded_at, one.stream, one.original_type, _changes(one.changes), one.reason,
        one.ticket, one.corrected_by, one.approved_by or "-", one.original_id,
    )  # fmt: skip


def _changes(changes: Sequence[Change]) -> str:
    return ", ".join(f"{one.field}: {one.before} -> {one.after}" for one in changes)


@group.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_app_options
@_by_option
@click.option("--ticket", default="", help="For rows that have none of their own.")
@click.option("--dry-run", is_flag=True, help="Check each row and append nothing.")
def bulk(
    file: Path, app: str, store: str | None, as_json: bool, by: str, ticket: str, dry_run: bool
) -> None:
    """Correct every row of the CSV FILE; run it again after a kill. Exit code 1: some refused.

    Columns: event_id,field,value,reason,ticket, or event_id,reason,ticket and one for each field.
    """

    async def work(opened: Goldseam) -> list[BulkResult]:
        with file.open(encoding="utf-8", newline="") as opened_file:
            rows = read_rows(opened_file, by, ticket)
        found = []
        async for one in heal_all(opened.store, rows, dry_run=dry_run):
            found.append(one)
            if not as_json:
                click.echo(f"{one.line}\t{one.event_id}\t{one.outcome}\t{_said(one)}")
        if any(one.outcome in ("healed", "already done") for one in found) and not dry_run:
            await _reproject(opened)
        return found

    found = _with(_application(app, store), work)
    if as_json:
        show_json([_plain(one) for one in found])
    refused = sum(one.outcome == "refused" for one in found)
    click.echo(f"{len(found)} event(s), {refused} refused", err=True)
    sys.exit(PROBLEMS if refused else 0)


def _said(one: BulkResult) -> str:
    return one.why or _changes(one.changes)


@group.command()
@click.argument("event_id")
@_request_options
@_app_options
@click.option("--expires-hours", type=click.FloatRange(min=0, min_open=True), default=168.0)
def propose(
    event_id: str,
    settings: Sequence[str],
    reason: str,
    ticket: str,
    by: str,
    app: str,
    store: str | None,
    as_json: bool,
    expires_hours: float,
) -> None:
    """Ask a second person to approve a correction."""
    request = _request(event_id, settings, reason, ticket, by)
    found = _with(
        _application(app, store),
        lambda o: make_proposal(o.store, request, expires_seconds=expires_hours * 3600),
    )
    if as_json:
        show_json(_plain(found))
    else:
        click.echo(found.id)
        click.echo(f"a second person now runs: goldseam heal approve {found.id}", err=True)


@group.command()
@click.argument("proposal")
@_app_options
@_by_option
def approve(proposal: str, app: str, store: str | None, as_json: bool, by: str) -> None:
    """Append what PROPOSAL says, as a second person."""

    async def work(opened: Goldseam) -> tuple[Healing, list[str]]:
        done = await approve_proposal(opened.store, proposal, approved_by=by)
        return done, await _reproject(opened)

    done, rebuilt = _with(_application(app, store), work)
    _show_done(None, done, rebuilt, as_json)


@group.command()
@click.argument("proposal")
@_app_options
@_by_option
def decline(proposal: str, app: str, store: str | None, as_json: bool, by: str) -> None:
    """Take PROPOSAL away; nothing is appended."""
    found = _with(
        _application(app, store), lambda o: decline_proposal(o.store, proposal, declined_by=by)
    )
    if as_json:
        show_json(_plain(found))
    else:
        click.echo(f"declined {found.id}")


@group.command()
@_app_options
def pending(app: str, store: str | None, as_json: bool) -> None:
    """The proposals that wait for a second person."""
    found = _with(_application(app, store), lambda o: pending_proposals(o.store))
    if as_json:
        show_json([_plain(one) for one in found])
        return
    rows = [
        (one.id, one.event_id, ", ".join(f"{k}={v}" for k, v in one.changes.items()), one.reason,
         one.ticket, one.proposed_by)
        for one in found
    ]  # fmt: skip
    show_table(("proposal", "event", "set", "reason", "ticket", "by"), rows)


def _request(event_id: str, settings: Sequence[str], reason: str, ticket: str, by: str) -> Request:
    changes = {}
    for setting in settings:
        field, equals, text = setting.partition("=")
        if not equals or not field or field in changes:
            raise click.UsageError(f"--set {field!r} is not FIELD=VALUE, or is given twice")
        changes[field] = Typed(text)
    return run(_checked(Request(_uuid(event_id), changes, reason, ticket, by)))


def _uuid(event_id: str) -> UUID:
    async def parsed() -> UUID:
        return parsed_id(event_id)

    return run(parsed())


async def _checked(request: Request) -> Request:
    return checked(request)


async def _reproject(opened: Goldseam) -> list[str]:
    return await request_reprojections(opened.store, opened.projections.values())


def _with(application: Goldseam, work: Callable[[Goldseam], Coroutine[Any, Any, T]]) -> T:
    async def inside() -> T:
        async with application:
            return await work(application)

    return run(inside())


def _application(app: str, store: str | None) -> Goldseam:
    """The application that ``--app`` names, to read and write with, running no projection."""
    if ":" in app:
        return steering(app, store)
    imported(app)
    return Goldseam(required_store(store), run=False)


def _plain(value: object) -> Any:
    return msgspec.to_builtins(value, enc_hook=str)
