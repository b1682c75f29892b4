"""The cut-over: the source refuses writes, the rest is copied, the target is declared the store."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from goldseam.database.connection import Connection, Database
from goldseam.errors import GoldseamError
from goldseam.migration import fence, progress
from goldseam.migration.checkpoints import Translated, Translator
from goldseam.migration.copying import Copied, Copier
from goldseam.migration.errors import CutoverTooSlow, MigrationDamaged
from goldseam.migration.fence import Moved
from goldseam.migration.keys import copy_fences, copy_keys, forget_keys
from goldseam.migration.patience import Patience
from goldseam.migration.progress import Progress, sql_of
from goldseam.migration.runner import Runner
from goldseam.migration.transform import Named
from goldseam.resilience.clock import MICROSECONDS_PER_SECOND
from goldseam.store.event_store import EventStore

PAUSE_SECONDS_MAX = 30.0
"""Longer than this nobody may be kept from writing: the source is opened again."""

_ROUNDS_MAX = 20
"""Times the rest is copied before the pause begins; each is shorter than the one before."""


class CutOver(msgspec.Struct, frozen=True):
    """What the cut-over did. ``pause_seconds``: how long nobody could write."""

    pause_seconds: float
    copied_in_pause: int
    source_position: int
    target_position: int
    keys: int
    fences: int
    projections: Sequence[Translated]


class Cutting:
    """Carries one cut-over out."""

    def __init__(
        self,
        source: EventStore,
        target: EventStore,
        named: Named,
        read_models: Sequence[Database],
        patience: Patience,
    ) -> None:
        self._source, self._target, self._named = source, target, named
        self._read_models, self._clock = read_models, target.clock
        self._patience, self._declaring = patience, False

    async def cut(self, copier: Copier, runner: Runner, pause_seconds_max: float) -> CutOver:
        """Close, copy, declare, see to the read models; a failure before that opens the source."""
        before = await copier.catch_up()
        for _ in range(_ROUNDS_MAX):
            copied = await copier.catch_up()
            if copied.source_position == before.source_position:
                break
            before = copied
        try:
            done = await self._pause(copier, runner, before, pause_seconds_max)
        except BaseException:
            await self._open_again(runner.name)
            raise
        projections = await self._patience(lambda: self._translate(done.target_position))
        return msgspec.structs.replace(done, projections=projections)

    async def afterwards(self, found: Progress) -> CutOver:
        """What is left to do when the target was declared by a run that did not come back."""
        projections = await self._translate(found.target_position)
        return CutOver(
            found.pause_us / MICROSECONDS_PER_SECOND,
            0,
            found.source_position,
            found.target_position,
            0,
            0,
            projections,
        )

    async def _pause(
        self, copier: Copier, runner: Runner, before: Copied, pause_seconds_max: float
    ) -> CutOver:
        began = self._clock.monotonic()
        closed = await self._patience(lambda: self._close_source(runner.name))
        # A run that was killed in its pause left the source closed: the pause is counted from then.
        earlier = (self._clock.now_us() - closed.moved_us) / MICROSECONDS_PER_SECOND
        copied = await copier.catch_up()
        await self._read_back(before.target_position, copied.target_position)
        keys = await self._patience(lambda: self._copy_keys(copier, runner, copied))
        databases = self._source.database, self._target.database
        fences = await self._patience(lambda: copy_fences(*databases))
        spent = self._clock.monotonic() - began
        if spent > pause_seconds_max:
            raise CutoverTooSlow(
                f"the pause took {spent:.3f} s, the most is {pause_seconds_max:g} s",
                "nothing was lost, the source takes writes again; try again, or allow more",
            )
        self._declaring = True
        pause_us = round(max(spent, earlier) * MICROSECONDS_PER_SECOND)
        last = await self._patience(lambda: copier.complete(pause_us))
        pause = max(self._clock.monotonic() - began, earlier)
        target = self._target.database
        await self._patience(lambda: target.transact(lambda c: _set_pause(c, runner.name, pause)))
        return CutOver(
            round(pause, 6),
            copied.source_position - before.source_position,
            last.source_position,
            last.target_position,
            keys,
            fences,
            (),
        )

    async def _close_source(self, runner: str) -> Moved:
        target, now_us = self._target.store_id, self._clock.now_us()
        return await self._source.database.transact(
            lambda c: fence.put_up(c, target, runner, now_us)
        )

    async def _copy_keys(self, copier: Copier, runner: Runner, copied: Copied) -> int:
        source, target, clock = self._source.database, self._target.database, self._clock
        found = await target.read(progress.load)
        after = found.keys_position if found else 0
        head = copied.target_position
        if self._named.merges:
            await forget_keys(target, runner.name, clock)
            after, head = 0, await copier.final_head()
        until = copied.source_position
        return await copy_keys(source, target, runner.name, clock, after, until, head)

    async def _read_back(self, after: int, until: int) -> None:
        """What the pause has copied is really there, whole."""
        head = await self._target.head()
        if head != until:
            raise MigrationDamaged(
                f"the target ends at {head}, the migration at {until}; abort, and migrate into an "
                "empty store"
            )
        while after < until:
            page = await self._target.raw_all(after=after)
            after = page[-1].position

    async def _open_again(self, runner: str) -> None:
        """Nothing was declared, so the source is the store: let it take writes.

        If nobody can say whether it was declared, the source stays closed: two stores that both
        take writes could never be brought together again.
        """
        if self._declaring:
            try:
                found = await self._target.database.read(progress.load)
            except GoldseamError:
                return
            if found is None or found.phase == "done":
                return
        target = self._target.store_id
        await self._source.database.transact(lambda c: fence.take_down(c, target, runner))

    async def _translate(self, head: int) -> list[Translated]:
        source, target = str(self._source.store_id), str(self._target.store_id)
        work = Translator(self._target.database, source, target, head, self._clock)
        return [one for database in self._read_models for one in await work.translate(database)]


async def _set_pause(connection: Connection, runner: str, seconds: float) -> None:
    row = {"runner": runner, "pause_us": round(seconds * MICROSECONDS_PER_SECOND)}
    await connection.fetch(sql_of(connection)["set_pause"], row)
