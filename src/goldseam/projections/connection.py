"""What a projection's handler writes with: its own tables, in the transaction of the checkpoint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from goldseam.database.connection import Connection, Dialect, Parameters, Row
from goldseam.projections.tables import Tables

SideEffect = Callable[[], Awaitable[object] | object] | Awaitable[object]


class ProjectionConnection:
    """The projection's tables of one colour, inside one transaction.

    In SQL ``{name}`` stands for the table of that name and ``:name`` for a parameter. A handler
    awaits nothing else than this.
    """

    def __init__(self, connection: Connection, tables: Tables, colour: int, live: bool) -> None:
        self._connection, self._tables, self._colour = connection, tables, colour
        self.live = live
        """False while old events are applied again: in a rebuild, after a reset."""
        self.effects: list[SideEffect] = []
        """What is to be done after the commit."""

    @property
    def dialect(self) -> Dialect:
        """``sqlite`` or ``postgresql``."""
        return self._connection.dialect

    async def fetch(self, sql: str, parameters: Parameters = {}) -> list[Row]:
        """Run one statement; its rows."""
        return await self._connection.fetch(self._tables.named(sql, self._colour), parameters)

    async def execute(self, sql: str, parameters: Parameters = {}) -> None:
        """Run one statement."""
        await self._connection.fetch(self._tables.named(sql, self._colour), parameters)

    async def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        """Run one statement for each of ``rows``, in as few round trips as the driver can."""
        if rows:
            named = self._tables.named(sql, self._colour)
            await self._connection.execute_many(named, rows)

    def side_effect(self, effect: SideEffect) -> None:
        """Do ``effect`` after the commit, and only for events that are new.

        Never during a rebuild or after a reset. A crash right after the commit loses it: what
        must happen belongs in the log or an outbox, not here.
        """
        if self.live:
            self.effects.append(effect)
        elif hasattr(effect, "close"):
            effect.close()  # a coroutine that will not be awaited must say so
