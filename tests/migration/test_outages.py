"""The target goes away, loses an answer or has no room: the migration goes on, each event once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from goldseam import ANY, EventStore, open_store
from goldseam.database.connection import Operation
from goldseam.errors import CommitUnknown, StoreFull, StoreUnavailable
from goldseam.migration.migration import Migration
from goldseam.testing.tcp_proxy import TcpProxy
from tests.crashes.outside import query
from tests.faults.small_disk import fill, small_disk
from tests.migration.outside import check, events, mixed, unchanged
from tests.migration.transforms import mixed as transform
from tests.support.ticks import registry, tick

EVENTS = 400
PAGE = 20


async def filled(url: str, count: int = EVENTS) -> None:
    async with await open_store(url, registry=registry) as store:
        for start in range(0, count, 50):
            new = [tick(start % 3, start + n) for n in range(50)]
            await store.append(f"tick-{start % 3}", new, expected=ANY)


def _lose_one_commit(target: EventStore) -> None:
    """The next transaction is committed, and nobody hears of it."""
    real = target.database.transact

    async def committed(operation: Operation[object]) -> object:
        target.database.transact = real  # type: ignore[method-assign]
        await real(operation)
        raise CommitUnknown((), "the answer is lost")

    target.database.transact = committed  # type: ignore[assignment, method-assign]


@pytest.mark.postgres
async def test_a_target_that_is_lost_on_the_way_doubles_and_loses_nothing(
    postgres_schema_url: str, tmp_path: Path
) -> None:
    """Reset, refused, polite end, a lost answer, a commit of which nobody hears."""
    source_url = f"sqlite:///{tmp_path / 'source.db'}"
    await filled(source_url)
    parts = urlsplit(postgres_schema_url)
    assert parts.hostname is not None
    assert parts.port is not None
    faults: dict[int, str] = {60: "lose", 120: "unknown", 200: "reset", 260: "refuse", 320: "cut"}
    async with TcpProxy(parts.hostname, parts.port) as proxy:
        through = postgres_schema_url.replace(f":{parts.port}/", f":{proxy.port}/")
        later: list[asyncio.Task[None]] = []

        async def accept() -> None:
            await proxy.refuse()
            await asyncio.sleep(0.3)
            await proxy.accept()

        def told(what: str, position: int, _of: int) -> None:
            fault = faults.pop(position, "") if what == "copy" else ""
            if fault == "reset":
                proxy.reset()
            elif fault == "cut":
                proxy.cut()
            elif fault == "lose":
                proxy.lose_answer_to(b"tick-")
            elif fault == "unknown":
                _lose_one_commit(target)
            elif fault == "refuse":
                later.append(asyncio.create_task(accept()))

        async with (
            await open_store(source_url, registry=registry) as source,
            await open_store(through, registry=registry) as target,
        ):
            migration = Migration(source, target, transform, page_events=PAGE)
            assert (await migration.run(told)).ok
            await migration.cutover()
        await asyncio.gather(*later)
        assert {} == faults
        assert 1 == proxy.answers_lost
    check(source_url, postgres_schema_url, mixed)


@pytest.mark.postgres
async def test_a_target_that_is_lost_in_the_pause_opens_the_source_again(
    postgres_schema_url: str, tmp_path: Path
) -> None:
    """Nobody can write for long because of a server that is not there; later it is cut over."""
    source_url = f"sqlite:///{tmp_path / 'source.db'}"
    await filled(source_url)
    parts = urlsplit(postgres_schema_url)
    assert parts.hostname is not None
    assert parts.port is not None
    async with TcpProxy(parts.hostname, parts.port) as proxy:
        through = postgres_schema_url.replace(f":{parts.port}/", f":{proxy.port}/")
        async with (
            await open_store(source_url, registry=registry) as source,
            await open_store(through, registry=registry) as target,
        ):
            migration = Migration(source, target, retry_seconds=0, silence_seconds=0)
            await migration.run()
            closing = source.database.transact

            async def lose_the_target(operation):  # type: ignore[no-untyped-def]
                done = await closing(operation)
                source.database.transact = closing  # type: ignore[method-assign]
                await proxy.refuse()
                return done

            source.database.transact = lose_the_target  # type: ignore[method-assign]
            with pytest.raises(StoreUnavailable):
                await migration.cutover()
            assert (
                EVENTS + 1 == (await source.append("tick-0", [tick(0, 0)], expected=ANY)).position
            )
            await proxy.accept()
            done = await Migration(source, target, silence_seconds=0).cutover()
            assert EVENTS + 1 == done.target_position
    check(source_url, postgres_schema_url, unchanged)


async def test_a_full_target_is_said_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """Nothing is torn: the copy stops at a page, and the next run begins behind it."""
    source_url = f"sqlite:///{tmp_path / 'source.db'}"
    await filled(source_url)
    with small_disk(8) as folder:
        target_url = f"sqlite:///{folder / 'target.db'}"
        async with (
            await open_store(source_url, registry=registry) as source,
            await open_store(target_url, registry=registry) as target,
        ):
            for n in range(600):
                await source.append("tick-9", [tick(9, n)], expected=ANY)
            filler = fill(folder, leave_bytes=700_000)
            migration = Migration(source, target, page_events=PAGE, silence_seconds=0)
            with pytest.raises(StoreFull, match="free space and try again"):
                await migration.run()
            filler.unlink()
            copied = query(target_url, "SELECT source_position FROM goldseam_migration")[0][0]
            assert 0 < copied < EVENTS + 600
            assert copied == len(events(target_url))
            assert (await migration.run()).ok
            await migration.cutover()
        check(source_url, target_url, unchanged)
