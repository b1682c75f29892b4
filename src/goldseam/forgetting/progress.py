"""How far one store has followed each erasure: what makes a half-finished one resumable.

The key store records an erasure first and knows nothing of stores. Each store writes down which
erasures it has followed, and the difference between the two is what is left to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from goldseam.database import schema
from goldseam.database.connection import Connection, Database
from goldseam.database.statements import statements
from goldseam.privacy.vault import Vault
from goldseam.resilience.clock import Clock

PACKAGE, PART = "goldseam.forgetting", "forgetting"

STEPS = ("keys", "fact", "snapshots", "read models", "files", "check")
"""The steps of one erasure, in order; each may be repeated."""


class Erasure(NamedTuple):
    """One erasure and the steps that this store has done for it."""

    subject: str
    forgotten_us: int
    done: tuple[str, ...]

    @property
    def open(self) -> bool:
        """Whether something is left to do."""
        return set(STEPS) > set(self.done)


class Progress:
    """The erasures of one tenant in one store."""

    def __init__(self, database: Database, vault: Vault, tenant: str, clock: Clock) -> None:
        self._database, self._vault = database, vault
        self._tenant, self._clock = tenant, clock
        self._sql = statements(PACKAGE, database.dialect)

    async def prepare(self) -> None:
        """Make the table if it is missing."""

        async def operation(connection: Connection) -> None:
            await schema.apply(connection, PACKAGE, PART, self._clock)

        await self._database.transact(operation)

    async def of(self, subjects: Sequence[tuple[str, int]]) -> list[Erasure]:
        """How far the erasures of ``subjects``, given with the time of each, are."""
        where = {"tenant": self._tenant, "subjects": _json([name for name, _ in subjects])}
        rows = await self._database.fetch(self._sql["erasures"], where)
        known = {(str(name), int(us)): str(steps) for name, us, steps in rows}
        return [
            Erasure(name, us, tuple(filter(None, known.get((name, us), "").split(","))))
            for name, us in subjects
        ]

    async def keep(self, subjects: Sequence[tuple[str, int]], done: Sequence[str]) -> None:
        """Write down that ``done`` is done for ``subjects``."""
        row = {
            "tenant": self._tenant,
            "rows": _json(subjects),
            "steps": ",".join(done),
            "now": self._clock.now_us(),
        }

        async def operation(connection: Connection) -> None:
            await connection.fetch(self._sql["keep_erasures"], row)

        await self._database.transact(operation)

    async def left(self) -> list[Erasure]:
        """All erasures of the tenant that this store has not followed to the end."""
        found: list[Erasure] = []
        for state in ("forgotten", "readmitted"):
            after = ""
            while page := await self._vault.subjects(self._tenant, state, after):
                erasures = await self.of([(one.subject, one.forgotten_us) for one in page])
                found += [one for one in erasures if one.open]
                after = page[-1].subject
        return found


def _json(rows: object) -> str:
    return msgspec.json.encode(rows).decode()
