"""The tables of the key store: whose keys there are, under which epoch, and who is forgotten.

From the guide, "Step 2: Store Key Separately": a database of its own, with its own backups. No
row is ever written under an epoch that is not the current one in the same transaction; so an epoch
that has retired and has no rows left can be destroyed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Literal, NamedTuple, TypeVar

import msgspec

from goldseam.database import schema
from goldseam.database.connection import Connection, Database, Operation
from goldseam.database.statements import statements
from goldseam.errors import CommitUnknown, StoreUnavailable
from goldseam.privacy.errors import KeyStoreUnavailable
from goldseam.privacy.providers.provider import Epoch
from goldseam.resilience.clock import Clock
from goldseam.telemetry.signals import signals

T = TypeVar("T")

PACKAGE = "goldseam.privacy"
PART = "keys"

SUBJECTS_PAGE_MAX = 1_000
"""Subjects listed in one go."""

State = Literal["active", "forgotten", "readmitted"]
Steps = Literal["", "recorded", "deleted", "done"]


class Found(NamedTuple):
    """What the key store has about a subject; without ``wrapped`` there is no key."""

    subject: str
    state: State
    key_version: int
    epoch: str | None
    material: str | None
    wrapped: str | None


class NewKey(NamedTuple):
    """A wrapped key on its way into the store."""

    tenant: str
    subject: str
    key_version: int
    wrapped: str


class EpochRow(NamedTuple):
    """An epoch that is not destroyed."""

    number: int
    id: str
    state: Literal["creating", "current", "retiring"]
    material: str

    @property
    def epoch(self) -> Epoch:
        """What the provider asks for."""
        return Epoch(self.id, self.material)


class Subject(msgspec.Struct, frozen=True):
    """A data subject: its state, and how far its erasure is (``""`` if there was none)."""

    tenant: str
    subject: str
    state: State
    key_version: int
    forgotten_us: int
    reason: str
    steps: Steps


class KeyStore:
    """The key store's rows, one method for each transaction.

    Every method raises KeyStoreUnavailable when the database cannot be reached; all may be called
    again then.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._sql = statements(PACKAGE, database.dialect)

    async def prepare(self, *, apply: bool) -> None:
        """Create or upgrade the tables, or only check them.

        Raises:
            SchemaError: they are not what this version needs.
        """

        async def operation(connection: Connection) -> None:
            if apply:
                await schema.apply(connection, PACKAGE, PART, self._clock)
            else:
                await schema.check(connection, PACKAGE, PART)

        run = self._database.transact if apply else self._database.read
        await reached(run(operation))

    async def find(self, tenant: str, subjects: Sequence[str]) -> dict[str, Found]:
        """What is known of those ``subjects`` that are known."""
        parameters = {"tenant": tenant, "subjects": as_json(subjects)}

        async def operation(connection: Connection) -> dict[str, Found]:
            rows = await connection.fetch(self._sql["find"], parameters)
            return {row[0]: Found(*row) for row in rows}

        return await reached(self._database.read_one(operation))

    async def add(self, epoch: str, keys: Sequence[NewKey]) -> bool:
        """Add first keys of subjects that nobody has added meanwhile.

        Returns:
            False if ``epoch`` is not the current one any more: nothing was added.
        """
        # One order for all, so that two processes that add the same subjects never deadlock.
        ordered = sorted(keys)

        async def operation(connection: Connection) -> bool:
            number = await self._current(connection, epoch)
            if number is None:
                return False
            added = {
                row[0]
                for row in await connection.fetch(
                    self._sql["add_subjects"], {"rows": as_json(ordered)}
                )
            }
            mine = [one for one in ordered if one.subject in added]
            if mine:
                await self._add_keys(connection, number, mine)
            return True

        return await self._write(operation)

    async def readmit(self, epoch: str, key: NewKey) -> bool | None:
        """Give a forgotten subject a new key; None if the epoch has changed, False if refused."""

        async def operation(connection: Connection) -> bool | None:
            number = await self._current(connection, epoch)
            if number is None:
                return None
            where = {"tenant": key.tenant, "subject": key.subject, "key_version": key.key_version}
            if not await connection.fetch(self._sql["readmit"], where):
                return False
            await self._add_keys(connection, number, [key])
            return True

        return await self._write(operation)

    async def _current(self, connection: Connection, epoch: str) -> int | None:
        """The number of ``epoch`` if it is current, which it then stays in this transaction."""
        await connection.fetch(self._sql["lock_shared"])
        found = await connection.fetch(self._sql["current_number"], {"epoch": epoch})
        return int(found[0][0]) if found else None

    async def _add_keys(self, connection: Connection, number: int, keys: Sequence[NewKey]) -> None:
        await connection.fetch(
            self._sql["add_keys"],
            {"rows": as_json(keys), "number": number, "now": self._clock.now_us()},
        )

    async def record(self, tenant: str, subjects: Sequence[str], reason: str) -> int:
        """Record erasures; how many of ``subjects`` were not forgotten before."""
        parameters = {
            "tenant": tenant,
            "subjects": as_json(sorted(subjects)),
            "reason": reason,
            "now": self._clock.now_us(),
        }

        async def operation(connection: Connection) -> int:
            await connection.fetch(self._sql["lock_alone"])
            await connection.fetch(self._sql["durable"])
            return len(await connection.fetch(self._sql["record_erasure"], parameters))

        return await self._write(operation)

    async def delete_recorded(self) -> None:
        """Delete the keys of all whose erasure is recorded."""

        async def operation(connection: Connection) -> None:
            await connection.fetch(self._sql["lock_alone"])
            await connection.fetch(self._sql["delete_keys"])
            await connection.fetch(self._sql["mark_deleted"])

        await self._write(operation)

    async def newest_open_erasure(self) -> int:
        """The newest epoch under which a key was whose erasure is not done; 0 if none is open."""
        rows = await reached(self._database.fetch(self._sql["newest_open_erasure"]))
        return int(rows[0][0])

    async def mark_done(self) -> None:
        """Erasures are done whose epochs are destroyed, all of them."""

        async def operation(connection: Connection) -> None:
            await connection.fetch(self._sql["mark_done"])

        await self._write(operation)

    async def subject(self, tenant: str, subject: str) -> Subject | None:
        """One subject."""
        where = {"tenant": tenant, "subject": subject}
        rows = await reached(self._database.fetch(self._sql["subject"], where))
        return Subject(*rows[0]) if rows else None

    async def subjects(self, tenant: str, state: State | None, after: str) -> list[Subject]:
        """One page of a tenant's subjects, by name."""
        where = {
            "tenant": tenant,
            "state": state or "",
            "after": after,
            "limit": SUBJECTS_PAGE_MAX,
        }
        rows = await reached(self._database.fetch(self._sql["subjects"], where))
        return [Subject(*row) for row in rows]

    async def open_erasures(self) -> list[Subject]:
        """Erasures that are not done, of all tenants; one page of them."""
        limit = {"limit": SUBJECTS_PAGE_MAX}
        rows = await reached(self._database.fetch(self._sql["open_erasures"], limit))
        return [Subject(*row) for row in rows]

    async def counts(self) -> list[tuple[State, bool, int]]:
        """How many subjects are in which state, and with an open erasure or not."""
        rows = await reached(self._database.fetch(self._sql["count_subjects"]))
        return [(state, bool(unfinished), int(count)) for state, unfinished, count in rows]

    async def _write(self, operation: Operation[T]) -> T:
        return await written(self._database, operation)


async def written(database: Database, operation: Operation[T]) -> T:
    """Run ``operation`` in a transaction that overwrites what it deletes, where that exists."""

    async def hardened(connection: Connection) -> T:
        # Each time: a connection that was opened anew does not know it.
        if connection.dialect == "sqlite":
            await connection.fetch(statements(PACKAGE, connection.dialect)["harden"])
        return await operation(connection)

    return await reached(database.transact(hardened))


async def reached(work: Awaitable[T]) -> T:
    """``work``, with an unreachable database said as an unreachable key store."""
    try:
        return await work
    except (StoreUnavailable, CommitUnknown) as error:
        signals.count("goldseam_key_store_unavailable_total")
        if isinstance(error, KeyStoreUnavailable):
            raise
        raise KeyStoreUnavailable(f"the key store's database: {error.cause}") from error


def as_json(rows: object) -> str:
    """``rows`` as the one parameter that both dialects can take apart."""
    return msgspec.json.encode(rows).decode()
