"""Epochs: one key outside any database wraps all subjects' keys, and can be destroyed.

From the guide, "Step 3: Delete Key on Forget Request". A deleted row stays in heap pages, WAL,
standbys and backups; what it held stays readable until the epoch key that wrapped it is gone.
So forgetting wraps the keys of all others under a new epoch and destroys the old one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from goldseam.database.connection import Connection, Database, Operation
from goldseam.database.statements import statements
from goldseam.privacy.errors import KeyLost, KeyProviderRefused, KeyStoreUnavailable
from goldseam.privacy.key_store import (
    PACKAGE,
    EpochRow,
    NewKey,
    as_json,
    reached,
    written,
)
from goldseam.privacy.providers.provider import (
    BoundKey,
    Epoch,
    EpochGone,
    KeyProvider,
    WrappedKey,
)
from goldseam.resilience.clock import Clock
from goldseam.telemetry.signals import signals

T = TypeVar("T")

REWRAP_BATCH = 1_000
"""Keys wrapped anew in one transaction: new keys of others wait no longer than for one."""

PASSES_MAX = 10
"""Rotations of other processes may begin meanwhile; after so many somebody rotates in a loop."""

WIPE_SECONDS = 2.0
WIPE_TRIES_MAX = 40
WIPE_PAUSE_SECONDS = 0.05
"""How long to try to empty SQLite's WAL; a reader is waited for besides, a few seconds a try."""

STANDBY_LOOKS_MAX = 100
STANDBY_PAUSE_SECONDS = 0.1
"""How often and how far apart to look whether each standby has the keys in their new form."""

ID_BYTES = 8

_PROBE = b"\0" * 32
_FIRST = NewKey("", "", 0, "")


class Steps:
    """Which steps of an erasure are done, and which one it is at."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.at = ""

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """The step ``name``: done when its block ends without an error."""
        self.at = name
        yield
        self.done.append(name)


class Epochs:
    """The epochs of one key store; any number of processes may rotate them at once.

    Args:
        database: of the key store.
        provider: keeps the epochs' keys.
        new_bytes: random bytes of the wanted length, for ids.
    """

    def __init__(
        self,
        database: Database,
        provider: KeyProvider,
        clock: Clock,
        new_bytes: Callable[[int], bytes],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database, self._provider, self._clock = database, provider, clock
        self._new_bytes, self._pause = new_bytes, pause
        self._sql = statements(PACKAGE, database.dialect)

    async def rows(self) -> list[EpochRow]:
        """All epochs that are not destroyed, oldest first."""
        found = await reached(self._database.fetch(self._sql["epochs"]))
        return [EpochRow(*row) for row in found]

    async def current(self) -> EpochRow:
        """The epoch for new keys; the first one is made here."""
        for _ in range(PASSES_MAX):
            for row in await self.rows():
                if row.state == "current":
                    return row
            await self._begin(0)
        raise KeyStoreUnavailable("no epoch could be made")

    async def rotate(self, beyond: int, steps: Steps) -> None:
        """Destroy all epochs up to the number ``beyond``, and those that have retired before.

        Every step may be repeated, by anybody; a second call goes on where the first one ended.

        Raises:
            KeyStoreUnavailable, KeyProviderRefused, KeyLost: at the step that ``steps`` names.
        """
        with steps("new epoch"):
            await self._begin(beyond)
        with steps("rewrap"):
            await self._rewrap()
        with steps("wipe"):
            await self._wipe()
        with steps("destroy"):
            for row in await self.rows():
                if row.state == "retiring":
                    await self._destroy(row)

    async def _begin(self, beyond: int) -> None:
        """Make an epoch with a number above ``beyond`` the current one, unless one is."""
        rows = await self.rows()
        if any(row.state == "current" and row.number > beyond for row in rows):
            return
        new = next((row for row in rows if row.state == "creating"), None)
        if new is None:
            await self._insert()
            new = next((row for row in await self.rows() if row.state == "creating"), None)
        if new is None:  # somebody else has started it meanwhile
            return
        material = await self._provider.create_epoch(new.id)
        if await self._start(new, material) == "destroyed":
            # It was started and ended by others while this process slept, and made once more here.
            await self._provider.destroy_epoch(Epoch(new.id, material))

    async def _insert(self) -> None:
        """The new epoch is known before its key exists, so that no key is left behind unknown."""
        epoch = f"goldseam-epoch-{self._new_bytes(ID_BYTES).hex()}"

        async def operation(connection: Connection) -> None:
            await connection.fetch(self._sql["lock_alone"])
            found = await connection.fetch(self._sql["epochs"])
            if all(row[2] != "creating" for row in found):
                await connection.fetch(
                    self._sql["insert_epoch"], {"epoch": epoch, "now": self._clock.now_us()}
                )

        await self._write(operation)

    async def _start(self, new: EpochRow, material: str) -> str:
        """Make ``new`` the current epoch, unless another process was first; its state before."""
        await self._probe(Epoch(new.id, material))

        async def operation(connection: Connection) -> str:
            await connection.fetch(self._sql["lock_alone"])
            number = {"number": new.number}
            state = (await connection.fetch(self._sql["state_of_epoch"], number))[0][0]
            if state == "creating":  # else the material of the one who was first counts
                await connection.fetch(self._sql["retire_epoch"])
                await connection.fetch(self._sql["start_epoch"], {**number, "material": material})
            return str(state)

        return await self._write(operation)

    async def _probe(self, epoch: Epoch) -> None:
        """An epoch that cannot open what it closes would take everybody's keys with it."""
        probe = BoundKey(b"probe", _PROBE)
        try:
            wrapped = (await self._provider.wrap(epoch, [probe]))[0]
            opened = await self._provider.unwrap(epoch, [WrappedKey(probe.bound, wrapped)])
        except EpochGone:  # ended by others meanwhile: its state will say so
            return
        if opened != [_PROBE]:
            raise KeyProviderRefused(
                self._provider.name, "a new epoch does not open what it closes", "check it"
            )

    async def _rewrap(self) -> None:
        """Wrap every key that is under a retired epoch anew, under the current one."""
        for _ in range(PASSES_MAX):
            rows = await self.rows()
            current = next(row for row in rows if row.state == "current")
            retired = [row for row in rows if row.state == "retiring"]
            if all([await self._rewrap_one(old, current) for old in retired]):
                return
        raise KeyStoreUnavailable("other rotations keep beginning")

    async def _rewrap_one(self, old: EpochRow, current: EpochRow) -> bool:
        """False if ``current`` has retired meanwhile."""
        page = await self._page(old, _FIRST)
        while page:
            try:
                keys = await self._opened(page, old)
            except EpochGone:
                # Others may have moved these keys and destroyed the epoch since they were read.
                if not await self._page(old, _FIRST):
                    return True
                raise KeyLost("the key of its epoch is gone from the provider") from None
            if not await self._rewrap_page(page, keys, old, current):
                return False
            page = await self._page(old, page[-1])
        return True

    async def _page(self, old: EpochRow, after: NewKey) -> list[NewKey]:
        where = {**after._asdict(), "number": old.number, "limit": REWRAP_BATCH}
        rows = await reached(self._database.fetch(self._sql["page_of_keys"], where))
        return [NewKey(*row) for row in rows]

    async def _opened(self, page: Sequence[NewKey], old: EpochRow) -> list[BoundKey]:
        closed = [WrappedKey(bound(*key[:3]), key.wrapped) for key in page]
        keys = await self._provider.unwrap(old.epoch, closed)
        return [BoundKey(one.bound, key) for one, key in zip(closed, keys, strict=True)]

    async def _rewrap_page(
        self,
        page: Sequence[NewKey],
        keys: Sequence[BoundKey],
        old: EpochRow,
        current: EpochRow,
    ) -> bool:
        try:
            wrapped = await self._provider.wrap(current.epoch, keys)
        except EpochGone:
            return False
        rows = [key._replace(wrapped=new) for key, new in zip(page, wrapped, strict=True)]

        async def operation(connection: Connection) -> bool:
            await connection.fetch(self._sql["lock_shared"])
            found = await connection.fetch(self._sql["current_number"], {"epoch": current.id})
            if not found:
                return False
            await connection.fetch(
                self._sql["rewrap"],
                {"rows": as_json(rows), "number": current.number, "old": old.number},
            )
            return True

        return await self._write(operation)

    async def _wipe(self) -> None:
        """On SQLite: what was overwritten leaves the WAL too, and all before is on the disk."""
        if self._database.dialect != "sqlite":
            return
        until = self._clock.monotonic() + WIPE_SECONDS
        for _ in range(WIPE_TRIES_MAX):
            if not await self._is_busy():
                return
            if self._clock.monotonic() >= until:
                break
            await self._pause(WIPE_PAUSE_SECONDS)
        raise KeyStoreUnavailable("another process reads it, so its WAL cannot be emptied")

    async def _is_busy(self) -> bool:
        """Empty the WAL; whether somebody was in the way: a reader, or another one's emptying."""
        return bool((await reached(self._database.fetch(self._sql["wipe"])))[0][0])

    async def _destroy(self, old: EpochRow) -> None:
        """Destroy the key of a retired epoch, when nothing anywhere needs it any more."""
        if not await self._write(lambda connection: self._is_empty(connection, old)):
            raise KeyStoreUnavailable("there are keys under a retired epoch still")
        await self._standbys()
        await self._provider.destroy_epoch(old.epoch)
        if await self._provider.exists(old.epoch):
            raise KeyProviderRefused(
                self._provider.name, "a destroyed epoch is still there", "look why"
            )

        async def operation(connection: Connection) -> None:
            await connection.fetch(
                self._sql["destroyed_epoch"], {"number": old.number, "now": self._clock.now_us()}
            )

        await self._write(operation)
        signals.count("goldseam_epoch_rotations_total")

    async def _is_empty(self, connection: Connection, old: EpochRow) -> bool:
        """Whether no key is left under ``old``; then all before it is durable at the commit.

        The server may be set to answer commits before they are on its disk; this one writes and
        waits, and what came before comes before it in the WAL.
        """
        await connection.fetch(self._sql["lock_alone"])
        await connection.fetch(self._sql["durable"])
        await connection.fetch(self._sql["touch_epoch"], {"number": old.number})
        found = await connection.fetch(self._sql["keys_of_epoch"], {"number": old.number})
        return int(found[0][0]) == 0

    async def _standbys(self) -> None:
        """Wait until each standby has the keys in their new form: it may be promoted."""
        if self._database.dialect == "sqlite":
            return
        position = (await reached(self._database.fetch(self._sql["write_position"])))[0][0]
        for _ in range(STANDBY_LOOKS_MAX):
            behind = await reached(
                self._database.fetch(self._sql["standbys_behind"], {"position": position})
            )
            if not behind[0][0]:
                return
            await self._pause(STANDBY_PAUSE_SECONDS)
        raise KeyStoreUnavailable("a standby has not received the keys in their new form")

    async def _write(self, operation: Operation[T]) -> T:
        return await written(self._database, operation)


def bound(tenant: str, subject: str, version: int) -> bytes:
    """What a wrapped key is bound to."""
    return f"{tenant}\0{subject}\0{version}".encode()
