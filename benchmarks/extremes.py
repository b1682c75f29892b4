"""A million events: rebuilding a projection, memory while replaying; and the import's cost."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Scenario
from benchmarks.payload import order, registry
from goldseam import ANY, open_store

if TYPE_CHECKING:
    from benchmarks.postgres import Postgres

EVENTS = 1_000_000
REBUILT_PER_SECOND = 40_000.0
MEGABYTES_MAX = 300.0
IMPORT_MS_MAX = 150.0


def imports() -> list[Scenario]:
    """The cost of ``import goldseam`` and of everything that opening a store needs."""
    return [
        Scenario(
            "import goldseam (a fresh interpreter's own start taken off)",
            1.0,
            _import_ms,
            {"150 ms": _constant(IMPORT_MS_MAX)},
            unit="ms",
            better="lower",
        )
    ]


def million(postgres: Postgres) -> list[Scenario]:
    """The scenarios over 1,000,000 events."""
    return [
        Scenario(
            "PostgreSQL: rebuild a projection of 1,000,000 events",
            1.0,
            lambda: _rebuild(postgres),
            {"40,000 events/s": _constant(REBUILT_PER_SECOND)},
        ),
        Scenario(
            "PostgreSQL: memory while replaying 1,000,000 events",
            1.0,
            lambda: _memory(postgres),
            {"300 MB": _constant(MEGABYTES_MAX)},
            unit="MB",
            better="lower",
        ),
    ]


def _constant(value: float) -> Any:
    async def run() -> float:
        return value

    return run


async def _import_ms() -> float:
    async def start(code: str) -> float:
        began = perf_counter()
        command = [sys.executable, "-c", code]
        await asyncio.to_thread(subprocess.run, command, check=True)
        return (perf_counter() - began) * 1000

    whole = min(
        [await start("import goldseam; goldseam.open_store; goldseam.event") for _ in "abc"]
    )
    return whole - min([await start("pass") for _ in "abc"])


async def fill(url: str) -> None:
    """Bring the store to 1,000,000 events over 1,000 streams."""
    async with await open_store(url, registry=registry) as store:
        while (head := await store.head()) < EVENTS:
            new = [order(head + n) for n in range(1000)]
            await store.append(f"order-million-{head % 1000}-{head}", new, expected=ANY)


async def _rebuild(postgres: Postgres) -> float:
    from benchmarks.rebuild import rebuild

    await fill(postgres.url)
    return await rebuild(postgres.url)


async def _memory(postgres: Postgres) -> float:
    await fill(postgres.url)
    command = [sys.executable, "-m", "benchmarks.extremes", postgres.url]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


async def _replay_and_say_memory(url: str) -> None:
    count = 0
    async with await open_store(url, registry=registry) as store:
        async for _ in store.replay():
            count += 1
    assert count >= EVENTS, count
    sys.stdout.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def main(arguments: Sequence[str]) -> None:
    """The process whose memory is measured."""
    asyncio.run(_replay_and_say_memory(arguments[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
