"""An erasure that dies at any await is found and finished by whoever resumes it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from goldseam import NEW, EventStore, Recorded
from goldseam.forgetting.facts import STREAM
from goldseam.forgetting.forget import Forgetting
from goldseam.forgetting.places import rows_of, tables_of
from goldseam.privacy.sealing import VaultSealer
from goldseam.privacy.vault import Vault
from goldseam.projections.connection import ProjectionConnection
from goldseam.projections.hosted import HostedProjection
from goldseam.projections.source import StoreSource
from goldseam.resilience.clock import SystemClock
from goldseam.testing.faults import (
    AWAITS_MAX,
    SIDES,
    Crash,
    CrashingDatabase,
    CrashPoint,
    until_crash,
)
from tests.forgetting.people import (
    CustomerRegistered,
    Customers,
    Office,
    caught_up,
    names,
    no_pause,
    office,
    people,
)

STRIDES = [7, pytest.param(1, marks=pytest.mark.soak)]
"""Of so many awaits one is crashed at: an erasure has some hundred, each with two sides."""


class Batched(Customers):
    """A page in one await: an erasure has as many awaits after many crashes as before."""

    async def apply_batch(self, events: Sequence[Recorded[Any]], db: ProjectionConnection) -> None:
        rows = [
            {"id": event.data.customer_id, "name": event.data.name}
            for event in events
            if isinstance(event.data, CustomerRegistered)
        ]
        await db.execute_many("INSERT INTO {customers} VALUES (:id, :name)", rows)


async def doomed(opened: Office, point: CrashPoint, subject: str) -> None:
    """Forget in a process of its own that dies at ``point``, of the store and of the key store."""
    database = CrashingDatabase(opened.store.database, point)
    keys = CrashingDatabase(opened.key_database, point)  # type: ignore[arg-type]
    vault = Vault(keys, opened.provider, SystemClock())
    sealer = VaultSealer(vault)
    dying = EventStore(database, opened.store.store_id, registry=people, sealer=sealer)
    hosted = HostedProjection(Batched(), StoreSource(dying), database, registry=people)
    forgetting = Forgetting(dying, vault, {"customers": hosted}, pause=no_pause)
    try:
        await until_crash(point, forgetting.forget([subject], "asked"))
    finally:
        commits = dying._commits._task
        if commits is not None:
            commits.cancel()
            await asyncio.wait({commits})
            _ = commits.cancelled() or commits.exception()


def points(stride: int) -> Iterator[CrashPoint]:
    """Both sides of every ``stride``-th await, until one has none left to crash at."""
    for side in SIDES:
        for number in range(1, AWAITS_MAX, stride):
            point = CrashPoint(number, side)
            yield point
            if not point.fired:
                break


@pytest.mark.parametrize("stride", STRIDES)
async def test_whatever_an_erasure_has_done_the_rest_is_resumed(
    store_url: str, tmp_path: Path, stride: int
) -> None:
    """Refused or untouched, never in between; complete after one resume; told exactly once."""
    async with office(store_url, tmp_path, projections=(Batched,)) as opened:
        known: list[str] = []
        crashes = complete = 0
        for point in points(stride):
            known.append(f"c-{len(known)}")
            fact = CustomerRegistered(known[-1], f"Marker-{len(known):06}")
            await opened.store.append(f"customer-{known[-1]}", [fact], expected=NEW)
            await caught_up(opened.projections["customers"])
            with suppress(Crash):
                await doomed(opened, point, known[-1])
            crashes += point.fired
            subject = await opened.vault.subject("main", known[-1])
            recorded = subject is not None and subject.state == "forgotten"
            await opened.forgetting.resume()
            assert [] == await opened.forgetting.left()
            complete += recorded
            assert recorded == ("[forgotten]" == (await names(opened))[known[-1]])
        assert crashes >= 10
        assert crashes // 2 < complete <= len(known)
        shown = await names(opened)
        told = [event.data.subject for event in await opened.store.read_stream(STREAM, limit=1_000)]
        assert sorted(told) == sorted(set(told))
        for name in known:
            assert (name in told) == ("[forgotten]" == shown[name])
        for table in await tables_of(opened.store.database):
            async for page in rows_of(opened.store.database, table):
                rows = b"\0".join(page)
                assert not [n for n in told if f"Marker-{int(n[2:]) + 1:06}".encode() in rows]
