"""The nouns of the command line, loaded lazily so that each command starts quickly."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

import click

NOUNS = {
    "broker": "Is the broker fit to lose nothing, and how long will its disk last?",
    "consumers": "Watch, steer and lint consumers: lag, offsets, advice to scale.",
    "dlq": "Dead letters: by cause; redrive in order, discard, park by hand.",
    "doctor": "Say in one screen whether this store is safe and ready.",
    "events": "Lint event names: the litmus test of the guide.",
    "heal": "Correct wrong events by appending their corrections.",
    "ledger": "Prove that log = relayed = topic = applied, or name what is not.",
    "migrate": "Copy a store through a transform, and cut over.",
    "outbox": "How far the log is relayed to its topics.",
    "privacy": "Forget people, and prove it; export what is known of them.",
    "failures": "Every failure of the guide: cause, cure, test, runbook.",
    "projections": "Watch and steer projections.",
    "run": "Run an application's relay, consumers, projections, sagas.",
    "saga": "Look at sagas of both kinds; retry, turn back, resume, draw them.",
    "schema": "Judge event classes against the store before they are deployed.",
    "serve": "Serve a store and its read models over HTTP.",
    "store": "Create, upgrade, check and verify a store.",
    "stream": "Read, list, tail and append streams.",
}
"""Each noun with its one line of help; its module is ``goldseam.cli.<noun>``."""


class Nouns(click.Group):
    """Finds a noun's module only when it is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The nouns by name."""
        return sorted(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The group or command of one noun."""
        if cmd_name not in NOUNS:
            return None
        module = import_module(f"goldseam.cli.{cmd_name}")
        found = getattr(module, "group", None) or module.command
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the nouns without importing any of them."""
        with formatter.section("Nouns"):
            formatter.write_dl(sorted(NOUNS.items()))


def _version() -> str:
    try:
        return version("goldseam")
    except PackageNotFoundError:
        return "unknown (run from a checkout)"


@click.group(cls=Nouns, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_version(), prog_name="goldseam")
def cli() -> None:
    """Event sourcing where every failure has a name, a cure and a test.

    The store is --store URL or GOLDSEAM_STORE, for example sqlite:///shop.db.
    Exit codes: 0 ok, 1 found problems, 2 usage, 3 unreachable, 4 refused.
    """
