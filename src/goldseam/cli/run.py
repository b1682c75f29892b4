"""``goldseam run``: an application's relay, consumers and projections, supervised."""

from __future__ import annotations

import asyncio
import signal
import sys

import click

from goldseam.broker.errors import BrokerUnreachable
from goldseam.cli.applications import application as named_application
from goldseam.cli.console import PROBLEMS, json_option, run, show_json
from goldseam.errors import StoreUnavailable
from goldseam.runtime.application import PARTS, Goldseam, Part

LOOK_SECONDS = 1.0
"""How often failures are looked for and said."""


@click.command()
@click.argument("app_path", metavar="MODULE:APP")
@click.option("--store", metavar="URL", help="Another store than the application names.")
@click.option("--broker", metavar="URL", help="Another broker than the application names.")
@click.option(
    "--only",
    "parts",
    multiple=True,
    type=click.Choice(PARTS),
    help="Run only these parts here, others elsewhere; may be repeated.",
)
@click.option("--once", is_flag=True, help="Stop when everything has caught up.")
@json_option
def command(
    app_path: str,
    store: str | None,
    broker: str | None,
    parts: tuple[Part, ...],
    once: bool,
    as_json: bool,
) -> None:
    """Run MODULE:APP until it is told to stop (SIGTERM, SIGINT).

    What fails is started again and said on stderr; what is being applied is finished before the
    process ends. Start it as often as you like: consumers share their partitions, of relays and
    projections one is active and the others stand by.
    """
    named = named_application(app_path)
    application = named.running(store_url=store, broker=broker, parts=parts or PARTS)
    clean, status = run(_run(application, once))
    if as_json:
        show_json({"stopped_in_time": clean, **status})
    if not clean:
        click.echo("goldseam: stopped late: some work was cut off and will be repeated", err=True)
        sys.exit(PROBLEMS)


async def _run(application: Goldseam, once: bool) -> tuple[bool, dict[str, object]]:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await application.open()
    try:
        jobs = ", ".join(application.jobs) or "nothing: it has no projections, consumers, relay"
        click.echo(f"running: {jobs}", err=True)
        await _until_stopped(application, stopping, once)
        status = await application.status()
    finally:
        clean = await application.close()
    return clean, status


async def _until_stopped(application: Goldseam, stopping: asyncio.Event, once: bool) -> None:
    said: dict[str, str] = {}
    while not stopping.is_set():
        failures = dict(application.failures)
        for name, words in failures.items():
            if said.get(name) != words:
                click.echo(f"{name}: {words}", err=True)
        for name in said.keys() - failures.keys():
            click.echo(f"{name}: well again", err=True)
        said = failures
        if once and await _caught_up(application):
            click.echo("caught up", err=True)
            return
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await stopping.wait()
        except TimeoutError:
            pass


async def _caught_up(application: Goldseam) -> bool:
    """An outage is waited for, like everywhere in a running application."""
    try:
        return await application.caught_up()
    except (BrokerUnreachable, StoreUnavailable):
        return False
