"""One process at a time works on a target: the others are refused, a dead one is succeeded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from goldseam.database.connection import Connection, Database
from goldseam.errors import CommitUnknown, StoreUnavailable
from goldseam.migration import progress
from goldseam.migration.errors import Displaced, MigrationRunning
from goldseam.migration.patience import Patience
from goldseam.migration.progress import Progress
from goldseam.resilience.clock import Clock, IdFactory

SILENCE_SECONDS = 5.0
"""A runner that has shown no life for so long is dead. Measured by the one who waits, on its own
clock: the clocks of two machines are never compared."""

_BEATS_PER_SILENCE = 5
_LOOKS_PER_SILENCE = 20
_LOOK_SECONDS_MIN = 0.01
_SIGNS_OF_LIFE = 2
"""One beat may be the last commit of a dead runner, still under way in the database."""


class Runner(NamedTuple):
    """The name under which a process writes, and what it found."""

    name: str
    found: Progress


@asynccontextmanager
async def at_work(
    target: Database,
    found: Progress,
    clock: Clock,
    new_id: IdFactory,
    silence_seconds: float,
    patience: Patience,
) -> AsyncIterator[Runner]:
    """Be the one at work on ``target`` until the block ends.

    Raises:
        MigrationRunning: another process is, and alive.
    """
    name = new_id().hex()
    found = await patience(lambda: _claim(target, found, name, clock, silence_seconds))
    ending = asyncio.Event()
    pause = max(silence_seconds / _BEATS_PER_SILENCE, _LOOK_SECONDS_MIN)
    heart = asyncio.create_task(_beat(target, name, clock, pause, ending))
    try:
        yield Runner(name, found)
    finally:
        ending.set()  # a driver may answer a cancellation with an error of its own
        heart.cancel()
        await asyncio.gather(heart, return_exceptions=True)
        with suppress(StoreUnavailable, CommitUnknown):  # then its silence tells
            await target.transact(lambda c: _release(c, name))


async def _release(connection: Connection, name: str) -> None:
    await connection.fetch(progress.sql_of(connection)["release"], {"runner": name})


async def _claim(
    target: Database, seen: Progress, name: str, clock: Clock, silence_seconds: float
) -> Progress:
    signs = 0
    while signs <= _SIGNS_OF_LIFE:
        now = await _silent(target, seen, clock, silence_seconds)
        if now is None:
            claimed = seen
            with suppress(Displaced):
                await target.transact(
                    lambda c, one=claimed: progress.claim(c, one, name, clock.now_us())  # type: ignore[misc]
                )
                return claimed
            now = await _loaded(target, seen)
        seen = now
        signs += 1
    raise MigrationRunning(
        "another process is at work on this target", "wait for it, or end it and try again"
    )


async def _silent(
    target: Database, seen: Progress, clock: Clock, silence_seconds: float
) -> Progress | None:
    """None once nobody is at work, or nothing has moved for long enough; else what has."""
    if not seen.runner:
        return None
    deadline = clock.monotonic() + silence_seconds
    while clock.monotonic() < deadline:
        await asyncio.sleep(max(silence_seconds / _LOOKS_PER_SILENCE, _LOOK_SECONDS_MIN))
        now = await _loaded(target, seen)
        if now.beat != seen.beat:
            return now
    return None


async def _loaded(target: Database, seen: Progress) -> Progress:
    return await target.read_one(progress.load) or seen


async def _beat(
    target: Database, name: str, clock: Clock, pause: float, ending: asyncio.Event
) -> None:
    while not ending.is_set():
        await asyncio.sleep(pause)
        with suppress(StoreUnavailable, CommitUnknown):
            await target.transact(lambda c: progress.beat(c, name, clock.now_us()))
