"""What the pages show, as plain data: read from the store, the index and the dead letters."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from goldseam.consumers.dead_letters import choice as letters
from goldseam.consumers.dead_letters.choice import Choice, Group
from goldseam.consumers.dead_letters.errors import NoSuchLetter
from goldseam.consumers.dead_letters.letter import Letter
from goldseam.database.connection import Database
from goldseam.database.statements import statements
from goldseam.errors import GoldseamError
from goldseam.events.event import Recorded
from goldseam.failures.lookup import catalogue
from goldseam.http.bodies import shown
from goldseam.resilience.clock import MICROSECONDS_PER_SECOND
from goldseam.runtime.application import Goldseam
from goldseam.telemetry.signals import signals

PAGE_ROWS = 50
LETTERS_TABLE = "goldseam_dead_letters"


class Tile(msgspec.Struct, frozen=True):
    """One number of the overview: its key for the live update, and whether it asks for help."""

    key: str
    title: str
    value: str
    bad: bool = False
    link: str = ""


def time_of(us: int) -> str:
    """A moment for people."""
    if not us:
        return ""
    moment = datetime.fromtimestamp(us / MICROSECONDS_PER_SECOND, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def compact(value: Any) -> str:
    """JSON on one line."""
    return msgspec.json.encode(value).decode()


def pretty(value: Any) -> str:
    """JSON for people."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


async def tiles(app: Goldseam) -> list[Tile]:
    """The numbers of the overview."""
    lags = [await hosted.lag() for hosted in app.projections.values()]
    lag = max((one.events for one in lags), default=0)
    counts = await app.saga_list.counts()
    is_open = sum(n for _, _, status, n in counts if status in ("running", "compensating"))
    parked = sum(n for _, _, status, n in counts if status == "parked")
    waiting = 0
    for database in await letter_databases(app):
        waiting += await database.read(lambda c: letters.count(c, Choice()))
    pending = sum(value for name, _, value in signals if name == "goldseam_outbox_pending")
    return [
        Tile("head", "Events in the log", f"{await app.store.head():,}", link="/dashboard/events"),
        Tile("lag", "Largest lag of a projection", f"{lag:,} events", lag > 10_000),
        Tile("pending", "Waiting for the relay", f"{pending:,.0f}"),
        Tile("sagas", "Sagas under way", f"{is_open:,}", link="/dashboard/sagas"),
        Tile("parked", "Sagas parked", f"{parked:,}", parked > 0, "/dashboard/sagas?status=parked"),
        Tile("letters", "Dead letters", f"{waiting:,}", waiting > 0, "/dashboard/dead-letters"),
        Tile("failures", "Not going well", str(len(app.failures)), bool(app.failures)),
    ]


async def overview(app: Goldseam) -> Mapping[str, Any]:
    """Tiles, projections, consumers, what is not going well, the catalogue in one line."""
    projections = []
    for name, hosted in app.projections.items():
        try:
            projections.append(msgspec.to_builtins(await hosted.status()))
        except GoldseamError as error:
            projections.append({"name": name, "state": type(error).__name__, "failure": str(error)})
    status = await app.status()
    standing = [one.status for one in catalogue().values()]
    return {
        "tiles": await tiles(app),
        "projections": projections,
        "consumers": status.get("consumers", []),
        "failures": dict(app.failures),
        "jobs": app.jobs,
        "covered": standing.count("covered"),
        "catalogue": len(standing),
    }


def event_row(event: Recorded[Any]) -> Mapping[str, Any]:
    """One event as the API shows it, with its moment for people."""
    row: dict[str, Any] = dict(shown(event))
    row["time"] = time_of(event.recorded_us)
    row["brief"] = _brief(row.get("data"))
    return row


def _brief(data: Any, length: int = 120) -> str:
    text = msgspec.json.encode(data).decode()
    return text if len(text) <= length else text[: length - 1] + "\u2026"


async def letter_databases(app: Goldseam) -> list[Database]:
    """Where there are dead letters; each database once."""
    found: dict[str, Database] = {}
    for consumer in app.consumers:
        database = app.target(consumer.name)
        if database.url not in found and await _has_letters(database):
            found[database.url] = database
    return list(found.values())


async def _has_letters(database: Database) -> bool:
    exists = statements("goldseam.consumers", database.dialect)["table_exists"]
    return bool((await database.fetch(exists, {"name": LETTERS_TABLE}))[0][0])


async def letter_groups(app: Goldseam) -> list[Group]:
    """Letters by cause, the most frequent first."""
    found: list[Group] = []
    for database in await letter_databases(app):
        found += await database.read(lambda c: letters.groups(c, Choice()))
    return sorted(found, key=lambda one: -one.letters)


async def letter_list(app: Goldseam, wanted: Choice, after: int) -> list[Letter]:
    """Letters above a number, oldest first."""
    found: list[Letter] = []
    for database in await letter_databases(app):
        found += await database.read(lambda c: letters.listed(c, wanted, after, PAGE_ROWS))
    return sorted(found, key=lambda one: one.id)[:PAGE_ROWS]


async def letter_of(app: Goldseam, consumer: str, number: int) -> tuple[Database, Letter]:
    """One letter of a consumer, and where it is.

    Raises:
        NoSuchLetter: there is none.
    """
    for database in await letter_databases(app):
        try:
            found = await database.read(lambda c: letters.one(c, number))
        except NoSuchLetter:
            continue
        if found.consumer == consumer:
            return database, found
    raise NoSuchLetter(number)
