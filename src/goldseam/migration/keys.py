"""Idempotency keys and fencing tokens: a retry or a stale leader finds in the target what the
source would have told it.
"""

from __future__ import annotations

from typing import Any

from goldseam.database.connection import Connection, Database, Parameters, Row
from goldseam.migration import progress
from goldseam.migration.position_map import at_least
from goldseam.migration.progress import sql_of
from goldseam.resilience.clock import Clock

PAGE_KEYS = 1_000
"""Keys or fences of one transaction."""


async def copy_keys(
    source: Database, target: Database, runner: str, clock: Clock, after: int, until: int, head: int
) -> int:
    """Copy the keys of writes that ended between two source positions; how many.

    Args:
        after, until: source positions; all up to ``until`` are copied.
        head: the target's last position once everything up to ``until`` has arrived.
    """
    count, place = 0, {"tenant": "", "key": ""}
    while True:
        window = {"after": after, "until": until, "limit": PAGE_KEYS, **place}
        rows = await _fetch(source, "read_keys", window)
        await target.transact(lambda c, rows=rows: _save_keys(c, rows, head))  # type: ignore[misc]
        count += len(rows)
        if len(rows) < PAGE_KEYS:
            break
        place = {"tenant": rows[-1][0], "key": rows[-1][1]}
    now_us = clock.now_us()
    await target.transact(lambda c: progress.mark(c, "keys", runner, until, now_us))
    return count


async def forget_keys(target: Database, runner: str, clock: Clock) -> None:
    """Forget what was copied: positions of a merge that was not the last are not right."""

    async def operation(connection: Connection) -> None:
        await progress.mark(connection, "keys", runner, 0, clock.now_us())
        await connection.fetch(sql_of(connection)["clear_keys"])

    await target.transact(operation)


async def copy_fences(source: Database, target: Database) -> int:
    """Copy the newest token of each fence; how many."""
    count, place = 0, {"tenant": "", "name": ""}
    while True:
        rows = await _fetch(source, "read_fences", {"limit": PAGE_KEYS, **place})
        await target.transact(lambda c, rows=rows: _save_fences(c, rows))  # type: ignore[misc]
        count += len(rows)
        if len(rows) < PAGE_KEYS:
            return count
        place = {"tenant": rows[-1][0], "name": rows[-1][1]}


async def _fetch(database: Database, name: str, parameters: Parameters) -> list[Row]:
    async def operation(connection: Connection) -> list[Row]:
        return await connection.fetch(sql_of(connection)[name], parameters)

    return await database.read_one(operation)


async def _save_keys(connection: Connection, rows: list[Row], head: int) -> None:
    if not head:
        return  # every event was left out: no place is left that a key could point at
    saved: list[dict[str, Any]] = []
    for tenant, key, fingerprint, first, last, recorded_us in rows:
        end = max(await at_least(connection, last, head), 1)
        begin = min(await at_least(connection, first - 1, head) + 1, end)
        saved.append(
            {
                "tenant": tenant,
                "key": key,
                "fingerprint": bytes(fingerprint),
                "first": begin,
                "last": end,
                "recorded_us": recorded_us,
            }
        )
    if saved:
        await connection.execute_many(sql_of(connection)["save_key"], saved)


async def _save_fences(connection: Connection, rows: list[Row]) -> None:
    saved = [{"tenant": tenant, "name": name, "token": token} for tenant, name, token in rows]
    if saved:
        await connection.execute_many(sql_of(connection)["save_fence"], saved)
