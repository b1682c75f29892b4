"""``goldseam privacy``: forget people, export what is known about them, prove that it is gone."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from goldseam.cli.console import (
    PROBLEMS,
    json_option,
    run,
    show_json,
    show_table,
)
from goldseam.cli.with_keys import (
    Doors,
    Opened,
    application_of,
    doors,
    key_urls,
    opened_with,
    with_keys,
)
from goldseam.forgetting.export import Exporter
from goldseam.forgetting.forget import Forgetting, Report
from goldseam.forgetting.read_models import names_about_people
from goldseam.privacy.key_store import Subject
from goldseam.privacy.providers import open_provider
from goldseam.resilience.clock import SystemClock
from goldseam.runtime.settings import (
    key_provider_token,
)
from goldseam.runtime.wiring import open_database

F = TypeVar("F", bound=Callable[..., Any])

_OWNER_ONLY = 0o600
_SIGNING_SUFFIX = "-signing-key"


@click.group()
def group() -> None:
    """Forget people, export what is known about them, prove that it is gone.

    The key store is --keys URL or GOLDSEAM_KEYS, who wraps the keys --key-provider URL or
    GOLDSEAM_KEY_PROVIDER. Subjects are the ids that the events name.
    """


@group.command()
@click.argument("subjects", nargs=-1, required=True)
@click.option("--reason", required=True, help="Why; kept for ever, so nothing personal.")
@click.option("--actor", help="Who asked for it, by an id.")
@click.option("--no-read-models", is_flag=True, help="This store has no projections.")
@click.option("--markers", type=click.Path(path_type=Path), help="First write the clear values.")
@doors
def forget(
    given: Doors,
    subjects: tuple[str, ...],
    reason: str,
    actor: str | None,
    no_read_models: bool,
    markers: Path | None,
) -> None:
    """Forget SUBJECTS: destroy their keys, tell the log, make the read models anew.

    --markers writes their clear values to a new file that only you can read, for `privacy prove`;
    delete it afterwards. If something fails the erasure stays recorded: run `privacy resume`.
    """
    _needs_read_models(given, no_read_models)

    async def work(opened: Opened) -> Report:
        if markers is not None:
            await _write_markers(markers, opened, subjects)
        return await _forgetting(opened).forget(subjects, reason, actor=actor)

    _show_report(given, with_keys(given, work))


@group.command()
@click.option("--no-read-models", is_flag=True, help="This store has no projections.")
@doors
def resume(given: Doors, no_read_models: bool) -> None:
    """Finish every erasure that is recorded and not complete; may find nothing to do."""
    _needs_read_models(given, no_read_models)
    _show_report(given, with_keys(given, lambda opened: _forgetting(opened).resume()))


@group.command()
@click.argument("subject")
@doors
def readmit(given: Doors, subject: str) -> None:
    """Let SUBJECT have a new key; what was written before stays unreadable."""

    async def work(opened: Opened) -> None:
        await opened.vault.readmit(given.tenant, subject)

    with_keys(given, work)
    _show(given, {"readmitted": 1}, "re-admitted; what was written before stays unreadable")


@group.command()
@doors
def rotate(given: Doors) -> None:
    """Wrap all keys under a new epoch key and destroy the old one."""

    async def work(opened: Opened) -> int:
        await opened.vault.rotate_epoch()
        return (await opened.vault.status()).epochs

    _show(given, {"epochs": with_keys(given, work)}, "rotated; the old epoch key is destroyed")


@group.command()
@click.argument("subject", required=False)
@doors
def status(given: Doors, subject: str | None) -> None:
    """How many subjects there are and what is left to do; or where SUBJECT stands.

    Exit code 1: an erasure is not complete.
    """

    async def work(opened: Opened) -> tuple[dict[str, Any], int]:
        left = await _forgetting(opened).left()
        if subject is None:
            return {**(await opened.vault.status())._asdict(), "left": len(left)}, len(left)
        found = await opened.vault.subject(given.tenant, subject)
        steps = next((one.done for one in left if one.subject == subject), None)
        known = {"state": "unknown"} if found is None else msgspec.structs.asdict(found)
        return {**known, "complete": steps is None}, steps is not None

    found, open_ = with_keys(given, work)
    _show(given, found, "\n".join(f"{name:<16}{value}" for name, value in found.items()))
    sys.exit(PROBLEMS if open_ or found.get("open_erasures") else 0)


@group.command()
@click.option("--state", type=click.Choice(["active", "forgotten", "readmitted"]))
@click.option("--after", default="", help="Begin behind this subject; a page has 1,000.")
@doors
def subjects(given: Doors, state: Any, after: str) -> None:
    """One page of the subjects that have or had a key, by name."""

    async def work(opened: Opened) -> list[Subject]:
        return await opened.vault.subjects(given.tenant, state, after)

    found = with_keys(given, work)
    if given.as_json:
        show_json([msgspec.structs.asdict(one) for one in found])
    else:
        rows = [(one.subject, one.state, one.key_version, one.steps) for one in found]
        show_table(("subject", "state", "key version", "erasure"), rows)


@group.command()
@click.argument("subject")
@doors
def export(given: Doors, subject: str) -> None:
    """Everything that is known about SUBJECT: one line of JSON for each event, then a summary.

    With --json one document. Event classes (--app or --module) also find events whose personal
    fields are empty.
    """

    async def work(opened: Opened) -> None:
        hosted = opened.projections.values()
        read_models = names_about_people((one.projection for one in hosted), opened.store.registry)
        count = 0
        if given.as_json:
            click.echo('{"events": [')
        async for event in Exporter(opened.store, opened.vault).events(subject):
            comma = "," if given.as_json and count else ""
            click.echo(comma + msgspec.json.encode(event).decode())
            count += 1
        summary = {"subject": subject, "count": count, "read_models": read_models}
        shown = json.dumps(summary, ensure_ascii=False)
        click.echo(f"], {shown[1:]}" if given.as_json else shown)

    with_keys(given, work)


@group.command()
@click.argument("subjects", nargs=-1, required=True)
@click.option("--markers", type=click.File("rb"), help="One clear value a line; - is stdin.")
@click.option("--also", multiple=True, type=click.Path(path_type=Path), help="Search this too.")
@click.option("--data-directory", type=click.Path(path_type=Path), help="PostgreSQL's.")
@click.option("--signing-key", type=click.Path(path_type=Path), help="Made if it is missing.")
@doors
def prove(
    given: Doors,
    subjects: tuple[str, ...],
    markers: Any,
    also: tuple[Path, ...],
    data_directory: Path | None,
    signing_key: Path | None,
) -> None:
    """Search everything for what is known of SUBJECTS, and sign what was found.

    The certificate goes to stdout. Exit code 1: something is left.
    """
    from goldseam.forgetting.certificate import issue
    from goldseam.forgetting.prove import Findings, Prover
    from goldseam.forgetting.signing import open_signer

    values = [] if markers is None else _lines(markers.read())
    keys, provider = key_urls(given, application_of(given))
    signer_path = signing_key or _beside(provider)

    async def work(opened: Opened) -> Findings:
        key_database = open_database(keys)
        try:
            wrapper = open_provider(provider, SystemClock(), token=key_provider_token())
            hosted = opened.projections.values()
            prover = Prover(
                opened.store,
                opened.vault,
                key_database,
                wrapper,
                read_models=[one.database for one in hosted],
                data_directory=data_directory,
            )
            return await prover.prove(subjects, values, also=also)
        finally:
            await key_database.close()

    async def signed() -> Any:
        async with opened_with(given) as opened:
            return issue(await work(opened), open_signer(signer_path), os.urandom)

    certificate = run(signed())
    click.echo(msgspec.json.format(msgspec.json.encode(certificate), indent=2).decode())
    verdict = certificate.certificate.verdict
    click.echo(f"{verdict}; signed by {certificate.public_key}", err=True)
    sys.exit(PROBLEMS if verdict == "something is left" else 0)


@group.command("verify-certificate")
@click.argument("file", type=click.File("rb"))
@click.option("--public-key", help="Who must have signed it, in base64.")
@click.option("--subject", "subjects", multiple=True, help="Whom it must be about.")
@json_option
def verify_certificate_command(
    file: Any, public_key: str | None, subjects: tuple[str, ...], as_json: bool
) -> None:
    """Whether the certificate in FILE is what was signed. Exit code 1: it is not."""
    from goldseam.forgetting.certificate import Certificate, verify_certificate

    async def work() -> Certificate:
        return verify_certificate(file.read(), public_key=public_key, subjects=subjects)

    found = run(work())
    if public_key is None:
        click.echo("goldseam: compare its key with the one you know: --public-key", err=True)
    facts = {"verdict": found.certificate.verdict, "public_key": found.public_key}
    if as_json:
        show_json(facts)
    else:
        click.echo("\n".join(f"{name:<12}{value}" for name, value in facts.items()))


def _needs_read_models(given: Doors, without: bool) -> None:
    if given.app is None and not without:
        raise click.UsageError(
            "read models keep what they have read: name their application with --app "
            "module:attribute, or say --no-read-models"
        )


def _forgetting(opened: Opened) -> Forgetting:
    return Forgetting(opened.store, opened.vault, opened.projections)


async def _write_markers(path: Path, opened: Opened, subjects: tuple[str, ...]) -> None:
    """The clear values, one a line of JSON, in a file that is new and its owner's alone."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        handle = os.open(path, flags, _OWNER_ONLY)
    except FileExistsError:
        raise click.UsageError(f"--markers {path} exists already; name a new file") from None
    with os.fdopen(handle, "wb") as file:
        exporter, seen = Exporter(opened.store, opened.vault), set[str]()
        for subject in subjects:
            async for value in exporter.values(subject):
                if value not in seen:
                    seen.add(value)
                    file.write(msgspec.json.encode(value) + b"\n")


def _lines(data: bytes) -> list[str]:
    """Values, one a line: as JSON texts, as --markers writes them, or as they are."""
    found = []
    for line in data.decode().splitlines():
        if line.startswith('"') and line.endswith('"') and len(line) > 1:
            found.append(str(json.loads(line)))
        elif line:
            found.append(line)
    return found


def _beside(provider: str) -> Path:
    """Where the signing key is unless said: beside the folder of a file provider."""
    if not provider.startswith("file://"):
        raise click.UsageError("say where the key is that signs: --signing-key FILE")
    return Path(provider.removeprefix("file://").rstrip("/") + _SIGNING_SUFFIX)


def _show_report(given: Doors, report: Report) -> None:
    _show(
        given,
        report._asdict(),
        f"{report.subjects} erasure(s) complete; {report.snapshots} snapshot(s) deleted, read "
        f"models made anew: {', '.join(report.read_models) or 'none'}",
    )
    for note in report.notes:
        click.echo(f"goldseam: {note}", err=True)


def _show(given: Doors, value: object, text: str) -> None:
    if given.as_json:
        show_json(value)
    else:
        click.echo(text)
