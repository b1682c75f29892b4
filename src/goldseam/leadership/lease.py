"""Leases in a database: one holder at a time for liveness, a growing token for safety.

A lease alone keeps nobody from writing late: who was stopped past its end still believes in it.
Whatever a holder writes compares the token in the same transaction. From the guide, "Split
Brain: Lease-Based" and "Fencing Tokens".
"""

from __future__ import annotations

import msgspec

from goldseam.database import schema
from goldseam.database.connection import Connection, Database
from goldseam.database.statements import statements
from goldseam.events.names import checked_name
from goldseam.leadership.errors import LeaseLost
from goldseam.leadership.fencing import Fence
from goldseam.resilience.clock import MICROSECONDS_PER_SECOND, Clock

PACKAGE, PART = "goldseam.leadership", "leadership"


class Lease(msgspec.Struct, frozen=True):
    """Who holds a lease, under which token, until when (microseconds since 1970)."""

    holder: str
    token: int
    until_us: int


class Leases:
    """The leases in one database. Clocks of its users may differ by less than a lease's length."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def prepare(self) -> None:
        """Make or upgrade the table."""
        await self._database.transact(lambda c: _applied(c, self._clock))

    async def acquire(self, name: str, holder: str, seconds: float) -> Fence | None:
        """The lease and a token higher than all before it; None while another holds it.

        Whoever holds it already gets it anew: the process of this name was restarted.
        """
        checked_name("lease", name)
        checked_name("holder", holder)
        now_us = self._clock.now_us()
        row = {
            "name": name,
            "holder": holder,
            "now_us": now_us,
            "until_us": now_us + int(seconds * MICROSECONDS_PER_SECOND),
        }

        async def take(connection: Connection) -> Fence | None:
            found = await connection.fetch(_sql(connection, "acquire"), row)
            return Fence(name, int(found[0][0])) if found else None

        return await self._database.transact(take)

    async def renew(self, fence: Fence, seconds: float) -> None:
        """Hold it for ``seconds`` from now on.

        Raises:
            LeaseLost: it has changed hands.
        """
        until_us = self._clock.now_us() + int(seconds * MICROSECONDS_PER_SECOND)

        async def extend(connection: Connection) -> None:
            row = {"name": fence.name, "token": fence.token, "until_us": until_us}
            if not await connection.fetch(_sql(connection, "renew"), row):
                raise lost(fence)

        await self._database.transact(extend)

    async def release(self, fence: Fence) -> None:
        """Let the next one have it at once; of no effect when it has changed hands."""

        async def end(connection: Connection) -> None:
            row = {"name": fence.name, "token": fence.token}
            await connection.fetch(_sql(connection, "release"), row)

        await self._database.transact(end)

    async def lease(self, name: str) -> Lease | None:
        """Who holds ``name``, or held it last; None when nobody ever did."""

        async def look(connection: Connection) -> Lease | None:
            found = await connection.fetch(_sql(connection, "lease"), {"name": name})
            return Lease(*found[0]) if found else None

        return await self._database.read_one(look)

    async def living(self, prefix: str) -> list[str]:
        """Who holds a lease now whose name begins with ``prefix``, by name."""
        row = {"prefix": prefix, "length": len(prefix), "now_us": self._clock.now_us()}

        async def look(connection: Connection) -> list[str]:
            return [str(one) for (one,) in await connection.fetch(_sql(connection, "living"), row)]

        return await self._database.read_one(look)


async def check(connection: Connection, fence: Fence) -> None:
    """Whether ``fence`` is the newest of its name, as this transaction sees it.

    Raises:
        LeaseLost: a higher token was given out.
    """
    found = await connection.fetch(_sql(connection, "lease"), {"name": fence.name})
    if not found or int(found[0][1]) != fence.token:
        raise lost(fence)


def lost(fence: Fence) -> LeaseLost:
    """The error for a holder that is one no longer."""
    return LeaseLost(
        f"lease {fence.name!r} has changed hands: token {fence.token} is not the newest any more; "
        "stop what was done under it"
    )


async def _applied(connection: Connection, clock: Clock) -> None:
    await schema.apply(connection, PACKAGE, PART, clock)


def _sql(connection: Connection, name: str) -> str:
    return statements(PACKAGE, connection.dialect)[name]
