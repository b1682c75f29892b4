"""Read models beside the store follow the new one from the very place where they were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

from goldseam.database.connection import Connection, Database, Row
from goldseam.errors import CorruptCheckpoint
from goldseam.migration.position_map import at_least, exact
from goldseam.migration.progress import sql_of
from goldseam.projections.checkpoint import Checkpoint, checked, lock, save
from goldseam.projections.parking import resolve
from goldseam.resilience.clock import Clock

PARKED_MAX = 10_000
"""Most parked events of one projection that are moved; with more of them it is to be rebuilt."""

ATTEMPTS_MAX = 20
"""Times a checkpoint that still moves is tried; its runner has the end of the source to reach."""

_DROPPED = "the migration left the event out"

Verdict = Literal["translated", "rebuild", "moving", "damaged"]


class Translated(msgspec.Struct, frozen=True):
    """What became of one checkpoint; ``rebuild``: its place lies inside of merged events."""

    projection: str
    colour: int
    verdict: Verdict
    source_position: int
    target_position: int | None = None


class _Plan(msgspec.Struct, frozen=True):
    old: Checkpoint
    new: Checkpoint
    parked: Mapping[int, int | None]
    """Where each parked event went; None: it was left out."""
    taken_in: int | None
    """Up to where corrections are in the rows; None: nobody has written that down."""


class _Beside(NamedTuple):
    """What has positions beside the checkpoint."""

    parked: list[tuple[int, str]]
    taken_in: int | None


class Translator:
    """Moves checkpoints from a source store to a target that is complete.

    Args:
        target: the new store's database, with the map of positions.
        source_id, target_id: the stores' own ids, as checkpoints name them.
        head: the target's last migrated position.
    """

    def __init__(
        self, target: Database, source_id: str, target_id: str, head: int, clock: Clock
    ) -> None:
        self._target, self._head, self._clock = target, head, clock
        self._source_id, self._target_id = source_id, target_id

    async def translate(self, database: Database) -> list[Translated]:
        """Every checkpoint in ``database`` that follows the source; others are left alone."""
        done = []
        for row in await database.read_one(_rows):
            try:
                one = checked(row)
            except CorruptCheckpoint:
                done.append(Translated(str(row[0]), int(row[1]), "damaged", int(row[4])))
                continue
            if one.source == self._source_id:
                done.append(await self._translate(database, one))
        return done

    async def _translate(self, database: Database, one: Checkpoint) -> Translated:
        for _ in range(ATTEMPTS_MAX):
            old = one
            beside = await database.read_one(lambda c, old=old: _beside(c, old))  # type: ignore[misc]
            plan = await self._target.read(lambda c, o=old, b=beside: self._plan(c, o, b))  # type: ignore[misc]
            if plan is None:
                return Translated(one.projection, one.colour, "rebuild", one.position)
            now = await database.transact(lambda c, plan=plan: self._apply(c, plan))  # type: ignore[misc]
            if now is None:
                return Translated(
                    one.projection, one.colour, "translated", old.position, plan.new.position
                )
            one = now
        return Translated(one.projection, one.colour, "moving", one.position)

    async def _plan(self, connection: Connection, old: Checkpoint, beside: _Beside) -> _Plan | None:
        position = await exact(connection, old.position)
        if position is None or len(beside.parked) > PARKED_MAX:
            return None
        moves: dict[int, int | None] = {}
        for at, event_id in beside.parked:
            first, last = await exact(connection, at - 1), await exact(connection, at)
            if first is None or last is None:
                return None
            moves[at] = await _found(connection, first, last, event_id)
            if moves[at] is None and last > first:
                return None  # others stand in its place: only a rebuild applies those
        new = old.but(
            source=self._target_id,
            position=position,
            quiet_until=await at_least(connection, old.quiet_until, self._head),
            updated_us=self._clock.now_us(),
        )
        taken_in = beside.taken_in
        if taken_in is not None:
            taken_in = await exact(connection, taken_in) or 0  # 0: looked for again, once
        return _Plan(old, new, moves, taken_in)

    async def _apply(self, connection: Connection, plan: _Plan) -> Checkpoint | None:
        """None: done. A checkpoint: it has moved meanwhile, this is the newer one."""
        old = plan.old
        found = await lock(connection, old.projection)
        now = next((one for one in found.values() if one.colour == old.colour), old)
        if now != old:
            return now
        sql = sql_of(connection)
        where = {"projection": old.projection, "generation": old.generation}
        gone = [at for at, to in plan.parked.items() if to is None]
        await resolve(connection, old, gone, "discarded", _DROPPED, self._clock.now_us())
        # Negative first: no event may take the place of one that is still to be moved.
        moves = [{**where, "old": at, "position": -to} for at, to in plan.parked.items() if to]
        if moves:
            await connection.execute_many(sql["move_parked_event"], moves)
        await connection.fetch(sql["settle_parked"], where)
        if plan.taken_in is not None:
            await connection.fetch(sql["move_taken_in"], {**where, "until": plan.taken_in})
        await save(connection, plan.new)
        return None


async def _rows(connection: Connection) -> list[Row]:
    sql = sql_of(connection)
    if not int((await connection.fetch(sql["checkpoints_exist"]))[0][0]):
        return []
    return await connection.fetch(sql["list_checkpoints"])


async def _beside(connection: Connection, one: Checkpoint) -> _Beside:
    sql = sql_of(connection)
    where = {"projection": one.projection, "generation": one.generation}
    rows = await connection.fetch(sql["open_parked"], {**where, "limit": PARKED_MAX + 1})
    parked = [(int(position), str(event_id)) for position, event_id in rows]
    if not int((await connection.fetch(sql["taken_in_exists"]))[0][0]):
        return _Beside(parked, None)
    taken_in = await connection.fetch(sql["read_taken_in"], where)
    return _Beside(parked, int(taken_in[0][0]) if taken_in else None)


async def _found(connection: Connection, after: int, until: int, event_id: str) -> int | None:
    window = {"after": after, "until": until, "limit": PARKED_MAX}
    rows = await connection.fetch(sql_of(connection)["ids_between"], window)
    wanted = event_id.replace("-", "")
    return next((int(position) for position, id_ in rows if bytes(id_).hex() == wanted), None)
