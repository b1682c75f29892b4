"""`goldseam failures list|show`: the failure catalogue at the command line."""

from __future__ import annotations

import json
from importlib.resources import files

import click
from click.shell_completion import CompletionItem

from goldseam.failures import SIDES, STATUSES, Failure, UnknownFailure, catalogue, find

_TEXTS = ("guide", "cause", "impact", "mitigation")


class Slug(click.ParamType[Failure]):
    """A slug of the catalogue; a mistyped one is a usage error (exit 2) with a suggestion."""

    name = "slug"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Failure:
        """Find the entry, or fail as click does for wrong usage."""
        if isinstance(value, Failure):
            return value
        try:
            return find(str(value))
        except UnknownFailure as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the slugs that start like what is typed."""
        return [CompletionItem(slug) for slug in catalogue() if slug.startswith(incomplete)]


@click.group(name="failures")
def group() -> None:
    """What can fail, and what mends it: the failure catalogue."""


@group.command(name="list")
@click.option("--side", type=click.Choice(SIDES), help="Only failures of this side.")
@click.option("--status", type=click.Choice(STATUSES), help="Only covered, or only planned ones.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_failures(side: str | None, status: str | None, as_json: bool) -> None:
    """List every failure mode and practice, covered or planned."""
    chosen = [
        entry
        for entry in catalogue().values()
        if side in (None, entry.side) and status in (None, entry.status)
    ]
    if as_json:
        click.echo(json.dumps([entry.as_dict() for entry in chosen], indent=2, ensure_ascii=False))
        return
    width = max((len(entry.slug) for entry in chosen), default=0)
    for entry in chosen:
        colour = "green" if entry.status == "covered" else "yellow"
        status_shown = click.style(f"{entry.status:<7}", fg=colour)
        click.echo(f"{entry.slug:<{width}}  {status_shown}  {entry.severity}  {entry.title}")
    covered = sum(entry.status == "covered" for entry in chosen)
    click.echo(f"{len(chosen)} entries, {covered} covered", err=True)


@group.command(name="show")
@click.argument("failure", metavar="SLUG", type=Slug())
@click.option("--runbook", is_flag=True, help="Print the runbook too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_failure(failure: Failure, runbook: bool, as_json: bool) -> None:
    """Show one failure: cause, impact, mitigation, and where each of them is."""
    text = _runbook(failure) if runbook else None
    if as_json:
        shown = failure.as_dict() | ({"runbook_text": text} if runbook else {})
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    click.secho(f"{failure.slug}  {failure.title}", bold=True)
    _line("status", f"{failure.status}, {failure.severity}, a {failure.kind}")
    for name in _TEXTS:
        _line(name, getattr(failure, name))
    if failure.related:
        _line("related", ", ".join(failure.related))
    for name, value in failure.pointers.items():
        _line(name, value)
    for name, reason in failure.not_applicable.items():
        _line(name, f"none: {reason}")
    if text is not None:
        click.echo(f"\n{text}")
    elif runbook:
        click.echo("no runbook yet: the failure is planned, not covered", err=True)


def _line(name: str, value: str) -> None:
    click.echo(f"{name:<11} {value}")


def _runbook(failure: Failure) -> str | None:
    if failure.runbook is None:
        return None
    source = files("goldseam.governance") / "runbooks" / f"{failure.runbook}.md"
    return source.read_text(encoding="utf-8")
