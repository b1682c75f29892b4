"""Which position of the target stands for one of the source: runs in which both grow evenly."""

from __future__ import annotations

from typing import NamedTuple

from goldseam.database.connection import Connection, Row
from goldseam.database.statements import statements


class Run(NamedTuple):
    """Source positions from ``source_first`` on, until the next run begins.

    ``target_first`` is the target's last position once ``source_first`` was taken in; each
    further source position adds ``step``. ``settled``: nothing waits to be merged, so the target
    up to there holds exactly what the source holds up to there.
    """

    source_first: int
    target_first: int
    step: int
    settled: bool

    def at(self, position: int) -> int:
        """The target's last position once ``position`` of the source was taken in."""
        return self.target_first + (position - self.source_first) * self.step


def run_of(row: Row) -> Run:
    """The run in a row of the map."""
    first, target, step, settled = row
    return Run(int(first), int(target), int(step), bool(settled))


START = Run(0, 0, 0, settled=True)


class MapBuilder:
    """Finds the runs while events are copied.

    Args:
        run: the run that the last committed page ended in.
        head: the target's last position at its end.
    """

    def __init__(self, run: Run, head: int) -> None:
        self.run, self._head = run, head
        self.begun: list[Run] = []

    def add(self, position: int, made: int, *, settled: bool) -> None:
        """Source ``position`` was taken in and gave ``made`` events."""
        head = self._head + made
        if settled is not self.run.settled or self.run.at(position) != head:
            self.run = Run(position, head, made, settled)
            self.begun.append(self.run)
        self._head = head

    def finish(self, position: int, head: int) -> None:
        """The whole source is taken in and nothing waits any more."""
        if not self.run.settled or self.run.at(position) != head:
            self.run = Run(position, head, 0, settled=True)
            self.begun = [one for one in self.begun if one.source_first != position]
            self.begun.append(self.run)
        self._head = head


async def exact(connection: Connection, position: int) -> int | None:
    """Where a reader that has taken in all up to ``position`` stands in the target.

    None: events up to there and later ones became one event, so no place is right.
    """
    run = await _run(connection, "run_at", position) or START
    return run.at(position) if run.settled else None


async def at_least(connection: Connection, position: int, head: int) -> int:
    """The position that a reader must reach to have seen all up to ``position`` of the source.

    ``head`` stands for what is still waiting to be merged when everything has arrived.
    """
    run = await _run(connection, "run_at", position)
    if run is None or run.settled:
        return run.at(position) if run else START.target_first
    later = await _run(connection, "settled_run_after", position)
    return later.target_first if later else head


async def _run(connection: Connection, name: str, position: int) -> Run | None:
    sql = statements("goldseam.migration", connection.dialect)[name]
    rows = await connection.fetch(sql, {"position": position})
    if not rows:
        return None
    return run_of(rows[0])
