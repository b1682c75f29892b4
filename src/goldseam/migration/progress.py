"""How far a migration has come: one row in the target, moved together with the copied events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from goldseam.database import schema
from goldseam.database.connection import Connection
from goldseam.database.statements import statements
from goldseam.migration.errors import Displaced, TargetInUse
from goldseam.migration.position_map import START, Run, run_of
from goldseam.migration.stepper import Held
from goldseam.migration.transform import Fact, Named
from goldseam.resilience.clock import Clock

PACKAGE, PART = "goldseam.migration", "migration"

Phase = Literal["copying", "done", "aborted"]


class Progress(msgspec.Struct, frozen=True):
    """The row as it was read; ``runner`` is empty when nobody is at work."""

    source: str
    transform: str
    fingerprint: str
    phase: Phase
    runner: str
    beat: int
    source_position: int
    target_position: int
    keys_position: int
    verified_position: int
    pause_us: int
    started_us: int
    updated_us: int


class Standing(msgspec.Struct, frozen=True):
    """What the next page is built on: all of it was committed together."""

    progress: Progress
    run: Run
    held: Held


def sql_of(connection: Connection) -> Mapping[str, str]:
    """The migration's statements in the dialect of ``connection``."""
    return statements(PACKAGE, connection.dialect)


async def load(connection: Connection) -> Progress | None:
    """The migration of this target, or None."""
    sql = sql_of(connection)
    if not int((await connection.fetch(sql["migration_exists"]))[0][0]):
        return None
    rows = await connection.fetch(sql["load_progress"])
    return Progress(*rows[0]) if rows else None


async def standing(connection: Connection) -> Standing:
    """Where the migration stands now.

    Raises:
        TargetInUse: there is no migration here.
    """
    progress = await load(connection)
    if progress is None:
        raise TargetInUse("there is no migration into this store", "begin with `migrate run`")
    sql = sql_of(connection)
    rows = await connection.fetch(sql["run_at"], {"position": progress.source_position})
    run = run_of(rows[0]) if rows else START
    facts = [Fact(*row) for row in await connection.fetch(sql["load_held"])]
    return Standing(progress, run, {(one.tenant, one.stream): one for one in facts})


async def begin(connection: Connection, source: str, named: Named, clock: Clock) -> Progress:
    """The migration of this target, begun if the target is empty.

    Raises:
        TargetInUse: the target has other events, another source, or another transform.
    """
    await schema.apply(connection, PACKAGE, PART, clock)
    sql = sql_of(connection)
    await connection.fetch(sql["take_log"])
    found = await load(connection)
    if found is None:
        if int((await connection.fetch(sql["target_head"]))[0][0]):
            raise TargetInUse("the target has events already", "migrate into an empty store")
        row = {
            "source": source,
            "transform": named.name,
            "fingerprint": named.fingerprint,
            "now": clock.now_us(),
        }
        await connection.fetch(sql["begin"], row)
        found = await load(connection)
        assert found is not None
    _refuse_other(found, source, named)
    return found


def _refuse_other(found: Progress, source: str, named: Named) -> None:
    if found.source != source:
        raise TargetInUse(
            f"the target takes in store {found.source}, not {source}", "migrate into an empty store"
        )
    if found.phase == "aborted":
        raise TargetInUse("the migration into this target was aborted", "take an empty store")
    if found.phase != "done" and (found.transform, found.fingerprint) != (
        named.name,
        named.fingerprint,
    ):
        raise TargetInUse(
            f"the migration was begun with transform {found.transform!r} "
            f"({found.fingerprint}), this is {named.name!r} ({named.fingerprint})",
            "go on with that one, or abort and take an empty store",
        )


async def claim(connection: Connection, seen: Progress, runner: str, now_us: int) -> None:
    """Become the one at work, if nothing has moved since ``seen``.

    Raises:
        Displaced: somebody has.
    """
    where = {"runner": runner, "beat": seen.beat, "now": now_us}
    if not await connection.fetch(sql_of(connection)["claim"], where):
        raise displaced()


async def beat(connection: Connection, runner: str, now_us: int) -> None:
    """Show that this runner is alive.

    Raises:
        Displaced: it is no longer the one at work.
    """
    if not await connection.fetch(sql_of(connection)["beat"], {"runner": runner, "now": now_us}):
        raise displaced()


async def mark(connection: Connection, what: str, runner: str, position: int, now_us: int) -> None:
    """Remember that ``what`` (keys, verified) is done up to a source position.

    Raises:
        Displaced: this runner is no longer the one at work.
    """
    row = {"runner": runner, "position": position, "now": now_us}
    if not await connection.fetch(sql_of(connection)[f"set_{what}_position"], row):
        raise displaced()


async def set_phase(
    connection: Connection, runner: str, phase: Phase, now_us: int, pause_us: int = 0
) -> None:
    """Write the next phase.

    Raises:
        Displaced: this runner is no longer the one at work.
    """
    row = {"runner": runner, "phase": phase, "pause_us": pause_us, "now": now_us}
    if not await connection.fetch(sql_of(connection)["set_phase"], row):
        raise displaced()


def displaced() -> Displaced:
    """The error of a runner whose row has moved on without it."""
    return Displaced("another process has taken this migration over", "leave it to that one")
