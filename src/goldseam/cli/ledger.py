"""``goldseam ledger``: prove that log = relayed = topic = applied, or name what is not."""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec

from goldseam.cli.applications import application
from goldseam.cli.console import PROBLEMS, json_option, run, show_json, show_table
from goldseam.governance.ledger import NAMED_MAX, Accounts, ConsumerAccounts, Ledger
from goldseam.runtime.reconciling import reconcile_application

ALL = 1_000_000_000


@click.command()
@click.argument("app_path", metavar="MODULE:APP")
@click.option("--store", metavar="URL", help="Another store than the application names.")
@click.option("--broker", metavar="URL", help="Another broker than the application names.")
@click.option("--all", "everything", is_flag=True, help="Name every id, not the first hundred.")
@json_option
def command(
    app_path: str, store: str | None, broker: str | None, everything: bool, as_json: bool
) -> None:
    """Account for every event of MODULE:APP: in the log, on its topics, applied by consumers.

    Only what the relay has passed is owed; what consumers have not read yet is lag, not loss.
    Exit code 1: something is missing, doubled, altered or out of order, and its id is named.
    """
    chosen = application(app_path).running(store_url=store, broker=broker, parts=())
    found = run(reconcile_application(chosen, named_max=ALL if everything else NAMED_MAX))
    if as_json:
        show_json({"balanced": found.balanced, **msgspec.to_builtins(found)})
    else:
        _show(found)
    sys.exit(0 if found.balanced else PROBLEMS)


def _show(found: Ledger) -> None:
    accounts = found.accounts
    owed = accounts.in_log - accounts.kept_inside
    click.echo(f"relayed: {accounts.in_log} event(s), to position {accounts.position} of the log")
    click.echo(f"owed to topics: {owed}; there: {accounts.on_topics}; {_rest(accounts)}")
    if found.consumers:
        header = ("consumer", "owed", "applied", "parked", "discarded", "waiting", "missing",
                  "doubled")  # fmt: skip
        show_table(header, [_line(one) for one in found.consumers])
    for what, ids in _findings(found):
        click.echo(f"{what}: {' '.join(ids)}")
    click.echo("the ledger balances" if found.balanced else "THE LEDGER DOES NOT BALANCE")


def _rest(one: Accounts) -> str:
    said = {
        "missing": one.missing,
        "altered": one.altered,
        "out of order": one.out_of_order,
        "sent again": one.resent,
        "expired": one.expired,
        "kept inside": one.kept_inside,
        "of other senders": one.foreign,
    }
    return ", ".join(f"{count} {words}" for words, count in said.items())


def _line(one: ConsumerAccounts) -> tuple[Any, ...]:
    return (
        one.consumer, one.owed, one.applied, one.parked, one.discarded, one.waiting, one.missing,
        one.doubled,
    )  # fmt: skip


def _findings(found: Ledger) -> list[tuple[str, tuple[str, ...]]]:
    accounts = found.accounts
    said = [
        ("missing on the topics", accounts.missing_ids),
        ("altered on the topics", accounts.altered_ids),
        ("out of order on the topics", accounts.out_of_order_ids),
    ]
    for one in found.consumers:
        said += [
            (f"not applied by {one.consumer}", one.missing_ids),
            (f"applied and parked by {one.consumer}", one.doubled_ids),
        ]
    return [(what, ids) for what, ids in said if ids]
