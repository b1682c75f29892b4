"""``goldseam dlq``: look at dead letters, redrive them in order, or give them up."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar, get_args

import click
import msgspec

from goldseam.broker.record import Partition, Received
from goldseam.cli.console import (
    PROBLEMS,
    required_store,
    run,
    show_json,
    show_table,
)
from goldseam.cli.dlq_options import (
    choice_of,
    choice_options,
    database_options,
    order_of,
    order_options,
    rate_of,
)
from goldseam.consumers.dead_letters import actions, by_hand, choice, redrive
from goldseam.consumers.dead_letters.choice import PAGE_MAX
from goldseam.consumers.dead_letters.letter import Letter, State
from goldseam.consumers.dead_letters.plain import plain_letter
from goldseam.consumers.dead_letters.redrive import LETTERS_MAX
from goldseam.consumers.dead_letters.store import apply_tables
from goldseam.database.connection import Connection
from goldseam.resilience.clock import MICROSECONDS_PER_SECOND, SystemClock
from goldseam.runtime.brokers import open_broker
from goldseam.runtime.settings import BROKER_VARIABLE, broker_url
from goldseam.runtime.wiring import open_database

IMPORT_MAX = 1_000
"""Records of a dead letter topic taken in at once."""

T = TypeVar("T")
Work = Callable[[Connection], Coroutine[Any, Any, T]]

_COLUMNS = (
    "letter", "state", "consumer", "sequence", "type", "reason", "error", "tries", "redrives",
)  # fmt: skip
_GROUP_COLUMNS = (
    "group", "consumer", "error", "type", "where", "letters", "behind", "first letter",
)  # fmt: skip


@click.group()
def group() -> None:
    """Dead letters: what a consumer could not apply, and what waits behind it.

    They are in the consumer's own database: --database URL, or the store's. What is asked for is
    carried out by the running consumer, within a second or two.
    """


@group.command("list")
@choice_options
@click.option("--state", type=click.Choice(("open", "all", *get_args(State))), default="open")
@click.option("--after", default=0, help="Letters with higher numbers: the next page.")
@click.option("--limit", default=100, type=click.IntRange(1, PAGE_MAX))
@database_options
def list_(
    database: str | None, store: str | None, as_json: bool, state: str, after: int, limit: int,
    **filters: str | None,
) -> None:  # fmt: skip
    """Letters, oldest first, a page at a time. Exit code 1: there are some."""
    wanted = choice_of(filters, None if state == "all" else state)

    async def work(connection: Connection) -> tuple[list[Any], int]:
        found = await choice.listed(connection, wanted, after, limit)
        return found, await choice.count(connection, wanted)

    letters, total = _with(database, store, work)
    following = letters[-1].id if len(letters) == limit else None
    if as_json:
        plain = [plain_letter(one) for one in letters]
        show_json({"letters": plain, "total": total, "next": following})
    else:
        show_table(_COLUMNS, [_line(one) for one in letters])
        if following is not None:
            click.echo(f"{total} in all; more: --after {following}", err=True)
    sys.exit(PROBLEMS if letters else 0)


@group.command()
@choice_options
@database_options
def groups(database: str | None, store: str | None, as_json: bool, **filters: str | None) -> None:
    """Letters by cause: class of error, innermost function of the handler, type of event.

    Exit code 1: there are some.
    """
    wanted = choice_of(filters)
    found = _with(database, store, lambda c: choice.groups(c, wanted))
    if as_json:
        show_json([msgspec.to_builtins(one) for one in found])
    else:
        rows = [
            (one.fingerprint, one.consumer, one.error_class, one.type, one.frame, one.letters,
             one.behind, one.first_letter)
            for one in found
        ]  # fmt: skip
        show_table(_GROUP_COLUMNS, rows)
    sys.exit(PROBLEMS if found else 0)


@group.command()
@click.argument("letter", type=int)
@click.option("--payload", is_flag=True, help="Show key, value and headers as they are stored.")
@database_options
def show(
    database: str | None, store: str | None, as_json: bool, letter: int, payload: bool
) -> None:
    """One letter: where it was, why it failed, what was done with it."""

    async def work(connection: Connection) -> tuple[Any, Any]:
        found = await choice.one(connection, letter)
        return found, await actions.of_letter(connection, letter)

    found, done = _with(database, store, work)
    shown = plain_letter(found, payload=payload, details=True)
    shown["actions"] = [msgspec.to_builtins(one) for one in done]
    if as_json:
        show_json(shown)
    else:
        _show(shown)


@group.command("redrive")
@click.argument("letters", type=int, nargs=-1)
@choice_options
@order_options
@click.option("--dry-run", is_flag=True, help="Say what would be redriven, by reason.")
@click.option("--rate", help="Letters a second, as 10/s; as fast as possible unless said.")
@click.option("--max", "most", default=LETTERS_MAX, type=click.IntRange(1, LETTERS_MAX))
@click.option("--force", is_flag=True, help="Also letters that failed their redrive too often.")
@database_options
def redrive_(
    database: str | None, store: str | None, as_json: bool, letters: tuple[int, ...], who: str,
    why: str, dry_run: bool, rate: str | None, most: int, force: bool, **filters: str | None,
) -> None:  # fmt: skip
    """Apply LETTERS, or those that the filters mean, with today's code, in order.

    A filter means whole sequences, by their first letter; a sequence stops again at the next
    letter that fails. Exit code 4: all of it is quarantined and wants --force.
    """
    order, wanted, speed = order_of(who, why), choice_of(filters), rate_of(rate)

    async def work(connection: Connection) -> list[redrive.Asked]:
        if letters:
            return [
                await redrive.redrive_letter(connection, one, order, force=force, dry_run=dry_run)
                for one in letters
            ]
        asked = await redrive.redrive(
            connection, wanted, order, rate=speed, most=most, force=force, dry_run=dry_run
        )
        return [asked]

    found = _with(database, store, work)
    if as_json:
        show_json([{"dry_run": dry_run, **msgspec.to_builtins(one)} for one in found])
    else:
        for one in found:
            click.echo(_asked_text(one))


@group.command("discard")
@click.argument("letters", type=int, nargs=-1)
@choice_options
@order_options
@click.option("--dry-run", is_flag=True, help="Say what would be given up.")
@click.option("--max", "most", default=LETTERS_MAX, type=click.IntRange(1, LETTERS_MAX))
@database_options
def discard_(
    database: str | None, store: str | None, as_json: bool, letters: tuple[int, ...], who: str,
    why: str, dry_run: bool, most: int, **filters: str | None,
) -> None:  # fmt: skip
    """Give up LETTERS of --consumer, or all that the filters mean: they are never applied.

    What waited behind them goes on waiting; redrive it when its event may be applied without.
    """
    order, wanted = order_of(who, why), choice_of(filters)
    if not letters and all(v is None for k, v in filters.items() if k != "consumer"):
        raise click.UsageError("name letters or a filter: discard does not take a whole consumer")
    done = _with(
        database, store,
        lambda c: redrive.discard(
            c, wanted, order, letters=letters, most=most, dry_run=dry_run
        ),
    )  # fmt: skip
    if as_json:
        show_json({"dry_run": dry_run, **msgspec.to_builtins(done)})
        return
    word = "would discard" if dry_run else "discarded"
    click.echo(f"{word} {done.letters} letter(s) of {done.consumer}")
    if done.next_letters:
        numbers = " ".join(str(number) for number in done.next_letters)
        click.echo(f"next in their sequences: {numbers}; goldseam dlq redrive {numbers}")


@group.command()
@click.option("--consumer", required=True, help="Whose dead letter it becomes.")
@click.option("--topic", required=True)
@click.option("--partition", required=True, type=click.IntRange(0))
@click.option("--offset", required=True, type=click.IntRange(0))
@click.option("--sequence", help="What stops; the record's stream unless said.")
@click.option("--broker", metavar="URL", help=f"The broker; else {BROKER_VARIABLE}.")
@order_options
@database_options
def park(
    database: str | None, store: str | None, as_json: bool, consumer: str, topic: str,
    partition: int, offset: int, sequence: str | None, broker: str | None, who: str, why: str,
) -> None:  # fmt: skip
    """Make a dead letter of a record that stops its consumer; its stream waits, the rest flows."""
    order = order_of(who, why)
    received = run(_records(broker, topic, partition, offset, 1))
    letter = _with(
        database, store,
        lambda c: by_hand.park_by_hand(c, consumer, received[0], order, sequence),
    )  # fmt: skip
    if as_json:
        show_json(plain_letter(letter))
    else:
        click.echo(f"letter {letter.id}: {topic}/{partition} offset {offset} of {letter.sequence}")


@group.command("import")
@click.option("--consumer", required=True, help="Whose dead letters they become.")
@click.option("--topic", required=True, help="A dead letter topic of Connect, Spring or ours.")
@click.option("--partition", required=True, type=click.IntRange(0))
@click.option("--offset", default=0, type=click.IntRange(0), help="From here on (0).")
@click.option("--max", "most", default=IMPORT_MAX, type=click.IntRange(1, IMPORT_MAX))
@click.option("--broker", metavar="URL", help=f"The broker; else {BROKER_VARIABLE}.")
@order_options
@database_options
def import_(
    database: str | None, store: str | None, as_json: bool, consumer: str, topic: str,
    partition: int, offset: int, most: int, broker: str | None, who: str, why: str,
) -> None:  # fmt: skip
    """Take records of a dead letter topic in; their streams stop until they are redriven."""
    order = order_of(who, why)
    records = run(_records(broker, topic, partition, offset, most))
    letters = _with(database, store, lambda c: by_hand.take_in(c, consumer, records, order))
    if as_json:
        show_json([plain_letter(one) for one in letters])
    else:
        show_table(_COLUMNS, [_line(one) for one in letters])


@group.command()
@click.option("--consumer", help="Only this consumer's.")
@click.option("--after", default=0, help="Actions with higher numbers: the next page.")
@click.option("--limit", default=100, type=click.IntRange(1, PAGE_MAX))
@database_options
def audit(
    database: str | None, store: str | None, as_json: bool, consumer: str | None, after: int,
    limit: int,
) -> None:  # fmt: skip
    """Who redrove, discarded, parked or imported what, when and why."""
    found = _with(database, store, lambda c: actions.listed(c, consumer, after, limit))
    if as_json:
        show_json([msgspec.to_builtins(one) for one in found])
    else:
        rows = [
            (one.id, _time(one.at_us), one.consumer, one.what, one.letters, one.who, one.why)
            for one in found
        ]
        show_table(("action", "at", "consumer", "what", "letters", "who", "why"), rows)


def _with(database: str | None, store: str | None, work: Work[T]) -> T:
    """Run ``work`` in one transaction of the consumer's database."""
    url = database or required_store(store)

    async def inside() -> T:
        opened = open_database(url)
        try:
            await opened.transact(lambda c: apply_tables(c, SystemClock()))
            return await opened.transact(work)
        finally:
            await opened.close()

    return run(inside())


async def _records(
    broker: str | None, topic: str, partition: int, offset: int, most: int
) -> list[Received]:
    url = broker_url(broker)
    if url is None:
        raise click.UsageError(f"no broker: give --broker URL or set {BROKER_VARIABLE}")
    opened = open_broker(url)
    try:
        admin = await opened.admin()
        try:
            if most == 1:
                return [await by_hand.record_at(admin, topic, partition, offset)]
            return list(await admin.read(Partition(topic, partition), offset, most))
        finally:
            await admin.close()
    finally:
        await opened.close()


def _time(us: int) -> str:
    return datetime.fromtimestamp(us / MICROSECONDS_PER_SECOND, UTC).isoformat(timespec="seconds")


def _line(one: Letter) -> tuple[object, ...]:
    error = f"{one.error_class}: {one.error}" if one.error_class else "(queued)"
    return (
        one.id, one.state, one.consumer, one.sequence, one.type, one.reason, error, one.attempts,
        one.redrive_count,
    )  # fmt: skip


def _asked_text(one: redrive.Asked) -> str:
    reasons = ", ".join(f"{reason} {n}" for reason, n in one.reasons.items()) or "none"
    word = "would be redriven" if one.action is None else "will be redriven"
    text = f"{one.letters} letter(s) of {one.sequences} sequence(s) {word}: {reasons}"
    if one.seconds:
        text += f"; over {one.seconds:.1f} s"
    if one.quarantined:
        text += f"; {one.quarantined} sequence(s) are quarantined and want --force"
    return text


def _show(shown: dict[str, Any]) -> None:
    done, trace = shown.pop("actions"), shown.pop("trace")
    for key, value in shown.items():
        click.echo(f"{key:<18}{value}")
    for one in done:
        at = _time(one["at_us"])
        click.echo(f"{one['what']:<18}{at} by {one['who']}: {one['why']}")
    if trace:
        click.echo(trace.rstrip())
