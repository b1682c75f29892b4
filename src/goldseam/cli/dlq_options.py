"""The options that the commands of ``goldseam dlq`` share, and what they mean."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar, get_args

import click

from goldseam.cli.console import json_option, store_option
from goldseam.consumers.dead_letters.actions import Order
from goldseam.consumers.dead_letters.choice import Choice
from goldseam.consumers.dead_letters.letter import Reason
from goldseam.resilience.clock import MICROSECONDS_PER_SECOND, SystemClock

F = TypeVar("F", bound=Callable[..., Any])


def database_options(function: F) -> F:
    """``--database``, ``--store`` and ``--json``."""
    given = click.option("--database", metavar="URL", help="The consumer's database; else --store.")
    return given(store_option(json_option(function)))


def choice_options(function: F) -> F:
    """The filters of a :class:`Choice`."""
    options = [
        click.option("--consumer", help="Whose letters."),
        click.option("--stream", help="Only this sequence, usually a stream."),
        click.option("--type", "kind", help="Only events of this type."),
        click.option("--error-class", help="Only this class of error, as ValueError."),
        click.option("--parked-for", type=click.Choice(get_args(Reason)), help="Only this reason."),
        click.option("--group", "fingerprint", help="Only this group of `dlq groups`."),
        click.option("--topic", help="Only records of this topic."),
        click.option("--text", help="Only errors whose text contains this."),
        click.option("--since", help="Failed last at or after this time (ISO 8601)."),
        click.option("--until", help="Failed last before this time (ISO 8601)."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def order_options(function: F) -> F:
    """``--by`` and ``--reason``."""
    by = click.option("--by", "who", required=True, help="Who asks; kept in the audit.")
    reason = click.option("--reason", "why", required=True, help="Why; kept in the audit.")
    return by(reason(function))


def choice_of(filters: dict[str, str | None], state: str | None = "open") -> Choice:
    """The filters that were given."""
    return Choice(
        consumer=filters["consumer"],
        sequence=filters["stream"],
        type=filters["kind"],
        error_class=filters["error_class"],
        reason=filters["parked_for"],
        fingerprint=filters["fingerprint"],
        topic=filters["topic"],
        contains=filters["text"],
        since_us=_us(filters["since"]),
        until_us=_us(filters["until"]),
        state=state,
    )


def order_of(who: str, why: str) -> Order:
    """Who asks, why, and that it is now."""
    return Order(who, why, SystemClock().now_us())


def _us(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{text!r} is no time; write 2026-01-31T12:00:00+00:00") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * MICROSECONDS_PER_SECOND)


def rate_of(text: str | None) -> float | None:
    """Letters a second, written ``10/s`` or ``10``."""
    if text is None:
        return None
    try:
        return float(text.removesuffix("/s"))
    except ValueError:
        raise click.UsageError(f"--rate {text!r} is no rate; write 10/s") from None
